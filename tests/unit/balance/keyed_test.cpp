#include "balance/keyed.h"

#include <gtest/gtest.h>

#include "fake_servers.h"

namespace weir::balance {
namespace {

Keyed make_keyed(const Weights& weights, std::uint32_t load_percent) {
  return {Maglev::make(Names(weights.size()).views, weights), weights, load_percent};
}

std::vector<std::uint32_t> for_keys(Keyed& policy, const FakeServers& servers, std::uint64_t keys) {
  std::vector<std::uint32_t> sequence;
  for (std::uint64_t key = 0; key < keys; ++key) {
    sequence.push_back(policy.pick(servers, Attempt(key)).value());
  }
  return sequence;
}

constexpr std::uint64_t kKeys = 20'000;

TEST(Keyed, AKeyKeepsItsServer) {
  Keyed one = make_keyed({1, 1, 1, 1}, 150);
  Keyed two = make_keyed({1, 1, 1, 1}, 150);
  const FakeServers servers(4);
  EXPECT_EQ(for_keys(one, servers, kKeys), for_keys(two, servers, kKeys));
  EXPECT_EQ(for_keys(one, servers, kKeys), for_keys(one, servers, kKeys));
}

TEST(Keyed, KeysFollowTheWeights) {
  const Weights weights{1, 0, 3, 6};
  Keyed policy = make_keyed(weights, 150);
  const Weights counts = tally(for_keys(policy, FakeServers(4), kKeys), 4);
  for (std::size_t i = 0; i < 4; ++i) expect_share(counts[i], weights[i] / 10.0, kKeys);
}

TEST(Keyed, OnlyTheKeysOfADownServerMoveAndEvenly) {
  Keyed policy = make_keyed(Weights(10, 1), 150);
  FakeServers servers(10);
  const auto before = for_keys(policy, servers, kKeys);
  servers.up[4] = false;
  const auto during = for_keys(policy, servers, kKeys);
  Weights heirs(10, 0);
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    if (before[key] == 4) {
      ++heirs[during[key]];
    } else {
      ASSERT_EQ(before[key], during[key]);
    }
  }
  const std::uint32_t inherited = sum(heirs);
  EXPECT_EQ(heirs[4], 0U);
  for (const std::uint32_t server : {0, 3, 9}) expect_share(heirs[server], 1 / 9.0, inherited);
  servers.up[4] = true;
  EXPECT_EQ(for_keys(policy, servers, kKeys), before);
}

TEST(Keyed, ARetryGoesToTheKeysNextServer) {
  Keyed policy = make_keyed(Weights(5, 1), 150);
  FakeServers servers(5);
  for (std::uint64_t key = 0; key < 1'000; ++key) {
    const std::uint32_t first = policy.pick(servers, Attempt(key)).value();
    Attempt retry(key);
    ASSERT_TRUE(retry.exclude(first));
    const std::uint32_t second = policy.pick(servers, retry).value();
    ASSERT_NE(second, first);
    servers.up[first] = false;
    EXPECT_EQ(policy.pick(servers, Attempt(key)), second);
    servers.up[first] = true;
  }
}

// The few that are left among many are found, by weight, the same for a key every time.
TEST(Keyed, FewOfManyServersAreFoundByWeight) {
  Weights weights(300, 1);
  weights[250] = 3;
  Keyed policy = make_keyed(weights, 150);
  FakeServers servers(300);
  servers.up.assign(300, false);
  servers.up[7] = servers.up[250] = true;
  const auto sequence = for_keys(policy, servers, kKeys);
  expect_share(tally(sequence, 300)[7], 0.25, kKeys);
  expect_share(tally(sequence, 300)[250], 0.75, kKeys);
  EXPECT_EQ(for_keys(policy, servers, kKeys), sequence);
}

TEST(Keyed, OneHotKeySpillsOverAtTheBound) {
  for (const std::uint32_t percent : {100U, 150U, 300U}) {
    Keyed policy = make_keyed(Weights(10, 1), percent);
    FakeServers servers(10);
    const std::uint32_t home = policy.pick(servers, Attempt(42)).value();
    for (int i = 0; i < 1'000; ++i) {
      const std::uint32_t server = policy.pick(servers, Attempt(42)).value();
      const double bound = sum(servers.busy) / 10.0 * percent / 100 + 1 + 1e-9;
      ASSERT_LE(servers.busy[server], bound);
      ASSERT_EQ(server == home, servers.busy[home] <= bound);
      ++servers.busy[server];
    }
    EXPECT_NEAR(*std::max_element(servers.busy.begin(), servers.busy.end()), percent, 3);
  }
}

TEST(Keyed, TheBoundFollowsTheWeightAndTheUsable) {
  Keyed policy = make_keyed({1, 3, 1, 1}, 100);
  FakeServers servers(4);
  servers.up = {true, true, false, false};
  servers.busy[3] = 1'000'000;  // Down: no part of the mean.
  for (int i = 0; i < 400; ++i) ++servers.busy[policy.pick(servers, Attempt(7)).value()];
  EXPECT_NEAR(servers.busy[0], 100, 3);
  EXPECT_NEAR(servers.busy[1], 300, 3);
}

TEST(Keyed, WithoutABoundAHotKeyStays) {
  Keyed policy = make_keyed(Weights(10, 1), 0);
  FakeServers servers(10);
  const std::uint32_t home = policy.pick(servers, Attempt(42)).value();
  servers.busy[home] = 0xFFFF'FFFF;
  EXPECT_EQ(policy.pick(servers, Attempt(42)), home);
}

TEST(Keyed, TwoRequestsOfOneKeyStayTogetherWhenNothingElseRuns) {
  Keyed policy = make_keyed(Weights(10, 1), 100);
  FakeServers servers(10);
  const std::uint32_t home = policy.pick(servers, Attempt(42)).value();
  servers.busy[home] = 1;
  EXPECT_EQ(policy.pick(servers, Attempt(42)), home);
}

TEST(Keyed, TheLastServerIsChosenHoweverBusy) {
  Keyed policy = make_keyed(Weights(200, 1), 100);
  FakeServers servers(200);
  servers.busy[77] = 0xFFFF'FFFF;
  EXPECT_NE(policy.pick(servers, Attempt(1)), 77U);  // The sum over all 200 is kept for a while.
  servers.up.assign(200, false);
  servers.up[77] = true;
  for (const std::uint32_t server : for_keys(policy, servers, 100)) ASSERT_EQ(server, 77U);
}

TEST(Keyed, NoServerNoChoice) {
  Keyed empty = make_keyed({}, 150);
  EXPECT_EQ(empty.pick(FakeServers(0), Attempt(1)), std::nullopt);
  Keyed drained = make_keyed({0, 0}, 150);
  EXPECT_EQ(drained.pick(FakeServers(2), Attempt(1)), std::nullopt);
  Keyed policy = make_keyed({1, 1}, 150);
  FakeServers servers(2);
  servers.up = {false, false};
  EXPECT_EQ(policy.pick(servers, Attempt(1)), std::nullopt);
}

TEST(KeyedDeathTest, RefusesATableOfOtherServers) {
  EXPECT_DEATH((Keyed{Maglev::make(Names(2).views, Weights{1, 1}), Weights{1}, 150}), "CHECK");
  EXPECT_DEATH((Keyed{nullptr, Weights{1}, 150}), "CHECK");
}

}  // namespace
}  // namespace weir::balance
