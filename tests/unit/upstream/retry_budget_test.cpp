#include "upstream/retry_budget.h"

#include <gtest/gtest.h>

namespace weir::upstream {
namespace {

constexpr std::uint64_t kNow = 5'000'000;

unsigned drain(RetryBudget& budget, std::uint64_t now_ms) {
  unsigned retries = 0;
  while (budget.withdraw(now_ms, true)) ++retries;
  return retries;
}

TEST(RetryBudget, ANewOneGrantsThirty) {
  RetryBudget budget(kNow, 1);
  EXPECT_EQ(drain(budget, kNow), 30u);
  EXPECT_FALSE(budget.withdraw(kNow, true));
}

// However many workers a machine has: what they get for nothing is for all of them.
TEST(RetryBudget, WhatIsFreeIsSharedByTheWorkers) {
  for (const unsigned workers : {1U, 2U, 5U, 10U}) {
    unsigned at_once = 0;
    unsigned later = 0;
    for (unsigned worker = 0; worker < workers; ++worker) {
      RetryBudget budget(kNow, workers);
      at_once += drain(budget, kNow);
      later += drain(budget, kNow + 1'000);
    }
    EXPECT_EQ(at_once, 30u) << workers;
    EXPECT_EQ(later, 10u) << workers;
  }
  RetryBudget one_of_many(kNow, 512);
  EXPECT_EQ(drain(one_of_many, kNow), 1u) << "less than one would be none";
}

// 600 requests in three seconds over four workers, half of which fail: 1 % of them, and the 60 that
// come by themselves, instead of all.
TEST(RetryBudget, OnePercentIsOnePercent) {
  unsigned retries = 0;
  for (unsigned worker = 0; worker < 4; ++worker) {
    RetryBudget budget(kNow, 4);
    for (unsigned i = 0; i < 150; ++i) {
      budget.deposit(1);
      if (i % 2 == 0 && budget.withdraw(kNow + std::uint64_t{20} * i, true)) ++retries;
    }
  }
  EXPECT_LE(retries, 66u);
  EXPECT_GE(retries, 56u);
}

// Servers that do well every other moment: the share is not spent from each purse.
TEST(RetryBudget, TheShareIsSpentOnce) {
  RetryBudget budget(kNow, 1);
  (void)drain(budget, kNow);
  unsigned retries = 0;
  for (int i = 0; i < 1'000; ++i) {
    budget.deposit(20);
    for (const bool others_do_well : {false, true}) {
      if (budget.withdraw(kNow, others_do_well)) ++retries;
    }
  }
  EXPECT_LE(retries, 200u);
}

TEST(RetryBudget, FiveRequestsPayForOneRetry) {
  RetryBudget budget(kNow, 1);
  (void)drain(budget, kNow);
  for (int i = 0; i < 4; ++i) budget.deposit(20);
  EXPECT_FALSE(budget.withdraw(kNow, true));
  budget.deposit(20);
  EXPECT_TRUE(budget.withdraw(kNow, true));
  EXPECT_FALSE(budget.withdraw(kNow, true));
}

TEST(RetryBudget, TenASecondComeByThemselves) {
  RetryBudget budget(kNow, 1);
  (void)drain(budget, kNow);
  EXPECT_FALSE(budget.withdraw(kNow + 99, true));
  EXPECT_TRUE(budget.withdraw(kNow + 100, true)) << "asking in vain loses nothing";
  EXPECT_FALSE(budget.withdraw(kNow + 100, true));
  EXPECT_EQ(drain(budget, kNow + 1'100), 10u);
}

TEST(RetryBudget, NeverGrantsMoreThanItsMaximumAtOnce) {
  RetryBudget rich(kNow, 1);
  for (int i = 0; i < 100'000; ++i) rich.deposit(20);
  EXPECT_EQ(drain(rich, kNow), 500u);
  RetryBudget old(kNow, 1);
  EXPECT_EQ(drain(old, kNow + 365ull * 86'400'000), 30u) << "quiet times save three seconds";
}

TEST(RetryBudget, TheShareIsThePlans) {
  for (const std::uint32_t percent : {0u, 1u, 50u, 100u}) {
    RetryBudget budget(kNow, 1);
    (void)drain(budget, kNow);
    for (int i = 0; i < 300; ++i) budget.deposit(percent);
    EXPECT_EQ(drain(budget, kNow), percent * 3) << percent;
  }
}

// When everything fails every request asks for a retry: a fifth of them gets one.
TEST(RetryBudget, UnderTotalFailureRetriesStayAFifth) {
  RetryBudget budget(kNow, 1);
  (void)drain(budget, kNow);
  unsigned retries = 0;
  for (int i = 0; i < 10'000; ++i) {
    budget.deposit(20);
    if (budget.withdraw(kNow, true)) ++retries;
  }
  EXPECT_EQ(retries, 2'000u);
}

// What good times have left over is not for servers that are slow all together: what they get in
// six seconds of 200 requests each is at most 1.2 times that, over all workers.
TEST(RetryBudget, WhenNobodyDoesWellTheShareIsAll) {
  for (const unsigned workers : {1U, 2U, 4U}) {
    unsigned retries = 0;
    for (unsigned worker = 0; worker < workers; ++worker) {
      RetryBudget budget(kNow, workers);
      for (int i = 0; i < 100'000; ++i) budget.deposit(20);
      for (unsigned i = 0; i < 1'200 / workers; ++i) {
        budget.deposit(20);
        if (budget.withdraw(kNow + std::uint64_t{5} * workers * i, false)) ++retries;
      }
      EXPECT_TRUE(budget.withdraw(kNow + 6'000, true)) << "the savings are still there";
    }
    EXPECT_LE(retries, 240u) << workers;
    EXPECT_GE(retries, 216u) << workers;
  }
}

TEST(RetryBudget, AQuietBackendCanStillRetry) {
  RetryBudget budget(kNow, 1);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(budget.withdraw(kNow, false)) << i;
  EXPECT_FALSE(budget.withdraw(kNow, false));
  EXPECT_TRUE(budget.withdraw(kNow + 1'000, false)) << "one a second";
}

}  // namespace
}  // namespace weir::upstream
