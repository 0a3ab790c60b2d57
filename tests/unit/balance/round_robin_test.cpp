#include "balance/round_robin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/prng.h"
#include "fake_servers.h"

namespace weir::balance {
namespace {

const std::vector<Weights> kWeightSets = {
    {1},          {5},       {1, 1},        {3, 3, 3}, {2, 1},          {5, 1, 1},
    {1, 2, 3, 4}, {0, 1, 2}, {0, 1, 0, 1},  {100, 1},  {7, 7, 7, 1},    {1000, 999, 998},
    {1, 1000},    {2, 4, 8}, {3, 5, 7, 11}, {0, 0, 4}, {13, 1, 1, 1, 1}};

TEST(RoundRobin, EveryWindowOfTheSumHoldsEachWeightExactly) {
  for (const Weights& weights : kWeightSets) {
    for (const std::uint64_t seed : {0ULL, 1ULL, 2ULL, 3ULL, 0xDEADBEEFULL, ~0ULL}) {
      RoundRobin policy(weights, seed);
      const FakeServers servers(weights.size());
      const std::size_t window = sum(weights);
      const auto sequence = picks(policy, servers, window * 2 + 50);
      Weights seen = tally(std::span(sequence).first(window), weights.size());
      for (std::size_t start = 0; start + window < sequence.size(); ++start) {
        // Equal weights: the cursor repeats after one turn each, which divides the window.
        ASSERT_EQ(seen, weights) << "seed " << seed << " from " << start;
        --seen[sequence[start]];
        ++seen[sequence[start + window]];
      }
    }
  }
}

TEST(RoundRobin, AThousandWeightsAreExact) {
  Prng prng(1);
  Weights weights(1'000);
  for (std::uint32_t& weight : weights) weight = static_cast<std::uint32_t>(prng.bounded(50));
  RoundRobin policy(weights, 3);
  const FakeServers servers(weights.size());
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(tally(picks(policy, servers, sum(weights)), weights.size()), weights);
  }
}

// Smooth: inside any window, however short, a server's count stays near its share. Two is what
// the textbook algorithm (add the weights, take the highest, subtract the sum) keeps as well.
TEST(RoundRobin, NeverStraysFromTheShare) {
  for (const Weights& weights : kWeightSets) {
    RoundRobin policy(weights, 9);
    const double total = sum(weights);
    const auto sequence = picks(policy, FakeServers(weights.size()), sum(weights) * 2);
    for (std::size_t server = 0; server < weights.size(); ++server) {
      double ahead = 0;
      double most = 0;
      double least = 0;
      for (const std::uint32_t chosen : sequence) {
        ahead += (chosen == server ? 1.0 : 0.0) - weights[server] / total;
        most = std::max(most, ahead);
        least = std::min(least, ahead);
      }
      EXPECT_LE(most - least, 2.0);
    }
  }
}

TEST(RoundRobin, LightServersLieBetweenTheTurnsOfAHeavyOne) {
  RoundRobin policy(Weights{10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 0);
  const auto sequence = picks(policy, FakeServers(11), 100);
  for (std::size_t i = 0; i + 1 < sequence.size(); ++i) {
    EXPECT_NE(sequence[i] == 0, sequence[i + 1] == 0);
  }
}

TEST(RoundRobin, AHeavyServerIsNotServedInABurst) {
  RoundRobin policy(Weights{4, 4, 1}, 0);
  const auto sequence = picks(policy, FakeServers(3), 90);
  for (std::size_t i = 0; i + 2 < sequence.size(); ++i) {
    EXPECT_FALSE(sequence[i] == sequence[i + 1] && sequence[i] == sequence[i + 2]);
  }
}

TEST(RoundRobin, ConsecutiveSeedsStartAtDifferentServers) {
  std::set<std::uint32_t> starts;
  for (std::uint64_t seed = 1'000; seed < 1'004; ++seed) {
    RoundRobin policy(Weights{1, 1, 1, 1}, seed);
    starts.insert(policy.pick(FakeServers(4), Attempt{}).value());
  }
  EXPECT_EQ(starts.size(), 4U);
}

TEST(RoundRobin, WorkersWithWeightsDoNotMarchInStep) {
  // Sixteen workers choose at the same time: the crowd of each moment follows the weights too.
  const Weights weights{6, 1, 1};
  std::vector<RoundRobin> workers;
  for (std::uint64_t seed = 0; seed < 16; ++seed) workers.emplace_back(weights, seed);
  const FakeServers servers(3);
  for (int moment = 0; moment < 8; ++moment) {
    Weights crowd(3, 0);
    for (RoundRobin& worker : workers) ++crowd[worker.pick(servers, Attempt{}).value()];
    EXPECT_NEAR(crowd[0], 12, 3);
    EXPECT_LE(crowd[1], 5U);
    EXPECT_LE(crowd[2], 5U);
  }
}

TEST(RoundRobin, NoServerNoChoice) {
  RoundRobin empty(Weights{}, 1);
  EXPECT_EQ(empty.pick(FakeServers(0), Attempt{}), std::nullopt);
  for (const Weights& weights : {Weights{0, 0}, Weights{1, 1}, Weights{1, 2}}) {
    RoundRobin policy(weights, 1);
    FakeServers servers(2);
    servers.up = {false, false};
    EXPECT_EQ(policy.pick(servers, Attempt{}), std::nullopt);
  }
  RoundRobin drained(Weights{0, 0}, 1);
  EXPECT_EQ(drained.pick(FakeServers(2), Attempt{}), std::nullopt);
}

TEST(RoundRobin, TheRestKeepsItsSharesWhenServersFallOut) {
  for (const Weights& weights : {Weights{1, 1, 1, 1}, Weights{5, 3, 1, 2}, Weights{9, 9, 1, 1}}) {
    RoundRobin policy(weights, 5);
    FakeServers servers(4);
    (void)picks(policy, servers, 7);
    servers.up[0] = false;
    Weights rest = weights;
    rest[0] = 0;
    for (int round = 0; round < 20; ++round) {
      EXPECT_EQ(tally(picks(policy, servers, sum(rest)), 4), rest);
    }
  }
}

TEST(RoundRobin, AReturningServerIsNotFlooded) {
  for (const Weights& weights : {Weights{1, 1}, Weights{2, 1}, Weights{1, 2}, Weights{10, 1}}) {
    RoundRobin policy(weights, 2);
    FakeServers servers(2);
    servers.up[0] = false;
    (void)picks(policy, servers, 10'000);
    servers.up[0] = true;
    // At most the one turn it kept comes on top of its share before the other is served again.
    const auto sequence = picks(policy, servers, 10 * sum(weights));
    const auto other = std::find(sequence.begin(), sequence.end(), 1U);
    EXPECT_LE(other - sequence.begin(), weights[0] + 1);
    for (int round = 0; round < 5; ++round) {
      EXPECT_EQ(tally(picks(policy, servers, sum(weights)), 2), weights);
    }
  }
}

// A server may be up for single picks only; the others must not lose their order by it.
TEST(RoundRobin, NobodyStarvesWhileServersFlap) {
  Prng prng(4);
  for (const Weights& weights : {Weights{1, 1, 1, 1}, Weights{8, 4, 2, 1}}) {
    RoundRobin policy(weights, 6);
    FakeServers servers(4);
    std::vector<int> last(4, 0);
    for (int i = 1; i < 20'000; ++i) {
      for (int flap = 0; flap < 3; ++flap) servers.up[flap] = prng.bounded(2) == 0;
      const std::uint32_t server = policy.pick(servers, Attempt{}).value();
      ASSERT_TRUE(servers.up[server]);
      last[server] = i;
      ASSERT_LE(i - last[3], 40) << "the steady server is forgotten";
    }
  }
}

TEST(RoundRobin, ARetryGoesElsewhere) {
  for (const Weights& weights : {Weights{1, 1, 1}, Weights{4, 1, 1}}) {
    RoundRobin policy(weights, 7);
    FakeServers servers(3);
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(policy.pick(servers, excluding({0, 2})), 1U);
      EXPECT_NE(policy.pick(servers, excluding({1})), 1U);
      EXPECT_EQ(policy.pick(servers, excluding({2, 0, 1})), std::nullopt);
    }
    servers.up[1] = false;
    EXPECT_EQ(policy.pick(servers, excluding({0, 2})), std::nullopt);
    EXPECT_EQ(policy.pick(servers, excluding({0})), 2U);
  }
}

// The order of first choices is the same whatever is tried again in between.
TEST(RoundRobin, ARetryTakesNobodysTurn) {
  for (const Weights& weights : kWeightSets) {
    RoundRobin calm(weights, 3);
    RoundRobin busy(weights, 3);
    const FakeServers servers(weights.size());
    Attempt again;
    again.note_choice();
    for (std::uint32_t i = 0; i < sum(weights) * 2; ++i) {
      const Choice chosen = busy.pick(servers, Attempt{});
      ASSERT_EQ(chosen, calm.pick(servers, Attempt{}));
      (void)busy.pick(servers, excluding({*chosen}));
      if (i % 3 == 0) (void)busy.pick(servers, again);
    }
  }
}

// Server 0 refuses and every request it refused goes elsewhere at once: the retries are shared
// by the others in proportion.
TEST(RoundRobin, RetriesAreSharedByTheOthers) {
  RoundRobin policy(Weights{2, 2, 1, 1}, 8);
  const FakeServers servers(4);
  Weights counts(4, 0);
  for (int i = 0; i < 6'000; ++i) {
    std::uint32_t server = policy.pick(servers, Attempt{}).value();
    if (server == 0) server = policy.pick(servers, excluding({0})).value();
    ++counts[server];
  }
  EXPECT_EQ(counts[0], 0U);
  EXPECT_NEAR(counts[1], 3'000, 100);
  EXPECT_NEAR(counts[2], 1'500, 100);
  EXPECT_NEAR(counts[3], 1'500, 100);
}

}  // namespace
}  // namespace weir::balance
