// Backend: shares, limits and breakers.
#include <array>
#include <string_view>

#include "backend_world.h"
#include "gate_world.h"

namespace weir::upstream {
namespace {

using namespace test;

class BackendLimits : public BackendWorld {};

// --- Slow start and shares -----------------------------------------------------------------------

class BackendShares : public BackendWorld {
 protected:
  // Of 10,000 picks among two, how many go to the first.
  int of_first(std::uint64_t now_ms = kNow) { return spread(10'000, now_ms)[0]; }
};

// A server with the share s stands against one of weight 1 like one of weight s.
TEST_F(BackendShares, AServerThatIsBackWarmsUp) {
  make(2);
  plan.slow_start_ms = 10'000;
  states[0]->up_since_ms = kNow;
  EXPECT_NEAR(of_first(kNow), 10'000 * 0.1 / 1.1, 150);
  EXPECT_NEAR(of_first(kNow + 5'000), 10'000 * 0.55 / 1.55, 200);
  EXPECT_EQ(of_first(kNow + 10'000), 5'000);
  plan.slow_start_ms = 0;
  EXPECT_EQ(of_first(kNow), 5'000) << "without a slow start";
}

TEST_F(BackendShares, AServerMayAskForLess) {
  make(2);
  states[0]->agent_percent = 50;
  EXPECT_NEAR(of_first(), 10'000 * 0.5 / 1.5, 200);
  states[0]->agent_percent = 0;
  EXPECT_EQ(of_first(), 0);
  states[0]->agent_percent = 100;
  EXPECT_EQ(of_first(), 5'000);
  states[0]->agent_percent = 400;
  EXPECT_EQ(of_first(), 5'000) << "more than its weight is not to be had";
}

TEST_F(BackendShares, WhoAsksForNothingGetsNoOverflow) {
  make(2);
  limit(1);
  plan.gate.servers[1].priority = 1;  // And no backup is spared for it.
  plan.tiered = true;
  states[0]->agent_percent = 0;
  Backend::Picked other = ask();
  EXPECT_EQ(other.pick.server, 1u);
  EXPECT_EQ(ask().outcome, Outcome::full) << "it waits for the one that is full";
  release(other);
  fail(1);
  Backend::Picked only = ask();
  ASSERT_EQ(only.outcome, Outcome::picked) << "nobody else is usable";
  EXPECT_EQ(only.pick.server, 0u) << "rather than the one that is ejected";
  release(only);
}

TEST_F(BackendShares, BothSharesMultiply) {
  make(2);
  plan.slow_start_ms = 10'000;
  states[0]->up_since_ms = kNow;
  states[0]->agent_percent = 50;
  EXPECT_NEAR(of_first(kNow + 5'000), 10'000 * 0.275 / 1.275, 200);
}

// p2c asks about a server more than once in a pick; if the answers differed, it would get a share
// of the second tries as well.
TEST_F(BackendShares, OnePickGetsOneAnswer) {
  make(2);
  plan.balance.algorithm = balance::Algorithm::p2c;
  remake();
  states[0]->agent_percent = 20;
  states[1]->in_flight = 1'000;  // Whenever the first one stands for election, it wins.
  EXPECT_NEAR(of_first(), 2'000, 200);
}

TEST_F(BackendShares, NeighboursDrawTheirOwnLots) {
  make(3);
  states[0]->agent_percent = states[1]->agent_percent = 50;
  Spread picks = spread(12'000);
  EXPECT_NEAR(picks[2], 12'000 / 2, 300) << "6'857 if they came and went together";
}

TEST_F(BackendShares, AHealthyServerThatWarmsUpIsNobodysReasonToAskABrokenOne) {
  make(3);
  plan.slow_start_ms = 10'000;
  states[0]->up_since_ms = kNow;
  fail(1);
  check_says(2, health::Active::State::down);
  EXPECT_EQ(spread(1'000, kNow + 1), (Spread{{0, 1'000}}));
}

TEST_F(BackendShares, ATierWhoseOnlyServerWarmsUpIsNotLeft) {
  make(2);
  plan.tiered = true;
  plan.gate.servers[1].priority = 1;
  states[0]->agent_percent = 30;
  EXPECT_EQ(spread(1'000), (Spread{{0, 1'000}}));
}

// --- Limits and breakers -------------------------------------------------------------------------

TEST_F(BackendLimits, FullServersMeanTheQueue) {
  make(2);
  limit(2);
  std::vector<Backend::Picked> held;
  for (int i = 0; i < 4; ++i) held.push_back(ask());
  EXPECT_EQ(states[0]->in_flight.load(), 2u);
  EXPECT_EQ(states[1]->in_flight.load(), 2u);
  EXPECT_EQ(ask().outcome, Outcome::full);
  release(held[1]);
  EXPECT_EQ(ask().pick.server, held[1].pick.server);
}

TEST_F(BackendLimits, TheLimitOfAllCountsAll) {
  make(3);
  plan.limited = true;
  plan.gate.limit_of_all = 2;
  Backend::Picked one = ask();
  Backend::Picked two = ask();
  EXPECT_EQ(shared.gate.in_flight(), 2u);
  EXPECT_EQ(ask().outcome, Outcome::full);
  release(two);
  release(one);
  expect_nothing_held();
}

TEST_F(BackendLimits, AServersOwnLimitCounts) {
  make(1);
  plan.limited = true;
  states[0]->agent_limit = 1;
  Backend::Picked one = ask();
  EXPECT_EQ(one.outcome, Outcome::picked);
  EXPECT_EQ(ask().outcome, Outcome::full);
  release(one);
  expect_nothing_held();
}

TEST_F(BackendLimits, AdoptsWhatTheGateHandsOver) {
  make(2);
  limit(1);
  plan.reports_load = true;
  ASSERT_TRUE(shared.gate.take(plan.gate, 1, kNow * 1000));
  Pick pick = backend->adopt(plan, 1, true, kNow * 1000);
  EXPECT_EQ(pick.pool, pools[1].get());
  EXPECT_EQ(pick.server, 1u);
  EXPECT_TRUE(pick.retry);
  EXPECT_FALSE(pick.trial);
  EXPECT_EQ(states[1]->retries.load(), 1u);
  EXPECT_EQ(states[1]->in_flight.load(), 1u) << "the gate has counted it";
  EXPECT_EQ(states[1]->sent_since_report.load(), 1u);
  backend->release(plan, pick, kNow * 1000);
  expect_nothing_held();
}

TEST_F(BackendLimits, AdoptingAnEjectedServerThatIsDueIsItsTrial) {
  make(1);
  limit(1);
  fail(0);
  ASSERT_TRUE(shared.gate.take(plan.gate, 0, kDue * 1000));
  Pick pick = backend->adopt(plan, 0, false, kDue * 1000);
  EXPECT_TRUE(pick.trial);
  EXPECT_EQ(passive(0).state(), Passive::State::trial);
  backend->release(plan, pick, kDue * 1000);
}

TEST_F(BackendLimits, TooManyConnectionsBeingOpenedBreakTheCircuit) {
  make(2);
  plan.gate.pending_limit = 3;
  states[0]->pending = 3;
  EXPECT_EQ(spread(10), (Spread{{1, 10}}));
  EXPECT_GT(states[0]->counters(0).breaker_hit.read(), 0u);
  states[1]->pending = 4;
  EXPECT_EQ(ask().outcome, Outcome::broken);
  states[0]->pending = 2;
  EXPECT_EQ(spread(10), (Spread{{0, 10}}));
}

TEST_F(BackendLimits, TooManyRetriesBreakTheCircuitForRetries) {
  make(1);
  plan.gate.retry_limit = 2;
  std::vector<Backend::Picked> held;
  for (int i = 0; i < 2; ++i) held.push_back(ask_again());
  EXPECT_EQ(states[0]->retries.load(), 2u);
  EXPECT_EQ(ask_again().outcome, Outcome::broken);
  EXPECT_EQ(ask().outcome, Outcome::picked) << "first attempts go on";
  release(held[0]);
  EXPECT_EQ(ask_again().outcome, Outcome::picked);
}

TEST_F(BackendLimits, ABrokenCircuitIsCountedOncePerPick) {
  make(2);
  plan.gate.pending_limit = 1;
  states[0]->pending = states[1]->pending = 1;
  ASSERT_EQ(ask().outcome, Outcome::broken);
  EXPECT_EQ(states[0]->counters(0).breaker_hit.read(), 1u);
  EXPECT_EQ(states[1]->counters(0).breaker_hit.read(), 1u);
}

TEST_F(BackendLimits, ALimitDoesNotHideAnOpenBreaker) {
  make(2);
  limit(100);
  plan.gate.pending_limit = 1;
  plan.gate.retry_limit = 0;
  states[0]->pending = states[1]->pending = 1;
  EXPECT_EQ(ask().outcome, Outcome::broken) << "nobody is full: nothing to wait for";
  states[1]->pending = 0;
  EXPECT_EQ(ask_again(without({0})).outcome, Outcome::broken);
  limit(1);
  const Backend::Picked held = ask();
  EXPECT_EQ(held.pick.server, 1u);
  EXPECT_EQ(ask().outcome, Outcome::full) << "for that one it may wait";
  EXPECT_EQ(ask(without({1})).outcome, Outcome::broken) << "but not for one that it has tried";
}

TEST_F(BackendLimits, WhoHasTriedAllHasNothingToWaitFor) {
  make(2);
  limit(1);
  plan.balance.algorithm = balance::Algorithm::maglev;
  plan.balance.maglev =
      balance::Maglev::make(std::array<std::string_view, 2>{"one", "two"}, std::array{1U, 1U});
  plan.balance.hash_load_percent = 150;
  remake();
  for (int i = 0; i < 2; ++i) ASSERT_EQ(ask().outcome, Outcome::picked);
  EXPECT_EQ(ask().outcome, Outcome::full);
  EXPECT_EQ(ask(without({0, 1})).outcome, Outcome::none);
}

TEST_F(BackendLimits, AnOpenBreakerIsOpenForBoundClientsToo) {
  make(2);
  plan.gate.pending_limit = 1;
  states[1]->pending = 1;
  EXPECT_EQ(ask_bound(1).pick.server, 0u);
  EXPECT_TRUE(backend->takes_bound(plan, 1)) << "no reason to forget the server";
}

// With nothing given back: the limit was never what it waited for.
TEST_F(BackendLimits, AConnectionThatWasMadeHelpsWhoWaitsForTheBreaker) {
  make(1);
  limit(2);
  plan.gate.queue_size = 1;
  plan.gate.pending_limit = 1;
  Backend::Picked first = ask();
  Backend::Picked second = ask();
  FakeWorker worker;
  Request waiter(shared.gate, plan.gate, worker);
  ASSERT_EQ(waiter.enter(kNow * 1000), Gate::Admission::waiting);
  states[0]->pending = 1;
  release(first);
  worker.mailbox.deliver_all();
  EXPECT_FALSE(waiter.holding()) << "there is a slot, but the breaker is open";
  states[0]->pending = 0;
  (void)backend->report(plan, second.pick, Event::succeeded, kNow * 1000);
  worker.mailbox.deliver_all();
  EXPECT_TRUE(waiter.holding());
  release(second);
  waiter.release(kNow * 1000);
  expect_nothing_held();
}

TEST_F(BackendLimits, HasOtherLooksAtHealthAndNotAtRoom) {
  make(3);
  const auto has_other = [&](const balance::Attempt& tried, std::uint64_t now_ms = kNow) {
    return backend->has_other(plan, tried, now_ms * 1000);
  };
  EXPECT_TRUE(has_other(without({0})));
  fail(1);
  wish(2, health::Wish::drain);
  EXPECT_FALSE(has_other(without({0})));
  EXPECT_TRUE(has_other(without({0}), kDue)) << "the trial is due";
  EXPECT_TRUE(has_other({}));
  limit(1);
  const Backend::Picked held = ask();
  EXPECT_EQ(held.pick.server, 0u);
  EXPECT_TRUE(has_other({})) << "when it has room";
}

}  // namespace
}  // namespace weir::upstream
