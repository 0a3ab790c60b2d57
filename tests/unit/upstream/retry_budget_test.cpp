#include "upstream/retry_budget.h"

#include <gtest/gtest.h>

namespace weir::upstream {
namespace {

constexpr std::uint64_t kNow = 5'000'000;
constexpr auto kBroken = RetryBudget::Cause::broken;
constexpr auto kOverloaded = RetryBudget::Cause::overloaded;

unsigned drain(RetryBudget& budget, std::uint64_t now_ms) {
  unsigned retries = 0;
  while (budget.withdraw(now_ms, kBroken)) ++retries;
  return retries;
}

TEST(RetryBudget, ANewOneGrantsAHundred) {
  RetryBudget budget(kNow);
  EXPECT_EQ(drain(budget, kNow), 100u);
  EXPECT_FALSE(budget.withdraw(kNow, kBroken));
}

TEST(RetryBudget, FiveRequestsPayForOneRetry) {
  RetryBudget budget(kNow);
  (void)drain(budget, kNow);
  for (int i = 0; i < 4; ++i) budget.deposit(20);
  EXPECT_FALSE(budget.withdraw(kNow, kBroken));
  budget.deposit(20);
  EXPECT_TRUE(budget.withdraw(kNow, kBroken));
  EXPECT_FALSE(budget.withdraw(kNow, kBroken));
}

TEST(RetryBudget, TenASecondComeByThemselves) {
  RetryBudget budget(kNow);
  (void)drain(budget, kNow);
  EXPECT_FALSE(budget.withdraw(kNow + 99, kBroken));
  EXPECT_TRUE(budget.withdraw(kNow + 100, kBroken)) << "asking in vain loses nothing";
  EXPECT_FALSE(budget.withdraw(kNow + 100, kBroken));
  EXPECT_EQ(drain(budget, kNow + 1'100), 10u);
}

TEST(RetryBudget, NeverGrantsMoreThanItsMaximumAtOnce) {
  RetryBudget rich(kNow);
  for (int i = 0; i < 100'000; ++i) rich.deposit(20);
  EXPECT_EQ(drain(rich, kNow), 500u);
  RetryBudget old(kNow);
  EXPECT_EQ(drain(old, kNow + 365ull * 86'400'000), 500u);
}

// When everything fails every request asks for a retry: a fifth of them gets one.
TEST(RetryBudget, UnderTotalFailureRetriesStayAFifth) {
  RetryBudget budget(kNow);
  (void)drain(budget, kNow);
  unsigned retries = 0;
  for (int i = 0; i < 10'000; ++i) {
    budget.deposit(20);
    if (budget.withdraw(kNow, kBroken)) ++retries;
  }
  EXPECT_EQ(retries, 2'000u);
}

// What good times have left over is not for servers that are slow.
TEST(RetryBudget, OverloadIsPaidFromTheShareAlone) {
  RetryBudget budget(kNow);
  for (int i = 0; i < 100'000; ++i) budget.deposit(20);
  unsigned retries = 0;
  for (int i = 0; i < 1'000; ++i) {
    budget.deposit(20);
    if (budget.withdraw(kNow + 5 * static_cast<std::uint64_t>(i), kOverloaded)) ++retries;
  }
  EXPECT_LE(retries, 200u);
  EXPECT_GE(retries, 190u);
  EXPECT_TRUE(budget.withdraw(kNow + 5'000, kBroken)) << "the savings are not touched by the rest";
}

TEST(RetryBudget, AnEmptyPurseIsEmptyForBothKinds) {
  RetryBudget budget(kNow);
  (void)drain(budget, kNow);
  EXPECT_FALSE(budget.withdraw(kNow, kOverloaded));
}

}  // namespace
}  // namespace weir::upstream
