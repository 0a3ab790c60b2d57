#include "control/backend_watch.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "health/ejection_floor.h"
#include "upstream/backend_state.h"
#include "upstream/condition.h"

namespace weir::control {
namespace {

constexpr std::uint64_t kListenMs = 250;
constexpr std::uint64_t kLookMs = 1'000;

// Whether so few are healthy that the verdicts are more likely wrong than right. Each tier is
// asked by itself: one in which enough are healthy needs nobody else, however many are down in the
// others. Of a backend without a server in service nothing can be used, so there is no panic.
bool too_few_healthy(const upstream::GatePlan& plan, std::uint32_t panic_percent,
                     std::uint64_t now_ms) {
  std::map<std::uint32_t, health::ServerCounts> tiers;
  for (const upstream::GatePlan::Server& server : plan.servers) {
    upstream::count_server(server, now_ms, tiers[server.priority]);
  }
  std::erase_if(tiers, [](const auto& tier) { return tier.second.servers == 0; });
  return !tiers.empty() && std::ranges::all_of(tiers, [&](const auto& tier) {
    return std::uint64_t{tier.second.usable} * 100 <
           std::uint64_t{tier.second.servers} * panic_percent;
  });
}

// For the log: "1 down, 2 maintenance".
std::string conditions(const upstream::GatePlan& plan) {
  std::map<std::string_view, std::size_t> counts;
  for (const upstream::GatePlan::Server& server : plan.servers) {
    ++counts[server.weight == 0 ? "of weight 0"
                                : health::to_string(upstream::condition_of(*server.state))];
  }
  std::string text;
  for (const auto& [condition, count] : counts) {
    text.append(text.empty() ? "" : ", ").append(std::to_string(count) + " ").append(condition);
  }
  return text.empty() ? "it has none now" : text;
}

std::uint64_t ms(config::Milliseconds duration) {
  return static_cast<std::uint64_t>(duration.count());
}

// Counted over the workers that had an answer as lately as any: a row in another one may consist of
// old requests that take their time.
struct Unanswered {
  std::uint64_t requests = 0;
  std::uint64_t answered_ms = 0;  // When the last answer came; 0: never.
};

Unanswered unanswered_by(const upstream::ServerState& server) {
  constexpr std::uint64_t kAsLatelyMs = 1'000;
  Unanswered now;
  for (unsigned worker = 0; worker < server.worker_count(); ++worker) {
    now.answered_ms = std::max(now.answered_ms, server.counters(worker).answered_ms.read());
  }
  for (unsigned worker = 0; worker < server.worker_count(); ++worker) {
    const upstream::ServerCounters& counters = server.counters(worker);
    if (counters.answered_ms.read() + kAsLatelyMs < now.answered_ms) continue;
    now.requests += counters.unanswered.read();
  }
  // Clients that left are in the row, and not under way any more.
  now.requests =
      std::min<std::uint64_t>(now.requests, server.in_flight.load(std::memory_order_relaxed));
  return now;
}

health::SilenceSettings silence_settings(const config::Ejection& from) {
  health::SilenceSettings settings;
  settings.requests = from.consecutive_errors;
  settings.after_ms = static_cast<std::uint32_t>(from.silence.count());
  settings.min_requests = from.min_requests;
  settings.max_ejected_percent = from.max_ejected_percent;
  return settings;
}

health::Wish wish_of(config::ServerWish wish) {
  switch (wish) {
    case config::ServerWish::ready: return health::Wish::none;
    case config::ServerWish::drain: return health::Wish::drain;
    case config::ServerWish::maintenance: return health::Wish::maintenance;
  }
  return health::Wish::none;
}

}  // namespace

BackendWatch::BackendWatch(loop::Loop& loop, std::function<void(const std::string&)> say,
                           std::uint64_t seed)
    : Source(loop::SourceKind::none), loop_(loop), say_(std::move(say)), random_(seed) {}

void BackendWatch::watch(const config::Config& config, const proxy::Snapshot& snapshot) {
  std::map<std::string, Watched> watched;
  for (std::size_t i = 0; i < config.backends.size(); ++i) {
    const config::Backend& from = config.backends[i];
    const auto known = backends_.find(from.name);
    Watched& backend = watched[from.name];
    if (known != backends_.end()) backend = std::move(known->second);
    backend.plan = &snapshot.backends()[i];
    backend.ejection = from.ejection;
    backend.panic_percent = from.panic_percent;
    const std::uint64_t window_ends_ms = loop_.now_ms() + ms(from.ejection.window);
    backend.window_ends_ms = std::min(backend.window_ends_ms, window_ends_ms);
    apply_wishes(from, *backend.plan);
    welcome(backend, known != backends_.end());
  }
  backends_ = std::move(watched);
  loop_.set_deadline(*this, loop_.now_ms() + kListenMs);
}

// What the operator has written about each server, and the slow start of one that returns.
void BackendWatch::apply_wishes(const config::Backend& from, const upstream::BackendPlan& plan) {
  for (std::size_t i = 0; i < from.servers.size(); ++i) {
    upstream::ServerState& server = *plan.gate.servers[i].state;
    const health::Wish wish = wish_of(from.servers[i].state);
    const auto before = static_cast<health::Wish>(
        server.administrative.exchange(static_cast<std::uint8_t>(wish), std::memory_order_relaxed));
    if (before == wish) continue;
    server.wishes[static_cast<std::size_t>(wish)].add();
    if (wish == health::Wish::none && plan.slow_start_ms > 0) {
      server.up_since_ms.store(loop_.now_ms(), std::memory_order_relaxed);
    }
    say_("server " + server.backend() + "/" + server.name() +
         (wish == health::Wish::none ? " is ready again"
                                     : " is set to " + std::string(health::to_string(wish))));
  }
}

// A server that joins others which are at work warms up.
void BackendWatch::welcome(Watched& backend, bool known) const {
  std::unordered_map<const upstream::ServerState*, Member> members;
  for (const upstream::GatePlan::Server& server : backend.plan->gate.servers) {
    const auto member = backend.members.find(server.state);
    if (member != backend.members.end()) {
      members.insert(std::move(*member));
      continue;
    }
    members[server.state];
    if (!known || backend.plan->slow_start_ms == 0) continue;
    server.state->up_since_ms.store(loop_.now_ms(), std::memory_order_relaxed);
  }
  backend.members = std::move(members);
}

void BackendWatch::expire() {
  if (loop_.now_ms() >= next_look_ms_) {
    next_look_ms_ = loop_.now_ms() + kLookMs;
    look();
  }
  for (auto& [name, backend] : backends_) {
    look_for_silence(backend);
    // An ejection ends by time alone, and somebody may wait for just that server.
    backend.plan->state->gate.poke(loop_.now_ns() / 1000);
  }
  loop_.set_deadline(*this, loop_.now_ms() + kListenMs);
}

void BackendWatch::look() {
  for (auto& [name, backend] : backends_) {
    look_at(backend);
    look_for_silence(backend);
    if (loop_.now_ms() >= backend.window_ends_ms) look_for_outliers(backend);
  }
}

// Whether so few are healthy that all are used, or none is left.
void BackendWatch::look_at(Watched& backend) {
  upstream::BackendState& state = *backend.plan->state;
  const health::ServerCounts counts = upstream::count_servers(backend.plan->gate, loop_.now_ms());
  const bool panic = too_few_healthy(backend.plan->gate, backend.panic_percent, loop_.now_ms());
  if (state.panic.exchange(panic, std::memory_order_relaxed) != panic) {
    if (panic) ++counters_.panics;
    say_("backend " + state.name() + ": " + std::to_string(counts.usable) + " of " +
         std::to_string(counts.servers) + " servers are healthy, " +
         (panic ? "fewer than panic_percent: all are used" : "the others are left alone again"));
  }
  tell_whether_any_is_left(backend);
  for (const upstream::GatePlan::Server& server : backend.plan->gate.servers) {
    count_returns(*server.state);
    end_slow_start(*server.state, backend.plan->slow_start_ms);
  }
}

// Without one every request is answered with no_healthy_server, and that is no panic.
void BackendWatch::tell_whether_any_is_left(Watched& backend) const {
  const upstream::GatePlan& plan = backend.plan->gate;
  const bool nobody = std::ranges::none_of(plan.servers, [&](const auto& server) {
    return server.weight > 0 && upstream::in_service(*server.state, plan.fail_open);
  });
  if (std::exchange(backend.nobody_left, nobody) == nobody) return;
  say_("backend " + backend.plan->name +
       (nobody ? ": no server is left that takes requests: " + conditions(plan)
               : ": servers take requests again"));
}

// Whoever ejects a server counts that, and what is not out any more has returned. The counts are
// read first: an ejection meanwhile is too few for now, never one too many.
void BackendWatch::count_returns(upstream::ServerState& server) {
  std::uint64_t ejections = 0;
  for (unsigned worker = 0; worker < server.worker_count(); ++worker) {
    ejections += server.counters(worker).ejections.read();
  }
  for (const Counter& outliers : server.outlier_ejections) ejections += outliers.read();
  const bool out = !health::is_up(server.passive.load(std::memory_order_relaxed));
  server.returns.set(
      std::max(server.returns.read(), ejections - std::min<std::uint64_t>(ejections, out)));
}

// Its share is a whole one: picks need not work it out any more.
void BackendWatch::end_slow_start(upstream::ServerState& server, std::uint64_t lasts_ms) const {
  std::uint64_t since_ms = server.up_since_ms.load(std::memory_order_relaxed);
  if (since_ms == 0 || loop_.now_ms() < since_ms + lasts_ms) return;
  // Unless a worker has just begun another one.
  server.up_since_ms.compare_exchange_strong(since_ms, 0, std::memory_order_relaxed);
}

void BackendWatch::look_for_outliers(Watched& backend) {
  backend.window_ends_ms = loop_.now_ms() + ms(backend.ejection.window);
  std::vector<health::ServerWindow> windows;
  for (const upstream::GatePlan::Server& server : backend.plan->gate.servers) {
    windows.push_back(end_window(backend.members[server.state], *server.state));
    windows.back().judged = is_judged(server);
  }
  if (!backend.ejection.enabled) return;
  const std::lock_guard lock(backend.plan->state->ejecting);
  const health::ServerCounts counts = upstream::count_servers(backend.plan->gate, loop_.now_ms());
  health::OutlierSettings settings;
  settings.error_percent = backend.ejection.error_percent;
  settings.latency_factor = backend.ejection.latency_factor;
  settings.min_requests = backend.ejection.min_requests;
  settings.max_ejected_percent = backend.ejection.max_ejected_percent;
  for (const health::Outlier& outlier : health::find_outliers(windows, counts, settings)) {
    eject(backend, outlier);
  }
}

// What the servers have done of late is added up only where one of them has been silent for long.
void BackendWatch::look_for_silence(Watched& backend) {
  if (!backend.ejection.enabled) return;
  const std::uint64_t now_ms = loop_.now_ms();
  const health::SilenceSettings settings = silence_settings(backend.ejection);
  bool any = false;
  for (const upstream::GatePlan::Server& server : backend.plan->gate.servers) {
    health::Silence& silence = backend.members[server.state].silence;
    const Unanswered now = unanswered_by(*server.state);
    silence.look(now.requests, now.answered_ms, now_ms, settings);
    any = any || (silence.is_long(now_ms, settings) && is_judged(server));
  }
  if (!any) return;
  const std::lock_guard lock(backend.plan->state->ejecting);
  const health::ServerCounts counts = upstream::count_servers(backend.plan->gate, now_ms);
  if (health::ejection_room(counts, settings.max_ejected_percent) == 0) return;
  for (const health::Outlier& outlier :
       health::find_silent(listened(backend), now_ms, counts, settings)) {
    eject(backend, outlier);
  }
}

std::vector<health::Listened> BackendWatch::listened(const Watched& backend) const {
  std::vector<health::Listened> servers;
  for (const upstream::GatePlan::Server& server : backend.plan->gate.servers) {
    const Member& member = backend.members.at(server.state);
    Counts of_late = counts_of(*server.state);
    of_late.latencies.subtract(member.before.latencies);
    servers.push_back({is_judged(server), member.silence, of_late.requests - member.before.requests,
                       of_late.answers - member.before.answers, of_late.latencies.count(),
                       of_late.latencies.quantile_us(0.95)});
  }
  return servers;
}

// Takes requests now.
bool BackendWatch::is_judged(const upstream::GatePlan::Server& server) const {
  return server.weight > 0 && upstream::is_healthy(*server.state, loop_.now_ms()) &&
         health::is_up(server.state->passive.load(std::memory_order_relaxed));
}

BackendWatch::Counts BackendWatch::counts_of(const upstream::ServerState& server) {
  Counts counts;
  for (unsigned worker = 0; worker < server.worker_count(); ++worker) {
    const upstream::ServerCounters& counters = server.counters(worker);
    counts.requests += counters.requests.read();
    counts.answers += counters.answers.read();
    counts.errors += counters.answers_bad.read();
    counts.latencies.add(counters.first_byte_us);
  }
  return counts;
}

health::ServerWindow BackendWatch::end_window(Member& member, const upstream::ServerState& server) {
  Counts now = counts_of(server);
  HistogramCounts latencies = now.latencies;
  latencies.subtract(member.window.latencies);
  health::ServerWindow window;
  window.answers = now.answers - member.window.answers;
  // An answer that was counted before may have broken in this one.
  window.errors = std::min(now.errors - member.window.errors, window.answers);
  window.latencies = latencies.count();
  window.median_us = latencies.quantile_us(0.5);
  Counts began = std::exchange(member.window, std::move(now));
  if (!member.silence.is_row()) member.before = std::move(began);
  return window;
}

void BackendWatch::eject(const Watched& backend, const health::Outlier& outlier) {
  using Event = health::Passive::Event;
  using Reason = health::Outlier::Reason;
  upstream::ServerState& server = *backend.plan->gate.servers[outlier.server].state;
  const health::PassiveChange change = health::apply(
      server.passive, outlier.reason == Reason::silence ? Event::fell_silent : Event::ejected,
      loop_.now_ms(), static_cast<std::uint32_t>(random_() >> 32), backend.plan->passive,
      {false, true});
  if (change.after.state() == change.before.state()) return;
  server.outlier_ejections[static_cast<std::size_t>(outlier.reason)].add();
  os::trace_transition(os::Machine::passive, change.before.state(), change.after.state());
  say_("server " + server.backend() + "/" + server.name() +
       " is ejected for a while: " + health::describe(outlier));
}

}  // namespace weir::control
