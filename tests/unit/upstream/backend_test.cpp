#include "upstream/backend.h"

#include <gtest/gtest.h>

#include <map>

#include "world.h"

namespace weir::upstream {
namespace {

using Event = health::Passive::Event;
using health::Passive;

constexpr std::uint64_t kNow = 1'000'000;
// Past the first wait of an avoided server, whatever its jitter.
constexpr std::uint64_t kDue = kNow + health::PassiveSettings{}.backoff_ms;

class BackendTest : public testing::Test {
 protected:
  // A backend of `count` equal servers. Nothing is connected.
  Backend& make(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      states.push_back(world.server("s" + std::to_string(i)));
      pools.push_back(std::make_unique<ServerPool>(*states.back(), world.resources()));
      pointers.push_back(pools.back().get());
      plan.servers.push_back(states.back().get());
      plan.weights.push_back(1);
    }
    return backend.emplace(pointers, plan, 7, kNow);
  }
  [[nodiscard]] Passive passive(std::uint32_t server) {
    return Passive::unpack(states[server]->passive.load());
  }
  bool fail(std::uint32_t server, std::uint64_t now_ms = kNow) {
    return backend->report({pointers[server], server, false}, Event::failed, now_ms);
  }
  // How often each server is picked in `count` picks.
  std::map<std::uint32_t, int> spread(int count, std::uint64_t now_ms,
                                      const balance::Attempt& attempt = {}) {
    std::map<std::uint32_t, int> picks;
    for (int i = 0; i < count; ++i) {
      const std::optional<Pick> pick = backend->pick(attempt, now_ms);
      if (pick) ++picks[pick->server];
    }
    return picks;
  }

  test::World world;
  BackendPlan plan;
  std::vector<std::unique_ptr<ServerState>> states;
  std::vector<std::unique_ptr<ServerPool>> pools;
  std::vector<ServerPool*> pointers;
  std::optional<Backend> backend;
};

TEST_F(BackendTest, PicksEveryServerAndNamesItsPool) {
  make(3);
  EXPECT_EQ(spread(30, kNow), (std::map<std::uint32_t, int>{{0, 10}, {1, 10}, {2, 10}}));
  const std::optional<Pick> pick = backend->pick({}, kNow);
  ASSERT_TRUE(pick);
  EXPECT_EQ(pick->pool, pointers[pick->server]);
  EXPECT_FALSE(pick->trial);
}

TEST_F(BackendTest, NoServersNoPick) {
  make(0);
  EXPECT_FALSE(backend->pick({}, kNow));
}

TEST_F(BackendTest, AServerThatFailedIsAvoided) {
  make(3);
  EXPECT_TRUE(fail(1)) << "the change is worth a line";
  EXPECT_EQ(passive(1).state(), Passive::State::ejected);
  EXPECT_EQ(spread(20, kNow + 1), (std::map<std::uint32_t, int>{{0, 10}, {2, 10}}));
  EXPECT_FALSE(fail(1)) << "known already";
}

// A trial is given up for lost a second after the connect timeout, also after a reload changed it.
TEST_F(BackendTest, TakesOverAChangedConnectTimeout) {
  plan.connect_timeout_ms = 1'000;
  make(1);
  plan.connect_timeout_ms = 60'000;
  backend->adopt(plan);
  fail(0);
  ASSERT_TRUE(backend->pick({}, kDue)->trial);
  EXPECT_FALSE(backend->pick({}, kDue + 60'999)->trial);
  EXPECT_TRUE(backend->pick({}, kDue + 61'000)->trial);
}

TEST_F(BackendTest, WhatOneWorkerLearnsHoldsForTheOthers) {
  make(2);
  Backend other(pointers, plan, 8, kNow);
  fail(0);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(other.pick({}, kNow)->server, 1u);
}

TEST_F(BackendTest, OneSingleRequestFindsOutWhetherItIsBack) {
  make(2);
  fail(0);
  int trials = 0;
  std::optional<Pick> trial;
  for (int i = 0; i < 20; ++i) {
    const std::optional<Pick> pick = backend->pick({}, kDue);
    ASSERT_TRUE(pick);
    if (!pick->trial) {
      EXPECT_EQ(pick->server, 1u);
      continue;
    }
    ++trials;
    trial = pick;
  }
  ASSERT_EQ(trials, 1);
  EXPECT_EQ(trial->server, 0u);
  EXPECT_TRUE(backend->report(*trial, Event::succeeded, kDue));
  EXPECT_EQ(states[0]->passive.load(), 0u);
  EXPECT_EQ(spread(10, kDue), (std::map<std::uint32_t, int>{{0, 5}, {1, 5}}));
}

TEST_F(BackendTest, AFailedTrialWaitsTwiceAsLong) {
  make(2);
  fail(0);
  std::optional<Pick> trial;
  while (!(trial = backend->pick({}, kDue))->trial) {
  }
  EXPECT_FALSE(backend->report(*trial, Event::failed, kDue)) << "avoided before, avoided after";
  EXPECT_EQ(spread(20, kDue + 1'400).count(0), 0u);
  EXPECT_EQ(spread(20, kDue + 2'000)[0], 1) << "the next trial";
}

TEST_F(BackendTest, AnAbandonedTrialIsGivenToTheNextRequest) {
  make(2);
  fail(0);
  std::optional<Pick> trial;
  while (!(trial = backend->pick({}, kDue))->trial) {
  }
  EXPECT_FALSE(backend->report({pointers[0], 0, false}, Event::abandoned, kDue));
  EXPECT_EQ(spread(2, kDue).count(0), 0u) << "somebody else's end is not the trial's";
  EXPECT_FALSE(backend->report(*trial, Event::abandoned, kDue));
  EXPECT_EQ(spread(2, kDue)[0], 1);
}

TEST_F(BackendTest, ATrialOutlivesTheConnectTimeout) {
  plan.connect_timeout_ms = 20'000;
  make(2);
  fail(0);
  while (!backend->pick({}, kDue)->trial) {
  }
  EXPECT_EQ(spread(20, kDue + 20'500).count(0), 0u) << "slow is not lost";
  EXPECT_EQ(spread(20, kDue + 21'000)[0], 1);
}

TEST_F(BackendTest, WhenAllAreAvoidedTheyAreStillAsked) {
  make(3);
  for (std::uint32_t server = 0; server < 3; ++server) fail(server);
  std::map<std::uint32_t, int> picks;
  for (int i = 0; i < 30; ++i) {
    const std::optional<Pick> pick = backend->pick({}, kNow + 1);
    ASSERT_TRUE(pick) << "a preference is no reason to refuse a client";
    EXPECT_FALSE(pick->trial);
    ++picks[pick->server];
  }
  EXPECT_EQ(picks.size(), 3u);
  EXPECT_TRUE(backend->report({pointers[2], 2, false}, Event::succeeded, kNow + 1));
  EXPECT_EQ(spread(10, kNow + 1), (std::map<std::uint32_t, int>{{2, 10}})) << "back at once";
}

TEST_F(BackendTest, AnAttemptNeverMeetsAServerTwice) {
  make(5);
  fail(3);
  balance::Attempt attempt;
  std::vector<std::uint32_t> met;
  while (const std::optional<Pick> pick = backend->pick(attempt, kNow + 1)) {
    EXPECT_FALSE(attempt.excludes(pick->server));
    met.push_back(pick->server);
    ASSERT_TRUE(attempt.exclude(pick->server));
  }
  ASSERT_EQ(met.size(), 5u);
  EXPECT_EQ(met.back(), 3u) << "the avoided one last";
}

TEST_F(BackendTest, AServerOfWeightZeroIsNotEvenALastResort) {
  make(2);
  plan.weights[1] = 0;
  backend.emplace(pointers, plan, 7, kNow);
  fail(0);
  EXPECT_EQ(spread(10, kNow + 1), (std::map<std::uint32_t, int>{{0, 10}}));
  balance::Attempt attempt;
  ASSERT_TRUE(attempt.exclude(0));
  EXPECT_FALSE(backend->pick(attempt, kNow));
}

TEST_F(BackendTest, LoadIsReadFromTheSharedState) {
  plan.algorithm = balance::Algorithm::least_connections;
  make(3);
  states[0]->in_flight = 4;
  states[1]->in_flight = 1;
  states[2]->in_flight = 3;
  EXPECT_EQ(spread(5, kNow), (std::map<std::uint32_t, int>{{1, 5}}));
}

TEST_F(BackendTest, ASuccessOfAHealthyServerWritesNothing) {
  make(1);
  EXPECT_FALSE(backend->report({pointers[0], 0, false}, Event::succeeded, kNow));
  EXPECT_EQ(states[0]->passive.load(), 0u);
}

TEST_F(BackendTest, PlansWithTheSameServersShareABackend) {
  make(2);
  BackendPlan other = plan;
  other.connect_timeout_ms = 1;
  other.unavailable_status = 500;
  EXPECT_TRUE(plan.same_servers(other));
  other.weights[0] = 2;
  EXPECT_FALSE(plan.same_servers(other));
  other = plan;
  other.algorithm = balance::Algorithm::p2c;
  EXPECT_FALSE(plan.same_servers(other));
  other = plan;
  std::swap(other.servers[0], other.servers[1]);
  EXPECT_FALSE(plan.same_servers(other)) << "weights and positions are by index";
}

}  // namespace
}  // namespace weir::upstream
