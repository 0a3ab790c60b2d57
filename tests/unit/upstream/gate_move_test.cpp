// Who waits when the configuration changes: goes on by the new plan, as old as it is. And who waits
// in vain: is told.
#include <gtest/gtest.h>

#include <deque>

#include "gate_world.h"
#include "health/state.h"

namespace weir::upstream {
namespace {

using test::FakeServers;
using test::FakeWorker;
using test::Request;
using Admission = Gate::Admission;
using State = Request::State;

struct GateMove : testing::Test {
  FakeServers servers{3};
  FakeWorker worker;
  FakeWorker other;
  Gate gate;
  std::deque<GatePlan> plans;    // As long as requests use them.
  std::deque<Request> requests;  // Neither moved nor copied.
  GatePlan& old = plan_of({0}, 1);

  void TearDown() override {
    for (Request& request : requests) {
      deliver();
      if (request.state == State::waiting) request.leave(Gate::Leaving::abandoned, 0);
      if (request.holding()) request.release(0);
    }
    deliver();
    EXPECT_EQ(gate.waiting() + gate.in_flight(), 0u);
    for (std::size_t i = 0; i < servers.states.size(); ++i) EXPECT_EQ(servers.in_flight(i), 0u);
    EXPECT_EQ(worker.tickets.slab.live() + other.tickets.slab.live(), 0u);
    const GateCounters& counters = gate.counters();
    EXPECT_EQ(counters.queued.read(), counters.granted.read() + counters.abandoned.read() +
                                          counters.dropped_no_server.read());
  }

  [[nodiscard]] GatePlan& plan_of(const std::vector<std::size_t>& those, std::uint32_t limit) {
    GatePlan& made = plans.emplace_back();
    for (const std::size_t i : those) {
      made.servers.push_back({.state = servers.states[i].get(), .limit = limit});
    }
    made.queue_size = 8;
    return made;
  }
  Request& holder(const GatePlan& plan, std::uint32_t server = 0) {
    Request& request = requests.emplace_back(gate, plan, worker);
    EXPECT_TRUE(request.take(server, 0));
    return request;
  }
  Request& waiter(const GatePlan& plan, FakeWorker& at, std::uint64_t now_us = 0) {
    Request& request = requests.emplace_back(gate, plan, at);
    EXPECT_EQ(request.enter(now_us), Admission::waiting);
    return request;
  }
  // What a worker does when it adopts a snapshot.
  void adopt(FakeWorker& at, const GatePlan& from, const GatePlan& to, std::uint64_t now_us = 0) {
    gate.move(at.tickets, from, &to);
    for (Request& request : requests) {
      if (&request.worker == &at) request.follow(to);
    }
    gate.poke(now_us);
  }
  void deliver() {
    worker.mailbox.deliver_all();
    other.mailbox.deliver_all();
  }
};

TEST_F(GateMove, AGrownLimitIsForThoseWhoWait) {
  const GatePlan& grown = plan_of({0}, 3);
  holder(old);
  Request& first = waiter(old, worker, 1'000);
  Request& second = waiter(old, worker, 2'000);
  Request& third = waiter(old, worker, 3'000);
  adopt(worker, old, grown, 9'000);
  deliver();
  EXPECT_TRUE(first.holding() && second.holding());
  EXPECT_EQ(first.waited_us, 8'000u) << "since it began to wait";
  EXPECT_EQ(third.state, State::waiting) << "three are at the server, by whatever plan";
  EXPECT_EQ(servers.in_flight(0), 3u);
}

TEST_F(GateMove, SoIsAServerThatHasCome) {
  const GatePlan& more = plan_of({1, 0}, 1);
  holder(old);
  Request& first = waiter(old, worker);
  adopt(worker, old, more);
  deliver();
  ASSERT_TRUE(first.holding());
  EXPECT_EQ(first.server, 0u) << "by the new plan's numbers";
  EXPECT_EQ(servers.in_flight(1), 1u);
}

TEST_F(GateMove, AShrunkLimitAndQueueLetWhoWaitsStay) {
  GatePlan& shrunk = plan_of({0}, 1);
  shrunk.queue_size = 0;
  const GatePlan& wide = plan_of({0}, 2);
  Request& one = holder(wide);
  Request& two = holder(wide);
  Request& first = waiter(wide, worker);
  Request& second = waiter(wide, worker);
  adopt(worker, wide, shrunk);
  one.release(1);
  deliver();
  EXPECT_FALSE(first.holding()) << "one is still there";
  two.release(2);
  deliver();
  EXPECT_TRUE(first.holding());
  EXPECT_EQ(second.state, State::waiting);
}

// The workers adopt one after the other, and others come in between.
TEST_F(GateMove, TheOldestStaysFirst) {
  const GatePlan& same = plan_of({0}, 1);
  Request* holding = &holder(old);
  for (int i = 0; i < 6; ++i) waiter(old, i % 2 == 0 ? worker : other);
  adopt(worker, old, same);
  waiter(same, worker);
  adopt(other, old, same);
  for (std::size_t i = 1; i <= 7; ++i) {
    holding->release(0);
    deliver();
    holding = &requests[i];
    ASSERT_TRUE(holding->holding()) << i;
  }
}

TEST_F(GateMove, AServerThatFailedItStaysOutByAnyNumber) {
  const GatePlan& two = plan_of({0, 1}, 1);
  const GatePlan& turned = plan_of({2, 1}, 1);
  holder(two, 0);
  holder(two, 1).release(0);
  Request& particular = requests.emplace_back(gate, two, worker);
  ASSERT_TRUE(particular.tried.exclude(1));
  ASSERT_EQ(particular.enter(0), Admission::waiting);
  servers.states[2]->in_flight = 1;  // Somebody of another kind.
  adopt(worker, two, turned);
  deliver();
  EXPECT_EQ(particular.state, State::waiting) << "the server that it has tried is free";
  servers.states[2]->in_flight = 0;
  gate.poke(0);
  deliver();
  ASSERT_TRUE(particular.holding());
  EXPECT_EQ(particular.server, 0u);
}

TEST_F(GateMove, WhoWasGrantedBeforeKeepsItsSlot) {
  const GatePlan& grown = plan_of({1, 0}, 1);
  Request& first = holder(old);
  Request& second = waiter(old, worker);
  first.release(0);
  adopt(worker, old, grown);
  EXPECT_EQ(&second.ticket->plan(), &old);
  deliver();
  ASSERT_TRUE(second.holding());
  EXPECT_EQ(servers.in_flight(0), 1u);
}

TEST_F(GateMove, WhereTheBackendIsGoneItsWaitersAreTold) {
  holder(old);
  Request& here = waiter(old, worker);
  Request& there = waiter(old, other);
  gate.move(worker.tickets, old, nullptr);
  deliver();
  EXPECT_EQ(here.state, State::dropped);
  EXPECT_EQ(here.reason, DropReason::no_server);
  EXPECT_EQ(there.state, State::waiting) << "its worker has not adopted yet";
}

TEST_F(GateMove, WhereNoServerIsInServiceTheyAreToldToo) {
  const GatePlan& same = plan_of({0}, 1);
  holder(old);
  Request& first = waiter(old, worker);
  servers.states[0]->administrative = static_cast<std::uint8_t>(health::Wish::maintenance);
  adopt(worker, old, same);
  Request& late = waiter(same, worker);
  deliver();
  EXPECT_EQ(first.reason, DropReason::no_server);
  EXPECT_EQ(first.state, State::dropped);
  gate.poke(0);
  deliver();
  EXPECT_EQ(late.state, State::dropped);
}

// --- What those who wait leave over --------------------------------------------------------------

TEST_F(GateMove, ASlotThatNobodyWaitsForIsTakenAtOnce) {
  const GatePlan& two = plan_of({0, 1}, 1);
  servers.states[0]->administrative = static_cast<std::uint8_t>(health::Wish::drain);
  holder(two, 1);
  waiter(two, worker);
  EXPECT_FALSE(gate.take(two, 0, 0));
  ASSERT_TRUE(gate.take_left_over(two, 0, 0));
  EXPECT_FALSE(gate.take_left_over(two, 0, 0)) << "full";
  gate.release(two, 0, 0);
}

TEST_F(GateMove, ASlotThatSomebodyWaitsForIsHis) {
  holder(old);
  Request& first = waiter(old, worker);
  servers.states[0]->in_flight = 0;  // Free, and nobody has been told yet.
  EXPECT_FALSE(gate.take_left_over(old, 0, 0));
  deliver();
  EXPECT_TRUE(first.holding());
  servers.states[0]->in_flight = 2;
}

TEST_F(GateMove, NobodyIsSentWhereNothingIsAskedForWhileAnotherIsUsable) {
  const GatePlan& two = plan_of({0, 1}, 1);
  servers.states[0]->agent_percent = 0;
  Request& held = holder(two, 1);
  Request& first = waiter(two, worker);
  servers.avoid(1, 9'000);
  gate.poke(0);
  deliver();
  ASSERT_TRUE(first.holding()) << "the other one is ejected";
  EXPECT_EQ(first.server, 0u);
  first.release(0);
  servers.states[1]->passive = 0;
  Request& second = waiter(two, worker);
  held.release(0);
  deliver();
  ASSERT_TRUE(second.holding());
  EXPECT_EQ(second.server, 1u);
}

}  // namespace
}  // namespace weir::upstream
