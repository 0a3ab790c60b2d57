// Waiting, one thread: every order of release, delivery and leaving is played by hand.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "gate_world.h"

namespace weir::upstream {
namespace {

using test::FakeServers;
using test::FakeWorker;
using test::Request;
using Admission = Gate::Admission;
using Leaving = Gate::Leaving;

struct GateQueue : testing::Test {
  FakeServers servers{1};
  FakeWorker worker;
  FakeWorker other;
  Gate gate;
  GatePlan plan = servers.plan(1);
  std::deque<Request> requests;  // Neither moved nor copied.

  Request& make(FakeWorker& at, const GatePlan& by) { return requests.emplace_back(gate, by, at); }
  // One that holds a slot of `server`.
  Request& holder(std::uint32_t server = 0) {
    Request& request = make(worker, plan);
    EXPECT_TRUE(request.take(server, 0));
    return request;
  }
  Request& waiter(std::uint64_t now_us = 0, std::uint8_t priority = 1) {
    Request& request = make(worker, plan);
    EXPECT_EQ(request.enter(now_us, priority), Admission::waiting);
    return request;
  }
  void deliver() {
    worker.mailbox.deliver_all();
    other.mailbox.deliver_all();
  }
  // Every slot is back, and nothing waits.
  void expect_quiet() {
    deliver();
    EXPECT_EQ(gate.waiting(), 0u);
    EXPECT_EQ(gate.in_flight(), 0u);
    for (std::size_t i = 0; i < servers.states.size(); ++i) EXPECT_EQ(servers.in_flight(i), 0u);
    EXPECT_EQ(worker.tickets.slab.live(), 0u);
    EXPECT_EQ(other.tickets.slab.live(), 0u);
    const GateCounters& counters = gate.counters();
    EXPECT_EQ(counters.queued.read(),
              counters.granted.read() + counters.timed_out.read() + counters.abandoned.read() +
                  counters.dropped_codel.read() + counters.dropped_displaced.read() +
                  counters.dropped_no_server.read());
  }
};

TEST_F(GateQueue, AFreedSlotGoesToTheWaiterOnItsOwnThread) {
  Request& first = holder();
  Request& second = make(other, plan);
  EXPECT_EQ(second.enter(1'000), Admission::waiting);
  EXPECT_EQ(gate.waiting(), 1u);
  first.release(26'000);
  EXPECT_EQ(servers.in_flight(0), 1u) << "never free in between";
  worker.mailbox.deliver_all();
  EXPECT_FALSE(second.holding());
  other.mailbox.deliver_all();
  ASSERT_TRUE(second.holding());
  EXPECT_EQ(second.waited_us, 25'000u);
  HistogramCounts waits;
  waits.add(gate.counters().wait_us);
  EXPECT_EQ(waits.count(), 1u);
  EXPECT_EQ(waits.sum_us(), 25'000u);
  second.release(30'000);
  expect_quiet();
}

TEST_F(GateQueue, TheOldestOfAnyWorkerIsFirst) {
  Request* holding = &holder();
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(make(i % 2 == 0 ? worker : other, plan).enter(0), Admission::waiting);
  }
  for (std::size_t i = 1; i <= 6; ++i) {
    holding->release(0);
    deliver();
    holding = &requests[i];
    ASSERT_TRUE(holding->holding()) << i;
  }
  holding->release(0);
  expect_quiet();
}

TEST_F(GateQueue, AnArrivalDoesNotOvertake) {
  plan = servers.plan(2);
  Request& first = holder();
  Request& second = holder();
  Request& third = waiter();
  first.release(0);  // Goes to the third, which does not know yet.
  Request& fourth = make(worker, plan);
  EXPECT_FALSE(fourth.take(0, 0));
  EXPECT_EQ(fourth.enter(0), Admission::waiting);
  EXPECT_FALSE(make(worker, plan).take(0, 0));
  second.release(0);
  deliver();
  EXPECT_TRUE(third.holding() && fourth.holding());
  third.release(0);
  fourth.release(0);
  expect_quiet();
}

// A limit that grows, or a server that is well again, frees slots that nobody releases. Whoever
// comes then, the oldest gets the first.
TEST_F(GateQueue, AnArrivalThatSeesRoomServesTheOldestFirst) {
  servers.states[0]->agent_limit = 1;
  plan = servers.plan(2);
  Request& first = holder();
  Request& second = waiter();
  servers.states[0]->agent_limit = 0;
  Request& third = make(worker, plan);
  EXPECT_EQ(third.enter(0), Admission::waiting);
  deliver();
  EXPECT_TRUE(second.holding());
  EXPECT_FALSE(third.holding());
  servers.states[0]->agent_limit = 3;
  plan.servers[0].limit = 3;
  gate.poke(0);
  deliver();
  EXPECT_TRUE(third.holding());
  for (Request* request : {&first, &second, &third}) request->release(0);
  expect_quiet();
}

// --- Classes ------------------------------------------------------------------------------------

TEST_F(GateQueue, ABetterClassIsFirst) {
  Request& first = holder();
  Request& low = waiter(0, 3);
  Request& middle = waiter(0, 1);
  Request& high = waiter(0, 0);
  first.release(0);
  deliver();
  ASSERT_TRUE(high.holding());
  high.release(0);
  deliver();
  ASSERT_TRUE(middle.holding());
  middle.release(0);
  deliver();
  ASSERT_TRUE(low.holding());
  low.release(0);
  expect_quiet();
}

// However many of a better class keep coming, every eighth grant is the oldest's.
TEST_F(GateQueue, EveryEighthGrantGoesToTheOldestOfAll) {
  Request* holding = &holder();
  Request& low = waiter(0, 3);
  Request& lower = waiter(0, 3);
  std::vector<int> low_grants;
  for (int grant = 1; grant <= 16; ++grant) {
    waiter(0, 0);
    waiter(0, 0);  // More than can be served.
    holding->release(0);
    deliver();
    for (Request* request : {&low, &lower}) {
      if (request->holding()) low_grants.push_back(grant);
    }
    holding = &*std::ranges::find_if(requests, &Request::holding);
  }
  EXPECT_EQ(low_grants, (std::vector<int>{8, 16}));
  holding->release(0);
  for (Request& request : requests) {
    deliver();
    if (request.state == Request::State::waiting) request.leave(Leaving::abandoned, 0);
    if (request.holding()) request.release(0);
  }
  expect_quiet();
}

// --- Leaving ------------------------------------------------------------------------------------

TEST_F(GateQueue, ATimeoutBeforeTheGrant) {
  Request& first = holder();
  Request& second = waiter();
  Request& third = waiter();
  second.leave(Leaving::timed_out, 5);
  EXPECT_EQ(gate.waiting(), 1u);
  EXPECT_EQ(worker.tickets.slab.live(), 1u);
  first.release(6);
  deliver();
  ASSERT_TRUE(third.holding());
  third.release(7);
  EXPECT_EQ(gate.counters().timed_out.read(), 1u);
  expect_quiet();
}

// The grant is posted, then the deadline passes, then the message comes: the slot is the next
// one's at once, and the message finds nobody.
TEST_F(GateQueue, ATimeoutBetweenGrantAndDeliveryPassesTheSlotOn) {
  Request& first = holder();
  Request& second = waiter();
  Request& third = make(other, plan);
  EXPECT_EQ(third.enter(0), Admission::waiting);
  first.release(1);
  second.leave(Leaving::timed_out, 2);
  EXPECT_EQ(servers.in_flight(0), 1u);
  EXPECT_EQ(worker.tickets.slab.live(), 1u) << "the posted message is still on its way";
  other.mailbox.deliver_all();
  ASSERT_TRUE(third.holding());
  worker.mailbox.deliver_all();
  EXPECT_EQ(second.state, Request::State::ended);
  EXPECT_EQ(worker.tickets.slab.live(), 0u);
  third.release(3);
  EXPECT_EQ(gate.counters().returned.read(), 1u);
  EXPECT_EQ(gate.counters().timed_out.read(), 0u) << "it had been granted";
  expect_quiet();
}

TEST_F(GateQueue, ASlotThatNobodyElseWantsIsFree) {
  plan.limit_of_all = 1;
  Request& first = holder();
  Request& second = waiter();
  first.release(1);
  second.leave(Leaving::abandoned, 2);
  EXPECT_EQ(servers.in_flight(0), 0u);
  EXPECT_EQ(gate.in_flight(), 0u);
  expect_quiet();
}

// The exchange, its snapshot and its plan are gone when the message comes.
TEST_F(GateQueue, ALeftTicketTouchesNeitherPlanNorServer) {
  auto mortal = std::make_unique<FakeServers>(1);
  auto its_plan = std::make_unique<GatePlan>(mortal->plan(1));
  auto first = std::make_unique<Request>(gate, *its_plan, worker);
  auto second = std::make_unique<Request>(gate, *its_plan, worker);
  ASSERT_TRUE(first->take(0, 0));
  ASSERT_EQ(second->enter(0), Admission::waiting);
  first->release(0);
  second->leave(Leaving::abandoned, 0);
  first.reset();
  second.reset();
  its_plan.reset();
  mortal.reset();
  expect_quiet();
}

TEST_F(GateQueue, WhoIsToldMayAskAgainAtOnce) {
  struct Again final : TicketOwner {
    GateQueue& test;
    Ticket* ticket = nullptr;
    int grants = 0;
    explicit Again(GateQueue& its_test) : test(its_test) {}
    void ask() { ticket = test.gate.enter(test.worker.tickets, *this, test.plan, {}, 1, 0).ticket; }
    void granted(std::uint32_t, std::uint64_t) override {
      ++grants;
      ask();  // While it holds the only slot: waits, for itself.
      test.gate.release(test.plan, 0, 0);
    }
    void dropped(DropReason) override { FAIL(); }
  };
  Request& first = holder();
  Again again(*this);
  again.ask();
  first.release(0);
  for (int i = 1; i <= 5; ++i) {
    deliver();
    EXPECT_EQ(again.grants, i);
  }
  gate.leave(*again.ticket, Leaving::abandoned, 0);
  expect_quiet();
}

// --- The size of the queue ----------------------------------------------------------------------

TEST_F(GateQueue, AFullQueueRefuses) {
  plan.queue_size = 2;
  Request& first = holder();
  waiter();
  waiter();
  EXPECT_EQ(make(worker, plan).enter(0), Admission::refused);
  EXPECT_EQ(make(worker, plan).enter(0, 3), Admission::refused);
  EXPECT_EQ(gate.counters().refused_full.read(), 2u);
  EXPECT_EQ(gate.waiting(), 2u);
  EXPECT_EQ(worker.tickets.slab.live(), 2u);
  first.release(0);
  EXPECT_EQ(make(worker, plan).enter(0), Admission::waiting) << "one has gone from the queue";
  for (std::size_t i : {1u, 2u, 5u}) {
    deliver();
    ASSERT_TRUE(requests[i].holding()) << i;
    requests[i].release(0);
  }
  expect_quiet();
}

TEST_F(GateQueue, AFullQueueMakesRoomForABetterClass) {
  plan.queue_size = 3;
  Request& first = holder();
  Request& low_old = waiter(0, 3);
  Request& low_new = waiter(0, 3);
  Request& middle = waiter(0, 2);
  Request& high = waiter(0, 1);
  EXPECT_EQ(gate.waiting(), 3u);
  deliver();
  EXPECT_EQ(low_new.state, Request::State::dropped);
  EXPECT_EQ(low_new.reason, DropReason::displaced);
  Request& higher = waiter(0, 0);
  Request& highest = waiter(0, 0);
  deliver();
  EXPECT_EQ(low_old.state, Request::State::dropped);
  EXPECT_EQ(middle.state, Request::State::dropped);
  EXPECT_EQ(gate.counters().dropped_displaced.read(), 3u);
  first.release(0);
  for (Request* next : {&higher, &highest, &high}) {
    deliver();
    ASSERT_TRUE(next->holding());
    next->release(0);
  }
  expect_quiet();
}

TEST_F(GateQueue, ADroppedTicketMayBeLeftBeforeItsDelivery) {
  plan.queue_size = 1;
  Request& first = holder();
  Request& low = waiter(0, 3);
  Request& high = waiter(0, 0);  // Displaces it; the message is on its way.
  low.leave(Leaving::abandoned, 0);
  EXPECT_EQ(gate.counters().abandoned.read(), 0u) << "counted as displaced";
  deliver();
  EXPECT_EQ(low.state, Request::State::ended);
  first.release(0);
  deliver();
  high.release(0);
  expect_quiet();
}

// --- What the first cannot use ------------------------------------------------------------------

struct GateTwoServers : GateQueue {
  GateTwoServers() {
    servers.states.push_back(std::make_unique<ServerState>("app", "1", os::Address{}, "1", 1));
    plan = servers.plan(1);
  }
  Request& choosy(std::uint32_t tried) {
    Request& request = make(worker, plan);
    EXPECT_TRUE(request.tried.exclude(tried));
    EXPECT_EQ(request.enter(0), Admission::waiting);
    return request;
  }
};

TEST_F(GateTwoServers, ARetryIsPassedByWhenOnlyWhatItTriedIsFree) {
  Request& at_zero = holder(0);
  Request& at_one = holder(1);
  Request& retry = choosy(0);
  Request& plain = waiter();
  at_zero.release(0);
  deliver();
  EXPECT_FALSE(retry.holding());
  ASSERT_TRUE(plain.holding());
  at_one.release(0);
  deliver();
  ASSERT_TRUE(retry.holding());
  EXPECT_EQ(retry.server, 1u);
  plain.release(0);
  retry.release(0);
  expect_quiet();
}

TEST_F(GateTwoServers, AgeDecidesBetweenRetriesAndOthers) {
  Request& at_zero = holder(0);
  Request& at_one = holder(1);
  Request& plain = waiter();
  Request& retry = choosy(0);
  Request& newest = waiter();
  at_one.release(0);
  deliver();
  ASSERT_TRUE(plain.holding());
  plain.release(0);  // Server 1 again.
  deliver();
  ASSERT_TRUE(retry.holding());
  EXPECT_FALSE(newest.holding());
  at_zero.release(0);
  deliver();
  ASSERT_TRUE(newest.holding());
  retry.release(0);
  newest.release(0);
  expect_quiet();
}

// The stated bound: of those with exclusions 64 of a class are asked. The others never wait for
// them, however many they are.
TEST_F(GateTwoServers, TheLookPastRetriesIsBounded) {
  Request& at_zero = holder(0);
  Request& at_one = holder(1);
  for (unsigned i = 0; i < Gate::kChoosyMax; ++i) choosy(0);
  Request& beyond = choosy(1);
  at_zero.release(0);
  deliver();
  EXPECT_FALSE(beyond.holding());
  EXPECT_EQ(servers.in_flight(0), 0u);
  Request& plain = make(worker, plan);
  EXPECT_EQ(plain.enter(0), Admission::granted);
  plain.release(0);
  at_one.release(0);  // One of the 64 is served, and the look reaches the next.
  deliver();
  EXPECT_TRUE(beyond.holding());
  for (Request& request : requests) {
    deliver();
    if (request.holding()) request.release(0);
  }
  expect_quiet();
}

// After a reload to other servers, those who wait for the old ones hold up nobody.
TEST_F(GateTwoServers, WaitersOfAnOldPlanDoNotBlockThoseOfANewOne) {
  plan.servers.pop_back();
  plan.queue_size = 300;
  Request& stuck = holder(0);
  for (int i = 0; i < 300; ++i) waiter();
  GatePlan reloaded = servers.plan(1);
  reloaded.servers.erase(reloaded.servers.begin());
  reloaded.queue_size = 302;
  Request& fresh = make(other, reloaded);
  EXPECT_EQ(fresh.enter(0), Admission::granted);
  Request& next = make(other, reloaded);
  EXPECT_EQ(next.enter(0), Admission::waiting);
  fresh.release(0);
  deliver();
  ASSERT_TRUE(next.holding());
  next.release(0);
  for (std::size_t i = 1; i <= 300; ++i) requests[i].leave(Leaving::timed_out, 0);
  stuck.release(0);
  expect_quiet();
}

TEST_F(GateTwoServers, AServerThatIsWellAgainIsUsedOnAPoke) {
  servers.avoid(1, 9'000);
  Request& stuck = holder(0);
  Request& second = waiter(1'000'000);
  gate.poke(8'999'999);
  deliver();
  EXPECT_FALSE(second.holding());
  gate.poke(9'000'000);
  deliver();
  ASSERT_TRUE(second.holding());
  EXPECT_EQ(second.server, 1u);
  stuck.release(0);
  second.release(0);
  expect_quiet();
}

// --- A queue that stays long --------------------------------------------------------------------

TEST_F(GateQueue, AStandingQueueDropsWhoWaitedTooLong) {
  plan.codel = {.target_us = 100, .interval_us = 1'000};
  Request* holding = &holder();
  for (int i = 0; i < 10; ++i) waiter(0);
  const auto turn = [&](std::uint64_t now_us) {
    holding->release(now_us);
    deliver();
    const auto next = std::ranges::find_if(requests, &Request::holding);
    holding = &*next;
    return next - requests.begin();
  };
  EXPECT_EQ(turn(500), 1);  // 500 is too long; the interval begins.
  EXPECT_EQ(turn(1'499), 2);
  EXPECT_EQ(turn(1'500), 4);  // The third is dropped in favour of the fourth.
  EXPECT_EQ(requests[3].state, Request::State::dropped);
  EXPECT_EQ(requests[3].reason, DropReason::standing_queue);
  EXPECT_EQ(turn(2'499), 5);
  EXPECT_EQ(turn(2'500), 7);
  EXPECT_EQ(gate.counters().dropped_codel.read(), 2u);
  EXPECT_EQ(turn(9'000), 9) << "two that wait are few, however long they have waited";
  EXPECT_EQ(turn(19'000), 10);
  EXPECT_EQ(gate.counters().dropped_codel.read(), 3u);
  holding->release(19'001);
  expect_quiet();
}

// Each service takes ten times the target here.
TEST_F(GateQueue, AQueueNoLongerThanWhatIsUnderWayIsShort) {
  plan.servers[0].limit = 4;
  plan.codel = {.target_us = 100, .interval_us = 1'000};
  for (int i = 0; i < 4; ++i) holder();
  for (std::uint64_t now_us = 1'000; now_us < 100'000; now_us += 1'000) {
    const std::uint32_t most = now_us < 50'000 ? 4 : 8;
    while (gate.waiting() < most) waiter(now_us - 1'000);
    std::ranges::find_if(requests, &Request::holding)->release(now_us);
    deliver();
    EXPECT_EQ(gate.counters().dropped_codel.read() > 0, now_us >= 51'000) << now_us;
  }
  for (Request& request : requests) {
    if (request.holding()) request.release(100'000);
    deliver();
  }
  expect_quiet();
}

}  // namespace
}  // namespace weir::upstream
