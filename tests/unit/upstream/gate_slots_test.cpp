// Taking and giving back, one thread.
#include <gtest/gtest.h>

#include "gate_world.h"
#include "health/state.h"

namespace weir::upstream {
namespace {

using test::FakeServers;
using test::FakeWorker;
using test::Request;

struct GateSlots : testing::Test {
  FakeServers servers{2};
  FakeWorker worker;
  Gate gate;
};

TEST_F(GateSlots, AServerTakesUpToItsLimit) {
  const GatePlan plan = servers.plan(2);
  EXPECT_TRUE(gate.take(plan, 0, 0));
  EXPECT_TRUE(gate.take(plan, 0, 0));
  EXPECT_FALSE(gate.take(plan, 0, 0));
  EXPECT_FALSE(Gate::has_room(plan, 0));
  EXPECT_TRUE(gate.take(plan, 1, 0)) << "the other one has its own";
  gate.release(plan, 0, 0);
  EXPECT_TRUE(Gate::has_room(plan, 0));
  EXPECT_TRUE(gate.take(plan, 0, 0));
  EXPECT_EQ(servers.in_flight(0), 2u);
}

TEST_F(GateSlots, WithoutALimitEverythingIsCounted) {
  const GatePlan plan = servers.plan(0);
  for (int i = 0; i < 1'000; ++i) EXPECT_TRUE(gate.take(plan, 0, 0));
  EXPECT_EQ(servers.in_flight(0), 1'000u);
  EXPECT_EQ(gate.in_flight(), 0u) << "nobody asks for the sum";
  // A reload brings a limit: what is under way counts.
  const GatePlan limited = servers.plan(1'000);
  EXPECT_FALSE(gate.take(limited, 0, 0));
  gate.release(plan, 0, 0);
  EXPECT_TRUE(gate.take(limited, 0, 0));
}

TEST_F(GateSlots, TheBackendsLimitHoldsOverItsServers) {
  GatePlan plan = servers.plan(2);
  plan.limit_of_all = 3;
  EXPECT_TRUE(gate.take(plan, 0, 0));
  EXPECT_TRUE(gate.take(plan, 0, 0));
  EXPECT_FALSE(gate.take(plan, 0, 0));
  EXPECT_EQ(gate.in_flight(), 2u) << "both or none: the server was full";
  EXPECT_TRUE(gate.take(plan, 1, 0));
  EXPECT_FALSE(gate.take(plan, 1, 0));
  EXPECT_EQ(servers.in_flight(1), 1u) << "both or none: the backend was full";
  gate.release(plan, 0, 0);
  EXPECT_EQ(gate.in_flight(), 2u);
  EXPECT_TRUE(gate.take(plan, 1, 0));
}

TEST_F(GateSlots, TheServersOwnLimitIsTheSmallerOrTheOnlyOne) {
  const GatePlan none = servers.plan(0);
  const GatePlan five = servers.plan(5);
  EXPECT_EQ(none.limit_now(none.servers[0]), 0u);
  servers.states[0]->agent_limit = 3;
  EXPECT_EQ(none.limit_now(none.servers[0]), 3u);
  EXPECT_EQ(five.limit_now(five.servers[0]), 3u);
  servers.states[0]->agent_limit = 9;
  EXPECT_EQ(five.limit_now(five.servers[0]), 5u);
  servers.states[0]->agent_limit = 1;
  EXPECT_TRUE(gate.take(none, 0, 0));
  EXPECT_FALSE(gate.take(none, 0, 0));
}

// The pick said one server, another request was quicker: the other server's slot, at once.
TEST_F(GateSlots, EnterTakesWhatIsFreeWithoutWaiting) {
  const GatePlan plan = servers.plan(1, 0);  // Nobody may wait, even.
  EXPECT_TRUE(gate.take(plan, 0, 0));
  Request request(gate, plan, worker);
  EXPECT_EQ(request.enter(0), Gate::Admission::granted);
  EXPECT_EQ(request.server, 1u);
  EXPECT_EQ(worker.tickets.slab.live(), 0u);
  EXPECT_EQ(gate.counters().queued.read(), 0u);
  EXPECT_EQ(gate.counters().granted.read(), 0u);
  Request late(gate, plan, worker);
  EXPECT_EQ(late.enter(0), Gate::Admission::refused);
  EXPECT_EQ(gate.counters().refused_full.read(), 1u);
  EXPECT_EQ(gate.waiting(), 0u);
}

TEST_F(GateSlots, WhoHasTriedEveryServerIsRefused) {
  GatePlan plan = servers.plan(1);
  Request request(gate, plan, worker);
  ASSERT_TRUE(request.tried.exclude(0));
  ASSERT_TRUE(request.tried.exclude(1));
  EXPECT_EQ(request.enter(0), Gate::Admission::refused);
  plan.servers[0].weight = plan.servers[1].weight = 0;
  Request other(gate, plan, worker);
  EXPECT_EQ(other.enter(0), Gate::Admission::refused);
  EXPECT_EQ(gate.counters().refused_full.read(), 0u);
}

// --- Which server -----------------------------------------------------------------------------

struct GateChoice : testing::Test {
  FakeServers servers{3};
  FakeWorker worker;
  Gate gate;
  GatePlan plan = servers.plan(4);

  void put(std::size_t server, std::uint32_t requests) {
    servers.states[server]->in_flight = requests;
  }
  std::uint32_t chosen(std::initializer_list<std::uint32_t> tried = {}) {
    Request request(gate, plan, worker);
    for (const std::uint32_t server : tried) EXPECT_TRUE(request.tried.exclude(server));
    EXPECT_EQ(request.enter(5'000'000), Gate::Admission::granted);
    const std::uint32_t server = request.server;
    request.release(5'000'000);
    return server;
  }
};

TEST_F(GateChoice, TheLeastLoadedForItsWeight) {
  put(0, 3);
  put(1, 2);
  put(2, 3);
  EXPECT_EQ(chosen(), 1u);
  plan.servers[2].weight = 2;
  EXPECT_EQ(chosen(), 2u);
  put(2, 4);  // Full.
  EXPECT_EQ(chosen(), 1u);
  plan.servers[1].weight = 0;
  EXPECT_EQ(chosen(), 0u);
}

TEST_F(GateChoice, NotOneThatWasTried) {
  put(1, 1);
  put(2, 2);
  EXPECT_EQ(chosen({0}), 1u);
  EXPECT_EQ(chosen({0, 1}), 2u);
}

TEST_F(GateChoice, NotOneThatIsAvoidedUnlessAllAre) {
  put(1, 2);
  put(2, 3);
  servers.avoid(0, 9'000);
  EXPECT_EQ(chosen(), 1u);
  servers.avoid(1, 9'000);
  EXPECT_EQ(chosen(), 2u);
  servers.avoid(2, 9'000);
  EXPECT_EQ(chosen(), 0u);
  servers.avoid(1, 5'000);  // Now is 5,000 ms: due for its trial.
  EXPECT_EQ(chosen(), 1u);
}

TEST_F(GateChoice, NotOneThatWantsNoneEvenIfAllOthersAreAvoided) {
  servers.states[0]->administrative = static_cast<std::uint8_t>(health::Wish::maintenance);
  servers.states[1]->agent = static_cast<std::uint8_t>(health::Wish::drain);
  put(2, 3);
  servers.avoid(2, 9'000);
  EXPECT_EQ(chosen(), 2u);
  servers.states[2]->passive = 0;
  servers.states[2]->active = static_cast<std::uint8_t>(health::Active::State::down);
  EXPECT_EQ(chosen(), 2u) << "down for the check is a last resort";
  servers.states[1]->agent = 0;
  EXPECT_EQ(chosen(), 1u);
}

TEST_F(GateChoice, ABackupOnlyWhenNobodyBetterIsUsable) {
  plan.servers[0].priority = 1;
  put(1, 1);
  put(2, 1);
  EXPECT_NE(chosen(), 0u);
  put(1, 4);
  put(2, 4);
  Request request(gate, plan, worker);
  EXPECT_EQ(request.enter(5'000'000), Gate::Admission::waiting) << "full is not down";
  request.leave(Gate::Leaving::abandoned, 5'000'000);
  servers.avoid(1, 9'000);
  servers.avoid(2, 9'000);
  EXPECT_EQ(chosen(), 0u);
  EXPECT_EQ(chosen({1, 2}), 0u) << "a retry of what the better ones have failed";
}

TEST_F(GateChoice, NobodyIsSentPastAnOpenBreaker) {
  plan.pending_limit = 2;
  put(1, 1);
  put(2, 2);
  servers.states[0]->pending = 2;
  EXPECT_EQ(chosen(), 1u);
  servers.states[1]->pending = 2;
  EXPECT_EQ(chosen(), 2u);
  servers.states[2]->pending = 2;
  Request request(gate, plan, worker);
  EXPECT_EQ(request.enter(5'000'000), Gate::Admission::waiting);
  servers.states[1]->pending = 1;
  gate.poke(5'000'000);
  worker.mailbox.deliver_all();
  EXPECT_TRUE(request.holding());
  EXPECT_EQ(request.server, 1u);
}

// The breaker of retries holds up retries only, also those that line up first.
TEST_F(GateChoice, RetriesDoNotHoldUpOthers) {
  plan.retry_limit = 1;
  for (const auto& state : servers.states) state->retries = 1;
  for (std::size_t i = 0; i < 3; ++i) put(i, 4);
  Request again(gate, plan, worker);
  again.retry = true;
  Request fresh(gate, plan, worker);
  ASSERT_EQ(again.enter(5'000'000), Gate::Admission::waiting);
  ASSERT_EQ(fresh.enter(5'000'000), Gate::Admission::waiting);
  gate.release(plan, 2, 5'000'000);
  worker.mailbox.deliver_all();
  EXPECT_FALSE(again.holding());
  EXPECT_TRUE(fresh.holding());
  servers.states[2]->retries = 0;
  fresh.release(5'000'000);
  worker.mailbox.deliver_all();
  EXPECT_TRUE(again.holding());
}

TEST_F(GateChoice, DownIsALastResortOnlyIfTheCheckMayBeWrong) {
  for (const auto& state : servers.states) {
    state->active = static_cast<std::uint8_t>(health::Active::State::down);
  }
  plan.fail_open = false;
  put(0, 4);
  Request request(gate, plan, worker);
  EXPECT_EQ(request.enter(5'000'000), Gate::Admission::waiting);
  gate.release(plan, 0, 5'000'000);
  worker.mailbox.deliver_all();
  EXPECT_EQ(request.state, Request::State::dropped) << "there is nothing to wait for";
  EXPECT_EQ(request.reason, DropReason::no_server);
  servers.avoid(1, 9'000);
  servers.states[1]->active = static_cast<std::uint8_t>(health::Active::State::up);
  EXPECT_EQ(chosen(), 1u) << "ejected, but not down";
  plan.fail_open = true;
  put(1, 4);
  EXPECT_NE(chosen(), 1u);
}

}  // namespace
}  // namespace weir::upstream
