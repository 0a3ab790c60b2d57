#include "balance/balancer.h"

#include <gtest/gtest.h>

#include <iterator>
#include <utility>

#include "base/prng.h"
#include "fake_servers.h"

namespace weir::balance {
namespace {

constexpr Algorithm kAll[] = {Algorithm::round_robin, Algorithm::least_connections,
                              Algorithm::p2c,         Algorithm::ewma,
                              Algorithm::least_load,  Algorithm::random,
                              Algorithm::first,       Algorithm::maglev};

Settings settings_for(Algorithm algorithm, const Weights& weights) {
  Settings settings{.algorithm = algorithm, .maglev = nullptr};
  if (algorithm == Algorithm::maglev) {
    settings.maglev = Maglev::make(Names(weights.size()).views, weights);
  }
  return settings;
}

TEST(Balancer, TheAlgorithmIsTheOneAskedFor) {
  const Weights weights{1, 1};
  FakeServers servers(2);
  servers.busy = {5, 1};
  Balancer round_robin(Algorithm::round_robin, weights, 0);
  EXPECT_EQ(tally(picks(round_robin, servers, 10), 2), (Weights{5, 5}));
  Balancer least(Algorithm::least_connections, weights, 0);
  EXPECT_EQ(tally(picks(least, servers, 10), 2), (Weights{0, 10}));
  // Three servers tell p2c from least_connections: the second best wins sometimes.
  Balancer p2c(Algorithm::p2c, Weights{1, 1, 1}, 0);
  FakeServers three(3);
  three.busy = {1, 2, 3};
  const Weights counts = tally(picks(p2c, three, 300), 3);
  EXPECT_GT(counts[0], 0U);
  EXPECT_GT(counts[1], 0U);
  EXPECT_EQ(counts[2], 0U);
}

TEST(Balancer, TheAlgorithmsThatAskForMoreGetIt) {
  const Weights weights{1, 1, 1};
  FakeServers servers(3);
  servers.busy = {0, 1, 1};
  servers.latency = {9'000, 9'000, 1'000};
  servers.reports = {{true, 9}, {true, 1}, {true, 9}};
  Balancer least_load(Algorithm::least_load, weights, 0);
  EXPECT_EQ(tally(picks(least_load, servers, 10), 3), (Weights{0, 10, 0}));
  Balancer ewma(Algorithm::ewma, Weights{1, 0, 1}, 0);
  EXPECT_EQ(tally(picks(ewma, servers, 10), 3), (Weights{0, 0, 10}));
  Balancer first(Algorithm::first, weights, 0);
  EXPECT_EQ(tally(picks(first, servers, 10), 3), (Weights{10, 0, 0}));
  Balancer random(Algorithm::random, weights, 0);
  for (const std::uint32_t count : tally(picks(random, servers, 300), 3)) EXPECT_GT(count, 50U);
  const Settings settings = settings_for(Algorithm::maglev, weights);
  Balancer keyed(settings, weights, 0);
  for (std::uint64_t key = 0; key < 100; ++key) {
    std::uint64_t sequence = key;
    EXPECT_EQ(keyed.pick(servers, Attempt(key)), (*settings.maglev)[splitmix64(sequence)]);
  }
}

// Whatever the algorithm and the state: a choice is legal, and there is one when one exists.
TEST(Balancer, ChoicesAreLegalAndExistWhenTheyCan) {
  Prng prng(1);
  for (int i = 0; i < 2'000; ++i) {
    const std::size_t count = prng.bounded(6);
    Weights weights(count);
    for (std::uint32_t& weight : weights) weight = static_cast<std::uint32_t>(prng.bounded(4));
    const Settings settings = settings_for(kAll[prng.bounded(std::size(kAll))], weights);
    Balancer balancer(settings, weights, prng());
    for (int j = 0; j < 20; ++j) {
      FakeServers servers(count);
      Attempt attempt(prng());
      bool exists = false;
      for (std::uint32_t server = 0; server < count; ++server) {
        servers.up[server] = prng.bounded(3) != 0;
        servers.busy[server] = static_cast<std::uint32_t>(prng.bounded(4));
        servers.latency[server] = prng.bounded(4);
        servers.reports[server] = {prng.bounded(2) == 0,
                                   static_cast<std::uint32_t>(prng.bounded(3))};
        if (prng.bounded(4) == 0) {
          ASSERT_TRUE(attempt.exclude(server));
        }
        exists |= servers.up[server] && weights[server] != 0 && !attempt.excludes(server);
      }
      const Choice choice = balancer.pick(servers, attempt);
      ASSERT_EQ(choice.has_value(), exists);
      if (!choice) continue;
      ASSERT_TRUE(servers.up[*choice]);
      ASSERT_NE(weights[*choice], 0U);
      ASSERT_FALSE(attempt.excludes(*choice));
    }
  }
}

TEST(Balancer, SameSeedSameChoices) {
  const Weights weights{3, 1, 2};
  for (const Algorithm algorithm : kAll) {
    const Settings settings = settings_for(algorithm, weights);
    Balancer one(settings, weights, 12);
    Balancer two(settings, weights, 12);
    EXPECT_EQ(picks(one, FakeServers(3), 100), picks(two, FakeServers(3), 100));
  }
}

TEST(Balancer, MovingKeepsThePosition) {
  Balancer moved(Algorithm::round_robin, Weights{2, 1, 1}, 0);
  Balancer stayed(Algorithm::round_robin, Weights{2, 1, 1}, 0);
  const FakeServers servers(3);
  EXPECT_EQ(picks(moved, servers, 3), picks(stayed, servers, 3));
  Balancer target = std::move(moved);
  EXPECT_EQ(picks(target, servers, 9), picks(stayed, servers, 9));
}

}  // namespace
}  // namespace weir::balance
