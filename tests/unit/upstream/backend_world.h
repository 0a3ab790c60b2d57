// What the tests of Backend share: a backend without connections on one worker.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "upstream/backend.h"
#include "upstream/backend_state.h"
#include "upstream/condition.h"
#include "world.h"

namespace weir::upstream::test {

using Event = health::Passive::Event;
using Outcome = Backend::Outcome;
using Spread = std::map<std::uint32_t, int>;
using health::Passive;

inline constexpr std::uint64_t kNow = 1'000'000;  // Milliseconds.
// Past the first wait of an avoided server, whatever its jitter.
inline constexpr std::uint64_t kDue = kNow + health::PassiveSettings{}.backoff_ms;

template <typename Word>
constexpr std::uint8_t word(Word value) {
  return static_cast<std::uint8_t>(value);
}

inline balance::Attempt without(std::initializer_list<std::uint32_t> servers) {
  balance::Attempt attempt;
  for (const std::uint32_t server : servers) EXPECT_TRUE(attempt.exclude(server));
  return attempt;
}

class BackendWorld : public testing::Test {
 protected:
  // A backend of `count` equal servers. Nothing is connected.
  Backend& make(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      states.push_back(world.server("s" + std::to_string(i)));
      plan.gate.servers.push_back({.state = states.back().get()});
    }
    plan.state = &shared;
    plan.balance.algorithm = balance::Algorithm::round_robin;
    return remake();
  }
  // The same for what the test has changed in the plan.
  Backend& remake() { return backend.emplace(pointers(pools), plan, 7, kNow * 1000); }
  std::vector<ServerPool*> pointers(std::vector<std::unique_ptr<ServerPool>>& owned) {
    std::vector<ServerPool*> pointing;
    owned.clear();
    for (const auto& state : states) {
      owned.push_back(std::make_unique<ServerPool>(*state, world.resources()));
      pointing.push_back(owned.back().get());
    }
    return pointing;
  }

  Backend::Picked ask(const balance::Attempt& tried = {}, std::uint64_t now_ms = kNow) {
    return backend->pick(plan, {tried}, now_ms * 1000);
  }
  Backend::Picked ask_bound(std::uint32_t server, const balance::Attempt& tried = {}) {
    return backend->pick(plan, {.tried = tried, .bound = server}, kNow * 1000);
  }
  Backend::Picked ask_again(const balance::Attempt& tried = {}) {
    return backend->pick(plan, {.tried = tried, .retry = true}, kNow * 1000);
  }
  void release(Backend::Picked& picked, std::uint64_t now_ms = kNow) {
    backend->release(plan, picked.pick, now_ms * 1000);
  }
  // How often each server is picked in `count` picks, each given back at once.
  Spread spread(int count, std::uint64_t now_ms = kNow, const balance::Attempt& tried = {}) {
    Spread picks;
    for (int i = 0; i < count; ++i) {
      Backend::Picked picked = ask(tried, now_ms);
      if (picked.outcome != Outcome::picked) continue;
      ++picks[picked.pick.server];
      release(picked, now_ms);
    }
    return picks;
  }
  Backend::Picked trial_of(std::uint64_t now_ms) {
    for (int i = 0; i < 100; ++i) {
      Backend::Picked picked = ask({}, now_ms);
      if (picked.pick.trial) return picked;
      release(picked, now_ms);
    }
    ADD_FAILURE() << "no trial";
    return {};
  }

  [[nodiscard]] Passive passive(std::uint32_t server) {
    return Passive::unpack(states[server]->passive.load());
  }
  bool tell(std::uint32_t server, Event event, std::uint64_t now_ms = kNow) {
    return backend->report(plan, Pick{.pool = pools[server].get(), .server = server}, event,
                           now_ms * 1000);
  }
  bool fail(std::uint32_t server) { return tell(server, Event::failed); }
  void wish(std::uint32_t server, health::Wish wish) {
    states[server]->administrative = word(wish);
  }
  void check_says(std::uint32_t server, health::Active::State verdict) {
    states[server]->active = word(verdict);
  }
  void limit(std::uint32_t most) {
    for (GatePlan::Server& server : plan.gate.servers) server.limit = most;
    plan.limited = true;
  }
  void expect_nothing_held() {
    for (const auto& state : states) {
      EXPECT_EQ(state->in_flight.load(), 0u) << state->name();
      EXPECT_EQ(state->retries.load(), 0u) << state->name();
    }
    EXPECT_EQ(shared.gate.in_flight(), 0u);
  }

  World world;
  BackendState shared{"app"};
  BackendPlan plan;
  std::vector<std::unique_ptr<ServerState>> states;
  std::vector<std::unique_ptr<ServerPool>> pools;
  std::optional<Backend> backend;
};

}  // namespace weir::upstream::test
