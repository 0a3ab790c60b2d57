// What the tests of the gate share: a backend without connections, and who asks for its slots.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "health/passive.h"
#include "upstream/gate.h"

namespace weir::upstream::test {

// A worker as the gate knows it. The test decides when its mailbox is delivered.
struct FakeWorker {
  loop::Mailbox mailbox;
  Tickets tickets{mailbox};
};

// One request. Remembers what it was told.
class Request final : public TicketOwner {
 public:
  enum class State : std::uint8_t {
    fresh,
    waiting,
    holding,
    dropped,
    ended,
  };

  Request(Gate& asked, const GatePlan& its_plan, FakeWorker& its_worker)
      : gate(asked), plan(&its_plan), worker(its_worker) {}

  Gate::Admission enter(std::uint64_t now_us, std::uint8_t priority = 1) {
    const Gate::Entry entry =
        gate.enter(worker.tickets, *this, *plan, tried, priority, now_us, retry);
    ticket = entry.ticket;
    if (entry.admission == Gate::Admission::granted) hold(entry.server);
    if (entry.admission == Gate::Admission::waiting) state = State::waiting;
    return entry.admission;
  }
  // The way of an exchange: this server if it has a slot, else whatever comes.
  bool take(std::uint32_t wanted, std::uint64_t now_us) {
    if (!gate.take(*plan, wanted, now_us)) return false;
    hold(wanted);
    return true;
  }
  void release(std::uint64_t now_us) {
    EXPECT_EQ(state, State::holding);
    state = State::ended;
    gate.release(*plan, server, now_us);
  }
  void leave(Gate::Leaving why, std::uint64_t now_us) {
    EXPECT_EQ(state, State::waiting);
    state = State::ended;
    gate.leave(*ticket, why, now_us);
  }

  // Its worker has a newer plan, and the gate has moved what waits.
  void follow(const GatePlan& newer) {
    if (state == State::waiting && &ticket->plan() == &newer) plan = &newer;
  }

  void granted(std::uint32_t at, std::uint64_t waited) override {
    EXPECT_EQ(state, State::waiting);
    hold(at);
    waited_us = waited;
  }
  void dropped(DropReason why) override {
    EXPECT_EQ(state, State::waiting);
    state = State::dropped;
    reason = why;
  }
  [[nodiscard]] bool holding() const { return state == State::holding; }

  Gate& gate;
  const GatePlan* plan;
  FakeWorker& worker;
  balance::Attempt tried;
  bool retry = false;
  Ticket* ticket = nullptr;
  State state = State::fresh;
  std::uint32_t server = 0;
  std::uint64_t waited_us = 0;
  DropReason reason{};

 private:
  void hold(std::uint32_t at) {
    state = State::holding;
    server = at;
  }
};

// `count` servers "0", "1", ... that allow `limit` requests each.
struct FakeServers {
  explicit FakeServers(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = std::to_string(i);
      states.push_back(std::make_unique<ServerState>("app", name, os::Address{}, name, 1));
    }
  }
  [[nodiscard]] GatePlan plan(std::uint32_t limit, std::uint32_t queue_size = 1'000) const {
    GatePlan made;
    for (const auto& state : states) made.servers.push_back({.state = state.get(), .limit = limit});
    made.queue_size = queue_size;
    return made;
  }
  [[nodiscard]] std::uint32_t in_flight(std::size_t server) const {
    return states[server]->in_flight.load();
  }
  // Passive health leaves the server alone until then.
  void avoid(std::size_t server, std::uint64_t until_ms) {
    const health::PassiveSettings settings{.backoff_ms = static_cast<std::uint32_t>(until_ms),
                                           .backoff_ms_max = 1'000'000};
    states[server]->passive = 0;
    health::apply(states[server]->passive, health::Passive::Event::failed, 0, 0, settings);
  }

  std::vector<std::unique_ptr<ServerState>> states;
};

}  // namespace weir::upstream::test
