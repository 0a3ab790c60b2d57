#include "upstream/backend.h"

#include <algorithm>
#include <utility>

namespace weir::upstream {
namespace {

// What a policy may know about the servers. `take_avoided`: nobody else is left.
struct View {
  const std::vector<ServerPool*>& pools;
  std::uint64_t now_ms;
  bool take_avoided;

  [[nodiscard]] bool usable(std::uint32_t server) const {
    if (take_avoided) return true;
    const std::uint64_t word = pools[server]->state().passive.load(std::memory_order_relaxed);
    return health::takes_requests(word, now_ms);
  }
  [[nodiscard]] std::uint32_t in_flight(std::uint32_t server) const {
    return pools[server]->state().in_flight.load(std::memory_order_relaxed);
  }
};

void trace(health::Passive::State before, health::Passive::State after) {
  if (before != after) os::trace_transition(os::Machine::passive, before, after);
}

}  // namespace

Backend::Backend(std::vector<ServerPool*> pools, const BackendPlan& plan, std::uint64_t seed,
                 std::uint64_t now_ms)
    : pools_(std::move(pools)),
      balancer_(plan.algorithm, plan.weights, seed),
      retry_budget_(now_ms),
      prng_(~seed) {
  adopt(plan);
}

void Backend::adopt(const BackendPlan& plan) {
  // Above the connect timeout, so that a trial which is only slow is not doubled.
  passive_settings_.trial_ms_max =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(plan.connect_timeout_ms, 3'600'000)) +
      1'000;
}

std::optional<Pick> Backend::pick(const balance::Attempt& attempt, std::uint64_t now_ms) {
  // Losing the race for a trial is rare, and each round can lose it at another server only.
  for (int round = 0; round < 3; ++round) {
    const balance::Choice choice = balancer_.pick(View{pools_, now_ms, false}, attempt);
    if (!choice) break;
    ServerPool* pool = pools_[*choice];
    const health::Admission admission =
        health::admit(pool->state().passive, now_ms, passive_settings_);
    if (admission == health::Admission::refused) continue;
    const bool trial = admission == health::Admission::trial;
    if (trial) trace(health::Passive::State::ejected, health::Passive::State::trial);
    return Pick{pool, *choice, trial};
  }
  const balance::Choice choice = balancer_.pick(View{pools_, now_ms, true}, attempt);
  if (!choice) return std::nullopt;
  return Pick{pools_[*choice], *choice, false};
}

bool Backend::report(const Pick& pick, health::Passive::Event event, std::uint64_t now_ms) {
  using Event = health::Passive::Event;
  if (event == Event::abandoned && !pick.trial) return false;
  // By far the most frequent case: a healthy server did well.
  const std::atomic<std::uint64_t>& word = pick.pool->state().passive;
  if (event == Event::succeeded && word.load(std::memory_order_relaxed) == 0) return false;
  const health::PassiveChange change =
      health::apply(pick.pool->state().passive, event, now_ms, static_cast<std::uint32_t>(prng_()),
                    passive_settings_);
  trace(change.before.state(), change.after.state());
  return (change.before.state() == health::Passive::State::up) !=
         (change.after.state() == health::Passive::State::up);
}

}  // namespace weir::upstream
