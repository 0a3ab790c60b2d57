// Backend: what becomes of a pick.
#include <algorithm>
#include <array>

#include "backend_world.h"

namespace weir::upstream {
namespace {

using namespace test;

class BackendOutcome : public BackendWorld {};

// --- Trials --------------------------------------------------------------------------------------

TEST_F(BackendOutcome, OneSingleRequestFindsOutWhetherItIsBack) {
  make(2);
  fail(0);
  std::vector<Backend::Picked> trials;
  for (int i = 0; i < 20; ++i) {
    const Backend::Picked picked = ask({}, kDue);
    if (picked.pick.trial) trials.push_back(picked);
    EXPECT_EQ(picked.pick.server, picked.pick.trial ? 0u : 1u);
  }
  ASSERT_EQ(trials.size(), 1u);
  EXPECT_TRUE(backend->report(plan, trials[0].pick, Event::succeeded, kDue * 1000));
  EXPECT_EQ(states[0]->passive.load(), 0u);
  EXPECT_EQ(spread(10, kDue), (Spread{{0, 5}, {1, 5}}));
}

TEST_F(BackendOutcome, AFailedTrialWaitsTwiceAsLong) {
  make(2);
  fail(0);
  const Backend::Picked trial = trial_of(kDue);
  EXPECT_FALSE(backend->report(plan, trial.pick, Event::failed, kDue * 1000))
      << "avoided before, avoided after";
  EXPECT_EQ(spread(20, kDue + 1'400).count(0), 0u);
  EXPECT_EQ(spread(20, kDue + 2'000)[0], 1) << "the next trial";
}

TEST_F(BackendOutcome, AnAbandonedTrialIsGivenToTheNextRequest) {
  make(2);
  fail(0);
  const Backend::Picked trial = trial_of(kDue);
  EXPECT_FALSE(tell(0, Event::abandoned, kDue));
  EXPECT_EQ(spread(2, kDue).count(0), 0u) << "somebody else's end is not the trial's";
  EXPECT_FALSE(backend->report(plan, trial.pick, Event::abandoned, kDue * 1000));
  EXPECT_EQ(spread(2, kDue)[0], 1);
}

TEST_F(BackendOutcome, ATrialIsLostOnlyAfterThePlansTime) {
  make(2);
  plan.passive.trial_ms_max = 21'000;
  fail(0);
  (void)trial_of(kDue);
  EXPECT_EQ(spread(20, kDue + 20'999).count(0), 0u) << "slow is not lost";
  EXPECT_EQ(spread(20, kDue + 21'000)[0], 1);
}

TEST_F(BackendOutcome, ALostRaceForTheTrialGivesTheSlotBack) {
  make(1);
  limit(1);
  fail(0);
  Backend::Picked trial = trial_of(kDue);
  release(trial, kDue);
  expect_nothing_held();
  Backend::Picked after = ask({}, kDue);
  EXPECT_EQ(after.outcome, Outcome::picked) << "nobody else is left";
  EXPECT_FALSE(after.pick.trial);
  release(after, kDue);
  expect_nothing_held();
}

// --- Ejection for answers ------------------------------------------------------------------------

TEST_F(BackendOutcome, ASuccessOfAHealthyServerWritesNothing) {
  make(1);
  EXPECT_FALSE(tell(0, Event::succeeded));
  EXPECT_FALSE(tell(0, Event::answered));
  EXPECT_EQ(states[0]->passive.load(), 0u);
}

TEST_F(BackendOutcome, ErrorsInARowEject) {
  make(2);
  plan.passive.consecutive_errors = 3;
  EXPECT_FALSE(tell(0, Event::erred));
  EXPECT_FALSE(tell(0, Event::erred));
  EXPECT_FALSE(tell(0, Event::answered));
  EXPECT_FALSE(tell(0, Event::erred));
  EXPECT_FALSE(tell(0, Event::erred));
  EXPECT_TRUE(tell(0, Event::erred)) << "three in a row, only now";
  EXPECT_EQ(passive(0).cause(), Passive::Cause::answers);
  EXPECT_EQ(states[0]->counters(0).ejections.read(), 1u);
  EXPECT_EQ(spread(10), (Spread{{1, 10}}));
}

TEST_F(BackendOutcome, WithoutEjectionErrorsAreNotEvenCounted) {
  make(2);
  plan.ejects = false;
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(tell(0, Event::erred));
  EXPECT_EQ(states[0]->passive.load(), 0u);
  EXPECT_TRUE(fail(0)) << "that it cannot be reached is another matter";
}

TEST_F(BackendOutcome, WithoutEjectionAnErrorStillEndsTheTrial) {
  make(2);
  plan.ejects = false;
  fail(0);
  const Backend::Picked trial = trial_of(kDue);
  EXPECT_EQ(spread(10, kDue).count(0), 0u);
  EXPECT_FALSE(backend->report(plan, trial.pick, Event::erred, kDue * 1000));
  EXPECT_EQ(spread(2, kDue)[0], 1) << "the next request is the trial, at once";
}

TEST_F(BackendOutcome, TheFloorHoldsOverAllWorkers) {
  make(3);
  plan.passive.consecutive_errors = 1;
  plan.max_ejected_percent = 100;
  std::vector<std::unique_ptr<ServerPool>> other_pools;
  const std::vector<ServerPool*> theirs = pointers(other_pools);
  Backend other(theirs, plan, 8, kNow * 1000);
  EXPECT_TRUE(tell(0, Event::erred));
  EXPECT_TRUE(other.report(plan, Pick{.pool = theirs[1], .server = 1}, Event::erred, kNow * 1000));
  EXPECT_FALSE(tell(2, Event::erred)) << "the last usable one stays";
  EXPECT_FALSE(other.report(plan, Pick{.pool = theirs[2], .server = 2}, Event::erred, kNow * 1000));
  EXPECT_EQ(passive(2).state(), Passive::State::up);
}

TEST_F(BackendOutcome, NoMoreThanTheShareIsEjected) {
  make(5);
  plan.passive.consecutive_errors = 1;
  plan.max_ejected_percent = 50;
  int ejected = 0;
  for (std::uint32_t i = 0; i < 5; ++i) ejected += tell(i, Event::erred) ? 1 : 0;
  EXPECT_EQ(ejected, 2);
  plan.max_ejected_percent = 0;
  EXPECT_FALSE(tell(4, Event::erred));
}

TEST_F(BackendOutcome, ServersOutOfServiceAreNoReserve) {
  make(3);
  plan.passive.consecutive_errors = 1;
  plan.max_ejected_percent = 100;
  wish(1, health::Wish::drain);
  plan.gate.servers[2].weight = 0;
  EXPECT_FALSE(tell(0, Event::erred)) << "nobody else takes requests";
}

// --- What a pick holds ---------------------------------------------------------------------------

TEST_F(BackendOutcome, EverythingIsGivenBackInEveryOrder) {
  for (const bool limited : {false, true}) {
    std::array order{0u, 1u, 2u};
    do {
      SCOPED_TRACE(testing::Message() << limited << order[0] << order[1] << order[2]);
      states.clear();
      plan.gate.servers.clear();
      make(1);
      plan.balance.algorithm = balance::Algorithm::ewma;
      plan.limited = limited;
      plan.gate.limit_of_all = limited ? 3 : 0;
      remake();
      std::array held{ask_again(), ask(), ask_again()};
      EXPECT_EQ(states[0]->in_flight.load(), 3u);
      EXPECT_EQ(states[0]->retries.load(), 2u);
      for (const std::uint32_t which : order) release(held[which]);
      expect_nothing_held();
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

class BackendEwma : public BackendWorld {
 protected:
  BackendEwma() {
    make(2);
    plan.balance.algorithm = balance::Algorithm::ewma;
    remake();
  }
  [[nodiscard]] std::uint64_t latency(std::uint32_t server) {
    return balance::PeakEwma::unpack(states[server]->latency.load()).read(kNow + 80);
  }
};

TEST_F(BackendEwma, AnObservedLatencyIsShared) {
  Backend::Picked picked = ask();
  backend->observe(picked.pick, (kNow + 80) * 1000, false);
  EXPECT_NEAR(static_cast<double>(latency(picked.pick.server)), 80'000, 800);
  EXPECT_TRUE(picked.pick.measured);
  backend->observe(picked.pick, (kNow + 5'000) * 1000, false);
  EXPECT_NEAR(static_cast<double>(latency(picked.pick.server)), 80'000, 800) << "once";
  release(picked, kNow + 80);
  expect_nothing_held();
}

TEST_F(BackendEwma, WhatIsUnfinishedSpeaksForItsServer) {
  Backend::Picked slow = ask();
  const std::uint32_t other = 1 - slow.pick.server;
  states[0]->in_flight = states[1]->in_flight = 0;  // The latencies alone decide.
  EXPECT_EQ(spread(20, kNow + 2'000), (Spread{{other, 20}}));
  release(slow, kNow + 2'000);
  states[0]->in_flight = states[1]->in_flight = 0;
  EXPECT_EQ(spread(40, kNow + 2'000).size(), 2u) << "released without an answer: forgotten";
}

TEST_F(BackendOutcome, OthersMeasureNothing) {
  make(1);
  Backend::Picked picked = ask();
  EXPECT_TRUE(picked.pick.measured);
  backend->observe(picked.pick, (kNow + 80) * 1000, false);
  EXPECT_EQ(states[0]->latency.load(), 0u);
}

// --- Reloads -------------------------------------------------------------------------------------

TEST_F(BackendOutcome, PlansWithTheSameServersShareABackend) {
  make(2);
  BackendPlan other;
  const auto reset = [&] {
    other.gate = plan.gate;
    other.balance = plan.balance;
  };
  reset();
  other.connect_timeout_ms = 1;
  other.unavailable_status = 500;
  other.gate.servers[0].limit = 9;
  other.gate.servers[1].priority = 3;
  EXPECT_TRUE(same_servers(plan, other)) << "looked up in the plan each time";
  other.gate.servers[0].weight = 2;
  EXPECT_FALSE(same_servers(plan, other));
  reset();
  other.balance.algorithm = balance::Algorithm::p2c;
  EXPECT_FALSE(same_servers(plan, other));
  reset();
  other.balance.hash_load_percent = 200;
  EXPECT_FALSE(same_servers(plan, other));
  reset();
  other.gate.servers.pop_back();
  EXPECT_FALSE(same_servers(plan, other));
  reset();
  std::swap(other.gate.servers[0], other.gate.servers[1]);
  EXPECT_FALSE(same_servers(plan, other)) << "weights and positions are by index";
}

}  // namespace
}  // namespace weir::upstream
