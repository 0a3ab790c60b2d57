#include "balance/least_connections.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/prng.h"
#include "fake_servers.h"

namespace weir::balance {
namespace {

TEST(LeastConnections, ChoosesTheLeastLoadedPerWeight) {
  // The definition, written as fractions, on random states.
  Prng prng(1);
  for (int i = 0; i < 5'000; ++i) {
    const std::size_t count = 1 + prng.bounded(8);
    Weights weights(count);
    FakeServers servers(count);
    for (std::size_t server = 0; server < count; ++server) {
      weights[server] = static_cast<std::uint32_t>(prng.bounded(5));
      servers.busy[server] = static_cast<std::uint32_t>(prng.bounded(6));
      servers.up[server] = prng.bounded(4) != 0;
    }
    LeastConnections policy(weights, i);
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t server = 0; server < count; ++server) {
      if (servers.up[server] && weights[server] != 0) {
        least = std::min(least, double(servers.busy[server]) / weights[server]);
      }
    }
    const Choice choice = policy.pick(servers, Attempt{});
    ASSERT_EQ(choice.has_value(), least < std::numeric_limits<double>::infinity());
    if (!choice) continue;
    ASSERT_TRUE(servers.up[*choice]);
    ASSERT_DOUBLE_EQ(double(servers.busy[*choice]) / weights[*choice], least);
  }
}

TEST(LeastConnections, HugeNumbersDoNotWrap) {
  LeastConnections policy(Weights{kWeightMax, 1}, 0);
  FakeServers servers(2);
  servers.busy = {0xFFFF'FFFF, 65'538};  // 65,537 against 65,538.
  EXPECT_EQ(policy.pick(servers, Attempt{}), 0U);
  servers.busy = {0xFFFF'FFFF, 65'536};
  EXPECT_EQ(policy.pick(servers, Attempt{}), 1U);
}

TEST(LeastConnections, TiesRotateExactly) {
  LeastConnections policy(Weights(5, 1), 3);
  const auto sequence = picks(policy, FakeServers(5), 100);
  for (std::size_t start = 0; start + 5 <= sequence.size(); ++start) {
    const std::set<std::uint32_t> window(sequence.begin() + start, sequence.begin() + start + 5);
    ASSERT_EQ(window.size(), 5U);
  }
}

TEST(LeastConnections, AnIdleBackendIsUsedByWeight) {
  const Weights weights{3, 1, 0, 2};
  LeastConnections policy(weights, 4);
  const FakeServers servers(4);
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(tally(picks(policy, servers, sum(weights)), 4), weights);
  }
}

TEST(LeastConnections, TiesOfSomeRotateAmongThose) {
  LeastConnections policy(Weights(4, 1), 0);
  FakeServers servers(4);
  servers.busy = {1, 0, 1, 0};
  EXPECT_EQ(tally(picks(policy, servers, 100), 4), (Weights{0, 50, 0, 50}));
  // Those left out do not now get a hundred in a row.
  servers.busy = {0, 0, 0, 0};
  const Weights next = tally(picks(policy, servers, 8), 4);
  for (const std::uint32_t count : next) {
    EXPECT_GE(count, 1U);
    EXPECT_LE(count, 3U);
  }
}

TEST(LeastConnections, RequestsThatStaySpreadByWeight) {
  const Weights weights{1, 2, 5};
  LeastConnections policy(weights, 2);
  FakeServers servers(3);
  for (int i = 0; i < 800; ++i) ++servers.busy[policy.pick(servers, Attempt{}).value()];
  EXPECT_EQ(servers.busy, (Weights{100, 200, 500}));
}

TEST(LeastConnections, ASlowServerGetsLess) {
  // Each request lasts ten times longer at server 0.
  LeastConnections policy(Weights{1, 1}, 2);
  FakeServers servers(2);
  std::vector<std::pair<int, std::uint32_t>> ends;
  Weights counts(2, 0);
  for (int now = 0; now < 20'000; ++now) {
    std::erase_if(ends, [&](const auto& end) {
      if (end.first > now) return false;
      --servers.busy[end.second];
      return true;
    });
    const std::uint32_t server = policy.pick(servers, Attempt{}).value();
    ++counts[server];
    ++servers.busy[server];
    ends.emplace_back(now + (server == 0 ? 100 : 10), server);
  }
  EXPECT_GT(counts[1], 8 * counts[0]);
  EXPECT_GT(counts[0], 1'000U);
}

TEST(LeastConnections, WorkersStartAtDifferentServers) {
  std::vector<std::uint32_t> starts;
  for (std::uint64_t seed = 40; seed < 56; ++seed) {
    LeastConnections policy(Weights(4, 1), seed);
    starts.push_back(policy.pick(FakeServers(4), Attempt{}).value());
  }
  for (const std::uint32_t count : tally(starts, 4)) EXPECT_NEAR(count, 4, 2);
}

TEST(LeastConnections, ARetryGoesElsewhere) {
  LeastConnections policy(Weights{1, 1, 1}, 7);
  FakeServers servers(3);
  servers.busy = {0, 5, 9};
  EXPECT_EQ(policy.pick(servers, excluding({0})), 1U);
  EXPECT_EQ(policy.pick(servers, excluding({0, 1})), 2U);
  EXPECT_EQ(policy.pick(servers, excluding({0, 1, 2})), std::nullopt);
  servers.up[1] = false;
  EXPECT_EQ(policy.pick(servers, excluding({0})), 2U);
}

TEST(LeastConnections, NoServerNoChoice) {
  LeastConnections empty(Weights{}, 1);
  EXPECT_EQ(empty.pick(FakeServers(0), Attempt{}), std::nullopt);
  LeastConnections drained(Weights{0, 0}, 1);
  EXPECT_EQ(drained.pick(FakeServers(2), Attempt{}), std::nullopt);
}

}  // namespace
}  // namespace weir::balance
