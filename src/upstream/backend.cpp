#include "upstream/backend.h"

#include <algorithm>
#include <utility>

#include "health/ejection_floor.h"
#include "health/slow_start.h"
#include "upstream/backend_state.h"
#include "upstream/condition.h"

namespace weir::upstream {
namespace {

constexpr std::uint32_t kAnyTier = UINT32_MAX;

std::vector<std::uint32_t> weights_of(const BackendPlan& plan) {
  std::vector<std::uint32_t> weights;
  for (const GatePlan::Server& server : plan.gate.servers) weights.push_back(server.weight);
  return weights;
}

void trace(const health::PassiveChange& change) {
  if (change.before.state() == change.after.state()) return;
  os::trace_transition(os::Machine::passive, change.before.state(), change.after.state());
}

}  // namespace

// What a policy may know about the servers in one pick.
class Backend::View {
 public:
  View(const Backend& backend, const BackendPlan& plan, const Wanted& wanted, std::uint64_t now_us,
       std::uint32_t roll)
      : backend_(backend), plan_(plan), wanted_(wanted), now_us_(now_us), roll_(roll) {}

  void only_tier(std::uint32_t tier) { tier_ = tier; }
  // Somebody was left out of this pick for warming up, who is healthy after all.
  [[nodiscard]] bool share_denied() const { return share_denied_; }
  void ignore_shares() { ignore_shares_ = true; }
  // The same for one that asks for nothing.
  [[nodiscard]] bool reserve_denied() const { return reserve_denied_; }
  void take_reserve() { reserve_too_ = true; }
  // The same servers will be looked at again.
  void count_no_breakers() { counts_breakers_ = false; }
  // Nobody healthy is left: whoever is not out of service will do.
  void take_unhealthy() {
    tier_ = kAnyTier;
    unhealthy_too_ = true;
  }
  // What kept a server out of the pick that would have done otherwise.
  [[nodiscard]] bool full() const { return full_; }
  [[nodiscard]] bool breaker_hit() const { return breaker_hit_; }
  // A slot was gone when it was to be taken.
  void lost_a_slot() { full_ = true; }

  [[nodiscard]] bool usable(std::uint32_t index) const {
    const GatePlan::Server& server = plan_.gate.servers[index];
    if (tier_ != kAnyTier && server.priority != tier_) return false;
    const ServerState& state = *server.state;
    if (unhealthy_too_ ? !in_service(state, plan_.gate.fail_open)
                       : !is_healthy(state, now_us_ / 1000) || !has_share(state, index)) {
      return false;
    }
    return has_room(index) && passes_breakers(state, index);
  }
  [[nodiscard]] std::uint32_t in_flight(std::uint32_t server) const {
    return state(server).in_flight.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t latency_us(std::uint32_t server) const {
    const std::uint64_t word = state(server).latency.load(std::memory_order_relaxed);
    return std::max(balance::PeakEwma::unpack(word).read(now_us_ / 1000),
                    backend_.unfinished_[server].mean_age_us(now_us_));
  }
  [[nodiscard]] balance::ReportedLoad load(std::uint32_t server) const {
    const ServerState& state = this->state(server);
    if (state.report_at_ms.load(std::memory_order_relaxed) == 0) return {};
    const std::uint64_t report = state.report.load(std::memory_order_relaxed);
    return {true, static_cast<std::uint32_t>(report >> 32), static_cast<std::uint32_t>(report),
            state.sent_since_report.load(std::memory_order_relaxed)};
  }

 private:
  [[nodiscard]] const ServerState& state(std::uint32_t server) const {
    return *plan_.gate.servers[server].state;
  }

  // During slow start, and when it asks for less than its weight, a server stands for election only
  // in a share of the picks. The same answer throughout one pick.
  [[nodiscard]] bool has_share(const ServerState& state, std::uint32_t index) const {
    const std::uint64_t since_ms = state.up_since_ms.load(std::memory_order_relaxed);
    const std::uint32_t percent = state.agent_percent.load(std::memory_order_relaxed);
    if (since_ms == 0 && percent >= 100) return true;
    if (percent == 0) {
      reserve_denied_ = true;
      return reserve_too_;
    }
    const std::uint32_t share =
        health::slow_start_share(now_us_ / 1000, since_ms, plan_.slow_start_ms);
    const std::uint32_t lot = (roll_ ^ (index * 0x9E37'79B9U)) * 0x85EB'CA6BU >> 22;
    if (ignore_shares_ || lot < share * std::min(percent, 100U) / 100) return true;
    share_denied_ = true;
    return false;
  }

  // A policy may also look at servers that this attempt has tried; nobody waits for those.
  [[nodiscard]] bool has_room(std::uint32_t index) const {
    if (!plan_.limited || Gate::has_room(plan_.gate, index)) return true;
    if (!wanted_.tried.excludes(index)) full_ = true;
    return false;
  }
  [[nodiscard]] bool passes_breakers(const ServerState& state, std::uint32_t index) const {
    if (!plan_.gate.breaker_open(state, wanted_.retry)) return true;
    if (wanted_.tried.excludes(index)) return false;
    if (counts_breakers_) backend_.pools_[index]->counters().breaker_hit.add();
    breaker_hit_ = true;
    return false;
  }

  const Backend& backend_;
  const BackendPlan& plan_;
  const Wanted& wanted_;
  std::uint64_t now_us_;
  std::uint32_t roll_;
  std::uint32_t tier_ = kAnyTier;
  bool unhealthy_too_ = false;
  bool ignore_shares_ = false;
  bool reserve_too_ = false;
  bool counts_breakers_ = true;
  mutable bool share_denied_ = false;
  mutable bool reserve_denied_ = false;
  mutable bool full_ = false;
  mutable bool breaker_hit_ = false;
};

Backend::Backend(std::vector<ServerPool*> pools, const BackendPlan& plan, std::uint64_t seed,
                 std::uint64_t now_us)
    : pools_(std::move(pools)),
      balancer_(plan.balance, weights_of(plan), seed),
      retry_budget_(now_us / 1000, pools_.empty() ? 1 : pools_[0]->state().worker_count()),
      prng_(~seed) {
  if (plan.balance.algorithm == balance::Algorithm::ewma) unfinished_.resize(pools_.size());
}

Backend::Picked Backend::pick(const BackendPlan& plan, const Wanted& wanted, std::uint64_t now_us) {
  const std::uint64_t now_ms = now_us / 1000;
  if (wanted.bound && !wanted.tried.excludes(*wanted.bound) && takes_bound(plan, *wanted.bound) &&
      !plan.gate.breaker_open(pools_[*wanted.bound]->state(), wanted.retry) &&
      take_bound(plan, *wanted.bound, now_us)) {
    return {Outcome::picked, begin(plan, *wanted.bound, false, wanted.retry, now_us)};
  }
  View view(*this, plan, wanted, now_us, random());
  if (!plan.state->panic.load(std::memory_order_relaxed)) {
    if (plan.tiered) view.only_tier(lowest_tier(plan, wanted.tried, now_ms).value_or(kAnyTier));
    std::optional<Admitted> admitted = pick_healthy(plan, view, wanted.tried, now_us);
    view.count_no_breakers();
    if (!admitted && view.share_denied()) {
      view.ignore_shares();
      admitted = pick_healthy(plan, view, wanted.tried, now_us);
    }
    if (!admitted && !view.full() && view.reserve_denied()) {
      view.take_reserve();
      admitted = pick_healthy(plan, view, wanted.tried, now_us);
    }
    if (admitted) {
      return {Outcome::picked,
              begin(plan, admitted->server, admitted->trial, wanted.retry, now_us)};
    }
    if (view.full()) return {Outcome::full};
  }
  view.take_unhealthy();
  const balance::Choice choice = balancer_.pick(view, wanted.tried);
  if (choice && take(plan, *choice, now_us)) {
    return {Outcome::picked, adopt(plan, *choice, wanted.retry, now_us)};
  }
  if (choice || view.full()) return {Outcome::full};
  return {view.breaker_hit() ? Outcome::broken : Outcome::none};
}

// Losing the race for a trial or a slot is rare, and each round can lose it at another server only.
std::optional<Backend::Admitted> Backend::pick_healthy(const BackendPlan& plan, View& view,
                                                       const balance::Attempt& tried,
                                                       std::uint64_t now_us) {
  for (int round = 0; round < 3; ++round) {
    const balance::Choice choice = balancer_.pick(view, tried);
    if (!choice) break;
    if (!take(plan, *choice, now_us)) {
      view.lost_a_slot();
      continue;
    }
    std::atomic<std::uint64_t>& passive = pools_[*choice]->state().passive;
    const health::Admission admission = health::admit(passive, now_us / 1000, plan.passive);
    if (admission != health::Admission::refused) {
      return Admitted{*choice, admission == health::Admission::trial};
    }
    plan.state->gate.release(plan.gate, *choice, now_us);
  }
  return std::nullopt;
}

Pick Backend::adopt(const BackendPlan& plan, std::uint32_t server, bool retry,
                    std::uint64_t now_us) {
  const health::Admission admission =
      health::admit(pools_[server]->state().passive, now_us / 1000, plan.passive);
  return begin(plan, server, admission == health::Admission::trial, retry, now_us);
}

bool Backend::has_other(const BackendPlan& plan, const balance::Attempt& tried,
                        std::uint64_t now_us) const {
  for (std::uint32_t i = 0; i < plan.gate.servers.size(); ++i) {
    const GatePlan::Server& server = plan.gate.servers[i];
    if (server.weight == 0 || tried.excludes(i)) continue;
    if (is_healthy(*server.state, now_us / 1000)) return true;
  }
  return false;
}

// Draining is no reason: that is what the cookie is for.
bool Backend::takes_bound(const BackendPlan& plan, std::uint32_t server) const {
  const ServerState& state = *plan.gate.servers[server].state;
  const health::Wish wish = wish_of(state);
  return (wish == health::Wish::none || wish == health::Wish::drain) && !is_down(state) &&
         health::is_up(state.passive.load(std::memory_order_relaxed));
}

std::optional<std::uint32_t> Backend::lowest_tier(const BackendPlan& plan,
                                                  const balance::Attempt& tried,
                                                  std::uint64_t now_ms) const {
  std::optional<std::uint32_t> lowest;
  for (std::uint32_t i = 0; i < plan.gate.servers.size(); ++i) {
    const GatePlan::Server& server = plan.gate.servers[i];
    if (server.weight == 0 || (lowest && server.priority >= *lowest) || tried.excludes(i)) continue;
    const bool usable = is_healthy(*server.state, now_ms) && asks_for_requests(*server.state);
    if (usable) lowest = server.priority;
  }
  return lowest;
}

bool Backend::take(const BackendPlan& plan, std::uint32_t server, std::uint64_t now_us) {
  if (plan.limited) return plan.state->gate.take(plan.gate, server, now_us);
  pools_[server]->state().in_flight.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool Backend::take_bound(const BackendPlan& plan, std::uint32_t server, std::uint64_t now_us) {
  if (plan.limited) return plan.state->gate.take_left_over(plan.gate, server, now_us);
  return take(plan, server, now_us);
}

Pick Backend::begin(const BackendPlan& plan, std::uint32_t server, bool trial, bool retry,
                    std::uint64_t now_us) {
  ServerState& state = pools_[server]->state();
  if (retry) state.retries.fetch_add(1, std::memory_order_relaxed);
  if (plan.reports_load) state.sent_since_report.fetch_add(1, std::memory_order_relaxed);
  if (!unfinished_.empty()) unfinished_[server].add(now_us);
  if (trial) {
    os::trace_transition(os::Machine::passive, health::Passive::State::ejected,
                         health::Passive::State::trial);
  }
  return {pools_[server], server, now_us, trial, retry, unfinished_.empty()};
}

void Backend::release(const BackendPlan& plan, Pick& pick, std::uint64_t now_us) {
  ServerState& state = pick.pool->state();
  if (!std::exchange(pick.measured, true)) unfinished_[pick.server].remove(pick.started_us);
  if (pick.retry) state.retries.fetch_sub(1, std::memory_order_relaxed);
  if (plan.limited) {
    plan.state->gate.release(plan.gate, pick.server, now_us);
  } else {
    state.in_flight.fetch_sub(1, std::memory_order_relaxed);
    plan.state->gate.poke(now_us);  // A newer configuration may have a limit, and a queue.
  }
}

bool Backend::report(const BackendPlan& plan, const Pick& pick, health::Passive::Event event,
                     std::uint64_t now_us) {
  using Event = health::Passive::Event;
  // One connection fewer is being opened: somebody may wait for just that.
  if (event == Event::succeeded) plan.state->gate.poke(now_us);
  // What counts for nothing still ends a trial.
  if (event == Event::erred && !plan.ejects) event = Event::abandoned;
  if (event == Event::abandoned && !pick.trial) return false;
  if (event == Event::answered) last_good_us_ = now_us;
  std::atomic<std::uint64_t>& word = pick.pool->state().passive;
  // By far the most frequent case: a healthy server did well.
  const bool good = event == Event::succeeded || event == Event::answered;
  if (good && word.load(std::memory_order_relaxed) == 0) return false;
  const std::uint64_t now_ms = now_us / 1000;
  const health::PassiveChange change =
      event == Event::erred
          ? apply_error(plan, pick, now_ms)
          : health::apply(word, event, now_ms, random(), plan.passive, {pick.trial, false});
  trace(change);
  using State = health::Passive::State;
  if (change.before.state() == State::up && change.after.state() == State::ejected) {
    pick.pool->counters().ejections.add();
  }
  if (change.after.state() == State::up && change.before.state() != State::up) {
    came_back(plan, pick.pool->state(), change.before, now_ms);
  }
  return (change.before.state() == State::up) != (change.after.state() == State::up);
}

// A server that was out for its answers, or could not be reached more than once, warms up.
void Backend::came_back(const BackendPlan& plan, ServerState& server, const health::Passive& before,
                        std::uint64_t now_ms) {
  const bool long_out = before.cause() == health::Passive::Cause::answers || before.failures() > 1;
  if (plan.slow_start_ms == 0 || !long_out) return;
  server.up_since_ms.store(now_ms, std::memory_order_relaxed);
}

// An error in the answer ejects the server if that leaves enough of the others. Servers are counted
// only for the error that may be the last straw.
health::PassiveChange Backend::apply_error(const BackendPlan& plan, const Pick& pick,
                                           std::uint64_t now_ms) {
  std::atomic<std::uint64_t>& word = pick.pool->state().passive;
  const auto now = health::Passive::unpack(word.load(std::memory_order_relaxed));
  const bool decides = pick.trial || now.errors() + 1U >= plan.passive.consecutive_errors;
  if (!decides) return health::apply(word, health::Passive::Event::erred, now_ms, 0, plan.passive);
  const std::lock_guard lock(plan.state->ejecting);
  const std::uint32_t room =
      health::ejection_room(count_servers(plan.gate, now_ms), plan.max_ejected_percent);
  return health::apply(word, health::Passive::Event::erred, now_ms, random(), plan.passive,
                       {pick.trial, room > 0});
}

void Backend::observe(Pick& pick, std::uint64_t now_us, bool failed) {
  if (std::exchange(pick.measured, true)) return;
  unfinished_[pick.server].remove(pick.started_us);
  balance::observe(pick.pool->state().latency, now_us - pick.started_us, failed, now_us / 1000);
}

bool same_servers(const BackendPlan& one, const BackendPlan& other) {
  const auto same = [](const GatePlan::Server& a, const GatePlan::Server& b) {
    return a.state == b.state && a.weight == b.weight;
  };
  return std::ranges::equal(one.gate.servers, other.gate.servers, same) &&
         one.balance.algorithm == other.balance.algorithm &&
         one.balance.hash_load_percent == other.balance.hash_load_percent;
}

}  // namespace weir::upstream
