#include "balance/policy.h"

#include <gtest/gtest.h>

namespace weir::balance {
namespace {

TEST(Attempt, StartsWithNothingExcluded) {
  const Attempt attempt(99);
  EXPECT_EQ(attempt.key(), 99U);
  for (std::uint32_t server = 0; server < 100; ++server) EXPECT_FALSE(attempt.excludes(server));
}

TEST(Attempt, RemembersUpToItsLimitAndSaysWhenFull) {
  Attempt attempt;
  for (std::uint32_t i = 0; i < Attempt::kTriedMax; ++i) EXPECT_TRUE(attempt.exclude(i * 10));
  EXPECT_FALSE(attempt.exclude(5));
  EXPECT_FALSE(attempt.excludes(5));
  for (std::uint32_t i = 0; i < Attempt::kTriedMax; ++i) EXPECT_TRUE(attempt.excludes(i * 10));
}

}  // namespace
}  // namespace weir::balance
