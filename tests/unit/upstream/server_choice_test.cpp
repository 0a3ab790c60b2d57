#include "upstream/server_choice.h"

#include <gtest/gtest.h>

#include <optional>

#include "backend_world.h"

namespace weir::upstream {
namespace {

using Chosen = ServerChoice::Outcome;

constexpr std::uint64_t kWaitMs = 300;

// One server with one slot, which somebody else has.
struct Choice : test::BackendWorld {
  void SetUp() override {
    make(1);
    limit(1);
    plan.gate.queue_size = 8;
    choice.aim(plan, *backend);
    holder = taken();
  }
  void TearDown() override {
    choice.leave(Gate::Leaving::abandoned);
    mailbox.deliver_all();
    release(holder);
    expect_nothing_held();
  }

  [[nodiscard]] Backend::Picked taken() {
    const Backend::Picked picked = backend->pick(plan, {.tried = {}}, now_us());
    EXPECT_EQ(picked.outcome, test::Outcome::picked);
    return picked;
  }
  [[nodiscard]] std::uint64_t now_us() const { return world.loop.now_ns() / 1000; }

  // Gets the slot after kWaitMs, and gives it back to somebody who is faster than the next find().
  void wait_in_vain(bool asked) {
    std::optional<Pick> pick;
    ASSERT_EQ(choice.find(false, pick), Chosen::queued);
    backend->release(plan, holder.pick, now_us() + kWaitMs * 1000);
    mailbox.deliver_all();
    ASSERT_EQ(choice.find(false, pick), Chosen::chosen);
    if (!asked) choice.not_asked();
    backend->release(plan, *pick, now_us());
    holder = taken();
  }

  loop::Mailbox mailbox;
  Tickets tickets{mailbox};
  loop::test::Probe waiter;
  ServerChoice choice{tickets, world.loop, waiter};
  Backend::Picked holder;
};

TEST_F(Choice, AnAttemptThatReachedNobodyGoesOnWaitingWhereItWas) {
  std::optional<Pick> pick;
  for (std::uint64_t waits = 1; waits <= 3; ++waits) {
    wait_in_vain(false);
    ASSERT_EQ(choice.find(false, pick), Chosen::queued);
    EXPECT_EQ(choice.waiting_since_ms(), (now_us() - waits * kWaitMs * 1000) / 1000) << waits;
    choice.leave(Gate::Leaving::abandoned);
    choice.not_asked();
  }
}

TEST_F(Choice, AnAttemptThatReachedAServerWaitsAnew) {
  std::optional<Pick> pick;
  wait_in_vain(false);
  wait_in_vain(true);
  ASSERT_EQ(choice.find(true, pick), Chosen::queued);
  EXPECT_EQ(choice.waiting_since_ms(), now_us() / 1000);
  EXPECT_GE(choice.waited_us(), 2 * kWaitMs * 1000);
}

}  // namespace
}  // namespace weir::upstream
