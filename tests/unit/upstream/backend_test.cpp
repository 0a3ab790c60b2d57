// Backend: who is picked.
#include <array>

#include "backend_world.h"

namespace weir::upstream {
namespace {

using namespace test;

class BackendPick : public BackendWorld {};

// --- Who is picked -------------------------------------------------------------------------------

TEST_F(BackendPick, PicksEveryServerAndNamesItsPool) {
  make(3);
  EXPECT_EQ(spread(30), (Spread{{0, 10}, {1, 10}, {2, 10}}));
  Backend::Picked picked = ask();
  ASSERT_EQ(picked.outcome, Outcome::picked);
  EXPECT_EQ(picked.pick.pool, pools[picked.pick.server].get());
  EXPECT_EQ(picked.pick.started_us, kNow * 1000);
  EXPECT_FALSE(picked.pick.trial);
  EXPECT_FALSE(picked.pick.retry);
  release(picked);
  expect_nothing_held();
}

TEST_F(BackendPick, NoServersNoPick) {
  make(0);
  EXPECT_EQ(ask().outcome, Outcome::none);
  EXPECT_FALSE(backend->has_other(plan, {}, kNow * 1000));
}

TEST_F(BackendPick, AServerThatFailedIsAvoided) {
  make(3);
  EXPECT_TRUE(fail(1)) << "the change is worth a line";
  EXPECT_EQ(passive(1).state(), Passive::State::ejected);
  EXPECT_EQ(spread(20, kNow + 1), (Spread{{0, 10}, {2, 10}}));
  EXPECT_FALSE(fail(1)) << "known already";
}

TEST_F(BackendPick, WhatOneWorkerLearnsHoldsForTheOthers) {
  make(2);
  std::vector<std::unique_ptr<ServerPool>> other_pools;
  Backend other(pointers(other_pools), plan, 8, kNow * 1000);
  fail(0);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(other.pick(plan, {balance::Attempt{}}, kNow * 1000).pick.server, 1u);
  }
}

TEST_F(BackendPick, WhenAllAreAvoidedTheyAreStillAsked) {
  make(3);
  for (std::uint32_t server = 0; server < 3; ++server) fail(server);
  EXPECT_EQ(spread(30, kNow + 1).size(), 3u) << "a preference is no reason to refuse a client";
  EXPECT_FALSE(ask({}, kNow + 1).pick.trial);
  EXPECT_TRUE(tell(2, Event::succeeded, kNow + 1));
  EXPECT_EQ(spread(10, kNow + 1), (Spread{{2, 10}})) << "back at once";
}

TEST_F(BackendPick, AnAttemptNeverMeetsAServerTwice) {
  make(5);
  fail(3);
  balance::Attempt attempt;
  std::vector<std::uint32_t> met;
  while (true) {
    const Backend::Picked picked = ask(attempt, kNow + 1);
    if (picked.outcome != Outcome::picked) break;
    EXPECT_FALSE(attempt.excludes(picked.pick.server));
    met.push_back(picked.pick.server);
    ASSERT_TRUE(attempt.exclude(picked.pick.server));
  }
  ASSERT_EQ(met.size(), 5u);
  EXPECT_EQ(met.back(), 3u) << "the avoided one last";
}

TEST_F(BackendPick, AServerOfWeightZeroIsNotEvenALastResort) {
  make(2);
  plan.gate.servers[1].weight = 0;
  remake();
  fail(0);
  EXPECT_EQ(spread(10, kNow + 1), (Spread{{0, 10}}));
  EXPECT_EQ(ask(without({0})).outcome, Outcome::none);
  EXPECT_FALSE(backend->has_other(plan, without({0}), kNow * 1000));
}

TEST_F(BackendPick, LoadIsReadFromTheSharedState) {
  make(3);
  plan.balance.algorithm = balance::Algorithm::least_connections;
  remake();
  states[0]->in_flight = 4;
  states[1]->in_flight = 1;
  states[2]->in_flight = 3;
  EXPECT_EQ(spread(5), (Spread{{1, 5}}));
}

TEST_F(BackendPick, ReportsOfLoadAreReadAndWhatIsSentSinceIsCounted) {
  make(2);
  plan.balance.algorithm = balance::Algorithm::least_load;
  plan.reports_load = true;
  remake();
  states[0]->report = std::uint64_t{7} << 32;
  states[1]->report = std::uint64_t{4} << 32;
  states[0]->report_at_ms = states[1]->report_at_ms = kNow;
  EXPECT_EQ(spread(3), (Spread{{1, 3}}));
  EXPECT_EQ(states[1]->sent_since_report.load(), 3u);
  EXPECT_EQ(states[0]->sent_since_report.load(), 0u);
}

// --- Tiers ---------------------------------------------------------------------------------------

class BackendTiers : public BackendWorld {
 protected:
  BackendTiers() {
    make(4);
    plan.tiered = true;
    constexpr std::array kPriorities{5u, 0u, 5u, 0u};
    for (std::size_t i = 0; i < 4; ++i) plan.gate.servers[i].priority = kPriorities[i];
    remake();
  }
};

TEST_F(BackendTiers, TheLowestWithAHealthyServerServes) {
  EXPECT_EQ(spread(20), (Spread{{1, 10}, {3, 10}}));
  fail(1);
  EXPECT_EQ(spread(10), (Spread{{3, 10}}));
  check_says(3, health::Active::State::down);
  EXPECT_EQ(spread(20), (Spread{{0, 10}, {2, 10}}));
}

TEST_F(BackendTiers, TheNextOneServesWhenItsServersAreTried) {
  EXPECT_EQ(spread(10, kNow, without({1})), (Spread{{3, 10}}));
  EXPECT_EQ(spread(10, kNow, without({1, 3})), (Spread{{0, 5}, {2, 5}}));
}

TEST_F(BackendTiers, AServerOfWeightZeroIsNoReasonToStayInItsTier) {
  plan.gate.servers[1].weight = plan.gate.servers[3].weight = 0;
  remake();
  EXPECT_EQ(spread(10), (Spread{{0, 5}, {2, 5}}));
}

TEST_F(BackendTiers, WithNobodyHealthyTheTiersMeanNothing) {
  for (std::uint32_t server = 0; server < 4; ++server) fail(server);
  EXPECT_EQ(spread(40).size(), 4u);
}

TEST_F(BackendTiers, AFullTierWaitsRatherThanSpills) {
  limit(1);
  const Backend::Picked one = ask();
  const Backend::Picked two = ask();
  EXPECT_EQ(one.pick.server + two.pick.server, 4u);
  EXPECT_EQ(ask().outcome, Outcome::full);
}

// --- The server a cookie names -------------------------------------------------------------------

TEST_F(BackendPick, TheBoundServerIsAskedFirst) {
  make(3);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask_bound(2).pick.server, 2u);
  EXPECT_EQ(states[2]->in_flight.load(), 5u);
}

TEST_F(BackendPick, DrainingIsWhatTheCookieIsFor) {
  make(2);
  wish(1, health::Wish::drain);
  EXPECT_EQ(spread(10), (Spread{{0, 10}}));
  EXPECT_TRUE(backend->takes_bound(plan, 1));
  EXPECT_EQ(ask_bound(1).pick.server, 1u);
}

TEST_F(BackendPick, ABoundServerOutOfServiceIsLeft) {
  for (const health::Wish reason : {health::Wish::down, health::Wish::maintenance}) {
    SCOPED_TRACE(health::to_string(reason));
    states.clear();
    plan.gate.servers.clear();
    make(2);
    wish(1, reason);
    EXPECT_FALSE(backend->takes_bound(plan, 1));
    EXPECT_EQ(ask_bound(1).pick.server, 0u);
    wish(1, health::Wish::none);
    states[1]->agent = word(reason);
    EXPECT_FALSE(backend->takes_bound(plan, 1)) << "the server itself says so";
  }
}

TEST_F(BackendPick, ABoundServerThatIsDownOrEjectedIsLeft) {
  make(3);
  check_says(1, health::Active::State::down);
  EXPECT_FALSE(backend->takes_bound(plan, 1));
  EXPECT_NE(ask_bound(1).pick.server, 1u);
  fail(2);
  EXPECT_FALSE(backend->takes_bound(plan, 2));
  EXPECT_EQ(ask_bound(2).pick.server, 0u);
}

TEST_F(BackendPick, ABoundServerThatWasTriedIsNotAskedAgain) {
  make(2);
  EXPECT_EQ(ask_bound(1, without({1})).pick.server, 0u);
}

TEST_F(BackendPick, WithTheBoundServerFullTheClientGoesElsewhere) {
  make(2);
  limit(1);
  Backend::Picked first = ask_bound(1);
  EXPECT_EQ(first.pick.server, 1u);
  EXPECT_EQ(ask_bound(1).pick.server, 0u);
  EXPECT_EQ(ask_bound(1).outcome, Outcome::full);
  EXPECT_TRUE(backend->takes_bound(plan, 1)) << "full is no reason to forget the server";
  release(first);
  EXPECT_EQ(ask_bound(1).pick.server, 1u);
}

// --- Down, wishes, panic -------------------------------------------------------------------------

TEST_F(BackendPick, AServerTheCheckCallsDownIsLeft) {
  make(3);
  check_says(0, health::Active::State::down);
  check_says(1, health::Active::State::up);
  EXPECT_EQ(spread(20), (Spread{{1, 10}, {2, 10}})) << "never checked counts as up";
}

TEST_F(BackendPick, EveryWishKeepsNewRequestsAway) {
  make(2);
  for (const health::Wish asked :
       {health::Wish::drain, health::Wish::down, health::Wish::maintenance}) {
    SCOPED_TRACE(health::to_string(asked));
    wish(0, asked);
    EXPECT_EQ(spread(10), (Spread{{1, 10}}));
    wish(0, health::Wish::none);
    states[0]->agent = word(asked);
    EXPECT_EQ(spread(10), (Spread{{1, 10}})) << "the server's own wish";
    states[0]->agent = word(health::Wish::none);
  }
  EXPECT_EQ(spread(10), (Spread{{0, 5}, {1, 5}}));
}

TEST_F(BackendPick, WithAllDownFailOpenAsksThemAnyway) {
  make(2);
  for (std::uint32_t i = 0; i < 2; ++i) check_says(i, health::Active::State::down);
  EXPECT_EQ(spread(10), (Spread{{0, 5}, {1, 5}}));
  EXPECT_FALSE(backend->has_other(plan, {}, kNow * 1000));
  plan.gate.fail_open = false;
  EXPECT_EQ(ask().outcome, Outcome::none);
  fail(0);
  check_says(0, health::Active::State::up);
  EXPECT_EQ(spread(10), (Spread{{0, 10}})) << "ejection alone refuses nobody";
}

TEST_F(BackendPick, WishesHoldWhateverElseIsBroken) {
  make(2);
  wish(0, health::Wish::maintenance);
  check_says(1, health::Active::State::down);
  EXPECT_EQ(spread(10), (Spread{{1, 10}}));
  wish(1, health::Wish::drain);
  EXPECT_EQ(ask().outcome, Outcome::none);
}

TEST_F(BackendPick, InPanicAllInServiceAreUsed) {
  make(4);
  fail(0);
  check_says(1, health::Active::State::down);
  wish(2, health::Wish::drain);
  EXPECT_EQ(spread(10), (Spread{{3, 10}}));
  shared.panic = true;
  EXPECT_EQ(spread(30), (Spread{{0, 10}, {1, 10}, {3, 10}}));
  EXPECT_FALSE(ask().pick.trial);
}

}  // namespace
}  // namespace weir::upstream
