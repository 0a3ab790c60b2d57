#include "balance/p2c.h"

#include <gtest/gtest.h>

#include "fake_servers.h"

namespace weir::balance {
namespace {

TEST(P2c, AnIdleBackendIsUsedByWeight) {
  for (const Weights& weights :
       {Weights{1, 1}, Weights{3, 1}, Weights{1, 0, 2}, Weights{5, 1, 1, 3}, Weights(20, 7),
        Weights{0, 5, 1, 0, 0, 1, 3, 2, 0}}) {
    P2c policy(weights, 11);
    const Weights counts =
        tally(picks(policy, FakeServers(weights.size()), kPicks), weights.size());
    for (std::size_t server = 0; server < weights.size(); ++server) {
      expect_share(counts[server], double(weights[server]) / sum(weights), kPicks);
    }
  }
}

TEST(P2c, TheLoadedOneOfTwoNeverWins) {
  FakeServers servers(2);
  P2c equal(Weights{1, 1}, 1);
  servers.busy = {10, 1};
  EXPECT_EQ(tally(picks(equal, servers, 1'000), 2), (Weights{0, 1'000}));
  P2c weighted(Weights{9, 1}, 1);  // 10 / 9 is more than 1 / 1, 8 / 9 is less.
  EXPECT_EQ(tally(picks(weighted, servers, 1'000), 2), (Weights{0, 1'000}));
  servers.busy = {8, 1};
  EXPECT_EQ(tally(picks(weighted, servers, 1'000), 2), (Weights{1'000, 0}));
}

TEST(P2c, HugeNumbersDoNotWrap) {
  P2c policy(Weights{kWeightMax, 1}, 0);
  FakeServers servers(2);
  servers.busy = {0xFFFF'FFFF, 65'538};  // 65,537 against 65,538.
  EXPECT_EQ(policy.pick(servers, Attempt{}), 0U);
  servers.busy = {0xFFFF'FFFF, 65'536};
  EXPECT_EQ(policy.pick(servers, Attempt{}), 1U);
}

// With different loads, the k-th best of n equal servers wins with probability
// 2 (n - k) / (n (n - 1)), k from 1: the chance that it is in the pair with a worse one.
TEST(P2c, FollowsTheLawOfTwoChoices) {
  constexpr std::size_t kServers = 10;
  P2c policy(Weights(kServers, 1), 5);
  FakeServers servers(kServers);
  for (std::uint32_t server = 0; server < kServers; ++server) servers.busy[server] = server;
  const Weights counts = tally(picks(policy, servers, kPicks), kServers);
  for (std::size_t k = 1; k <= kServers; ++k) {
    expect_share(counts[k - 1], 2.0 * static_cast<double>(kServers - k) / 90, kPicks);
  }
  EXPECT_EQ(counts.back(), 0U);
}

TEST(P2c, DrawsTheSecondByWeightAmongTheOthers) {
  // Server 0 always loses, so the winner is the other one of the pair.
  const Weights weights{4, 3, 1};
  P2c policy(weights, 6);
  FakeServers servers(3);
  servers.busy = {1'000, 0, 0};
  const Weights counts = tally(picks(policy, servers, kPicks), 3);
  EXPECT_EQ(counts[0], 0U);
  // P(1) = P(0 first, 1 second) + P(1 first); a tie of 1 and 2 goes to the first.
  expect_share(counts[1], 4.0 / 8 * 3 / 4 + 3.0 / 8, kPicks);
}

TEST(P2c, FewUsableServersKeepTheirShares) {
  Weights weights(1'000, 1);
  weights[10] = 2;
  P2c policy(weights, 7);
  FakeServers servers(1'000);
  servers.up.assign(1'000, false);
  servers.up[10] = servers.up[500] = servers.up[999] = true;
  const Weights counts = tally(picks(policy, servers, 10'000), 1'000);
  expect_share(counts[10], 0.50, 10'000);
  expect_share(counts[500], 0.25, 10'000);
  expect_share(counts[999], 0.25, 10'000);
  servers.busy[10] = 1'000;
  servers.busy[500] = 2'000;
  EXPECT_EQ(tally(picks(policy, servers, 1'000), 1'000)[500], 0U);
}

TEST(P2c, TheLastUsableServerIsChosen) {
  for (const Weights& weights : {Weights{1, 1, 1}, Weights{1, 100, 50}, Weights{3, 0, 0}}) {
    P2c policy(weights, 8);
    FakeServers servers(3);
    servers.up = {true, false, false};
    servers.busy[0] = 100;
    for (const std::uint32_t server : picks(policy, servers, 200)) ASSERT_EQ(server, 0U);
  }
}

TEST(P2c, NoServerNoChoice) {
  P2c empty(Weights{}, 1);
  EXPECT_EQ(empty.pick(FakeServers(0), Attempt{}), std::nullopt);
  for (const Weights& weights : {Weights{0, 0}, Weights{0}, Weights{1, 1}, Weights{0, 7}}) {
    P2c policy(weights, 1);
    FakeServers servers(weights.size());
    servers.up.assign(weights.size(), false);
    EXPECT_EQ(policy.pick(servers, Attempt{}), std::nullopt);
  }
  for (const std::size_t count : {1, 2, 10}) {
    P2c drained(Weights(count, 0), 1);
    EXPECT_EQ(drained.pick(FakeServers(count), Attempt{}), std::nullopt);
  }
}

TEST(P2c, ARetryGoesElsewhere) {
  P2c policy(Weights{100, 1, 1}, 7);
  FakeServers servers(3);
  servers.busy = {0, 50, 90};
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(policy.pick(servers, excluding({0})), 1U);
    ASSERT_EQ(policy.pick(servers, excluding({0, 1})), 2U);
    ASSERT_EQ(policy.pick(servers, excluding({0, 1, 2})), std::nullopt);
  }
}

TEST(P2c, ADrainedServerIsNeverDrawn) {
  P2c policy(Weights{0, 1, 0, 1, 0}, 3);
  const Weights counts = tally(picks(policy, FakeServers(5), 10'000), 5);
  EXPECT_EQ(counts[0] + counts[2] + counts[4], 0U);
}

TEST(P2c, WorkersChooseDifferently) {
  const Weights weights(50, 1);
  P2c one(weights, 1);
  P2c two(weights, 2);
  const FakeServers servers(50);
  const auto a = picks(one, servers, 1'000);
  const auto b = picks(two, servers, 1'000);
  int same = 0;
  for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i];
  EXPECT_LT(same, 60);  // 20 expected.
}

// What two choices are for: balls into bins, the fullest bin stays close to the average.
TEST(P2c, RequestsThatStaySpreadEvenly) {
  P2c policy(Weights(100, 1), 9);
  FakeServers servers(100);
  for (int i = 0; i < 10'000; ++i) ++servers.busy[policy.pick(servers, Attempt{}).value()];
  EXPECT_LE(*std::max_element(servers.busy.begin(), servers.busy.end()), 104U);
}

}  // namespace
}  // namespace weir::balance
