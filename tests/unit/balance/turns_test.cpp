#include "balance/turns.h"

#include <gtest/gtest.h>

#include "base/prng.h"
#include "fake_servers.h"

namespace weir::balance {
namespace {

std::uint32_t take_earliest(Turns& turns) {
  Choice best;
  for (std::uint32_t server = 0; server < turns.count(); ++server) {
    if (turns[server].weight == 0) continue;
    if (!best || turns[server].due < turns[*best].due) best = server;
  }
  turns.take(best.value());
  return *best;
}

TEST(Turns, ExtremeWeightsKeepTheirShareExactly) {
  const Weights weights{kWeightMax, 1, kWeightMax - 1, 7};
  for (const std::uint64_t seed : {0ULL, 1ULL, 77ULL}) {
    Turns turns(weights, seed);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::uint32_t> sequence;
      for (std::uint32_t i = 0; i < sum(weights); ++i) sequence.push_back(take_earliest(turns));
      EXPECT_EQ(tally(sequence, weights.size()), weights);
    }
  }
}

// Whatever is taken in whatever order, a turn stays within two rounds of the clock: nothing can
// overflow after years.
TEST(Turns, TakingInAnyOrderStaysInRange) {
  Prng prng(1);
  const Weights weights{1, 2, 1'000, kWeightMax, 3};
  Turns turns(weights, 5);
  for (int i = 0; i < 200'000; ++i) {
    const auto server = static_cast<std::uint32_t>(prng.bounded(weights.size()));
    turns.take(server);
    for (std::uint32_t other = 0; other < turns.count(); ++other) {
      ASSERT_LT(turns[other].due, std::int64_t{1} << 31);
    }
  }
}

TEST(TurnsDeathTest, RefusesAWeightItCannotHonour) {
  const Weights weights{kWeightMax + 1};
  EXPECT_DEATH(Turns(weights, 0), "CHECK failed");
}

// One server is always free and begins a round with every turn; the others are free one by one.
TEST(Turns, ThoseLeftOutComeInTheOrderOfTheirWaiting) {
  const std::vector<std::uint32_t> weights(6, 1);
  Turns turns(weights, 7);
  std::vector<unsigned> taken(weights.size());
  for (int i = 0; i < 1'000; ++i) {
    turns.take(0);
    std::uint32_t longest = 1;
    for (std::uint32_t server = 2; server < turns.count(); ++server) {
      if (turns[server].due < turns[longest].due) longest = server;
    }
    turns.take(longest);
    ++taken[longest];
  }
  for (std::uint32_t server = 1; server < turns.count(); ++server) {
    EXPECT_EQ(taken[server], 200u) << server;
  }
}

}  // namespace
}  // namespace weir::balance
