#include "balance/random.h"

#include <gtest/gtest.h>

#include "balance/first.h"
#include "fake_servers.h"

namespace weir::balance {
namespace {

TEST(Random, FollowsTheWeightsWhateverTheLoad) {
  for (const Weights& weights :
       {Weights{1}, Weights{3, 1}, Weights{1, 0, 2}, Weights{5, 1, 1, 3, 0, 7}, Weights(20, 7)}) {
    Random policy(weights, 3);
    FakeServers servers(weights.size());
    servers.busy[0] = 1'000;
    const Weights counts = tally(picks(policy, servers, kPicks), weights.size());
    for (std::size_t server = 0; server < weights.size(); ++server) {
      expect_share(counts[server], double(weights[server]) / sum(weights), kPicks);
    }
  }
}

TEST(Random, TheUsableKeepTheirProportions) {
  Random policy(Weights{4, 2, 1, 1, 1, 1}, 3);
  FakeServers servers(6);
  servers.up[0] = false;
  const Weights counts = tally(picks(policy, servers, kPicks), 6);
  EXPECT_EQ(counts[0], 0U);
  expect_share(counts[1], 2 / 6.0, kPicks);
  EXPECT_EQ(policy.pick(servers, excluding({1, 2, 3, 4})), 5U);
  EXPECT_EQ(policy.pick(servers, excluding({1, 2, 3, 4, 5})), std::nullopt);
}

TEST(First, IsTheFirstThatMayBeChosen) {
  const First policy(Weights{0, 1, 5, 1});
  FakeServers servers(4);
  EXPECT_EQ(policy.pick(servers, Attempt{}), 1U);
  EXPECT_EQ(policy.pick(servers, Attempt{}), 1U);
  EXPECT_EQ(policy.pick(servers, excluding({1})), 2U);
  servers.up[1] = false;
  EXPECT_EQ(policy.pick(servers, Attempt{}), 2U);
  servers.up[2] = false;
  EXPECT_EQ(policy.pick(servers, Attempt{}), 3U);
  EXPECT_EQ(policy.pick(servers, excluding({3})), std::nullopt);
  EXPECT_EQ(First(Weights{}).pick(FakeServers(0), Attempt{}), std::nullopt);
}

}  // namespace
}  // namespace weir::balance
