#include "upstream/retry_budget.h"

#include <gtest/gtest.h>

namespace weir::upstream {
namespace {

constexpr std::uint64_t kNow = 5'000'000;

unsigned drain(RetryBudget& budget, std::uint64_t now_ms) {
  unsigned retries = 0;
  while (budget.withdraw(now_ms)) ++retries;
  return retries;
}

TEST(RetryBudget, ANewOneGrantsAHundred) {
  RetryBudget budget(kNow);
  EXPECT_EQ(drain(budget, kNow), 100u);
  EXPECT_FALSE(budget.withdraw(kNow));
}

TEST(RetryBudget, FiveRequestsPayForOneRetry) {
  RetryBudget budget(kNow);
  (void)drain(budget, kNow);
  for (int i = 0; i < 4; ++i) budget.deposit(20);
  EXPECT_FALSE(budget.withdraw(kNow));
  budget.deposit(20);
  EXPECT_TRUE(budget.withdraw(kNow));
  EXPECT_FALSE(budget.withdraw(kNow));
}

TEST(RetryBudget, TenASecondComeByThemselves) {
  RetryBudget budget(kNow);
  (void)drain(budget, kNow);
  EXPECT_FALSE(budget.withdraw(kNow + 99));
  EXPECT_TRUE(budget.withdraw(kNow + 100)) << "asking in vain loses nothing";
  EXPECT_FALSE(budget.withdraw(kNow + 100));
  EXPECT_EQ(drain(budget, kNow + 1'100), 10u);
}

TEST(RetryBudget, NeverGrantsMoreThanItsMaximumAtOnce) {
  RetryBudget rich(kNow);
  for (int i = 0; i < 100'000; ++i) rich.deposit(20);
  EXPECT_EQ(drain(rich, kNow), 500u);
  RetryBudget old(kNow);
  EXPECT_EQ(drain(old, kNow + 365ull * 86'400'000), 500u);
}

TEST(RetryBudget, TheShareIsThePlans) {
  for (const std::uint32_t percent : {0u, 1u, 50u, 100u}) {
    RetryBudget budget(kNow);
    (void)drain(budget, kNow);
    for (int i = 0; i < 300; ++i) budget.deposit(percent);
    EXPECT_EQ(drain(budget, kNow), percent * 3) << percent;
  }
}

// When everything fails every request asks for a retry: a fifth of them gets one.
TEST(RetryBudget, UnderTotalFailureRetriesStayAFifth) {
  RetryBudget budget(kNow);
  (void)drain(budget, kNow);
  unsigned retries = 0;
  for (int i = 0; i < 10'000; ++i) {
    budget.deposit(20);
    if (budget.withdraw(kNow)) ++retries;
  }
  EXPECT_EQ(retries, 2'000u);
}

}  // namespace
}  // namespace weir::upstream
