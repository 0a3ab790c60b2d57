#include "sim/world/upstream_checks.h"

#include <algorithm>
#include <optional>

#include "sim/kernel/faults.h"
#include "sim/world/checkers.h"
#include "sim/world/relays.h"
#include "upstream/backend_state.h"
#include "upstream/condition.h"

namespace weir::sim {
namespace {

// Who frees a slot may wait for somebody that has lost its processor while it held the mutex, and
// for each that is handed a slot, or dropped, before it is told.
constexpr std::uint64_t kHandOverMax = 2 * kStalledForNsMax + 10 * kRepairedWithinNs;

// The one that goes on while a configuration is published, and the one that adopts it.
constexpr std::uint64_t kTurnsToFollow = 2;

// What a request that was given up may still take to arrive, when segment after segment is late.
constexpr std::uint64_t kUnderWayMax = 4 * kLateByNsMax;

using upstream::BackendPlan;
using upstream::GatePlan;
using upstream::ServerState;

std::string name_of(const ServerState& server) { return server.backend() + "/" + server.name(); }

const config::Backend* find_backend(const config::Config& config, const std::string& name) {
  const auto found = std::ranges::find(config.backends, name, &config::Backend::name);
  return found == config.backends.end() ? nullptr : &*found;
}

std::uint32_t limit_of(const config::Backend& backend, const config::Server& server) {
  return server.limit.value_or(backend.server_limit.value_or(0));
}

// Whether anybody who waits must be able to go somewhere. Who has failed at a server, be it only to
// connect, does not return to it: only room everywhere is sure to be room for all. Of room at some
// of them the gate itself is asked for whom it would be.
bool has_room_for_all(const BackendPlan& plan, std::uint64_t now_ms) {
  const std::uint32_t limit_of_all = plan.gate.limit_of_all;
  if (limit_of_all != 0 && plan.state->gate.in_flight() >= limit_of_all) return false;
  bool some = false;
  bool everywhere = !plan.gate.servers.empty();
  for (std::uint32_t i = 0; i < plan.gate.servers.size(); ++i) {
    const GatePlan::Server& server = plan.gate.servers[i];
    if (server.weight == 0) continue;
    const bool room =
        upstream::Gate::has_room(plan.gate, i) && !plan.gate.breaker_open(*server.state, true);
    const upstream::Standing standing =
        upstream::standing_of(*server.state, now_ms, plan.gate.fail_open);
    some = some || (room && standing == upstream::Standing::usable);
    everywhere = everywhere && room && standing != upstream::Standing::out;
  }
  return everywhere ||
         (some && !plan.retry.enabled && !plan.tiered && plan.state->gate.could_serve(now_ms));
}

std::string servers_of(const BackendPlan& plan, std::uint64_t now_ms) {
  std::string text;
  for (std::uint32_t i = 0; i < plan.gate.servers.size(); ++i) {
    const ServerState& server = *plan.gate.servers[i].state;
    const auto passive = health::Passive::unpack(server.passive.load());
    text += "; " + server.name() + ": " + std::to_string(server.in_flight.load()) +
            " in flight, room " + std::to_string(upstream::Gate::has_room(plan.gate, i)) +
            ", standing " +
            std::to_string(
                static_cast<int>(upstream::standing_of(server, now_ms, plan.gate.fail_open))) +
            ", passive " + std::to_string(static_cast<int>(passive.state()));
  }
  return text;
}

}  // namespace

void UpstreamChecks::publishing(const config::Config& config) {
  configs_.push_back(config);
  publishing_ = true;
}

void UpstreamChecks::published() {
  publishing_ = false;
  seen_.clear();
  followed_after_.clear();
  for (const proxy::Worker* worker : workers_.workers()) {
    followed_after_.push_back(worker->loop_counters().turns.read() + kTurnsToFollow);
  }
}

// A turn may last, with many who are held up in it.
bool UpstreamChecks::all_have_followed() const {
  for (std::size_t i = 0; i < followed_after_.size(); ++i) {
    const proxy::Worker& worker = *workers_.workers()[i];
    if (worker.running() && worker.loop_counters().turns.read() < followed_after_[i]) return false;
  }
  return true;
}

void UpstreamChecks::after_turn(std::uint64_t now_ns, bool late) {
  if (configs_.empty() || publishing_) return;
  const bool alone = publisher_.snapshots() == 1;
  if (alone && configs_.size() > 1) forget_older_ones(now_ns);
  check_counts();
  const proxy::Snapshot& snapshot = publisher_.newest();
  for (const ServerState* server : snapshot.servers()) check_limits(*server);
  for (std::size_t i = 0; i < snapshot.backends().size(); ++i) {
    const BackendPlan& plan = snapshot.backends()[i];
    check_limit_of_all(plan);
    if (!late) check_hand_over(configs_.back().backends[i], plan, now_ns);
    if (alone) check_ejections(plan);
  }
}

void UpstreamChecks::forget_older_ones(std::uint64_t now_ns) {
  for (std::size_t i = 0; i + 1 < configs_.size(); ++i) {
    for (const config::Backend& backend : configs_[i].backends) {
      for (const config::Server& server : backend.servers) {
        named_until_ns_[server.address.text()] = now_ns;
      }
    }
  }
  configs_.erase(configs_.begin(), configs_.end() - 1);
  seen_.clear();
}

// As many as the loosest configuration allows by which requests may be under way.
void UpstreamChecks::check_limits(const ServerState& server) const {
  std::uint32_t most = 0;
  for (const config::Config& config : configs_) {
    const config::Backend* backend = find_backend(config, server.backend());
    if (backend == nullptr) continue;
    for (const config::Server& each : backend->servers) {
      if (each.name != server.name() || each.address.text() != server.address_text()) continue;
      const std::uint32_t limit = limit_of(*backend, each);
      if (limit == 0) return;
      most = std::max(most, limit);
    }
  }
  check(server.in_flight.load() <= most, "limits of servers hold",
        name_of(server) + ": " + std::to_string(server.in_flight.load()) + " of " +
            std::to_string(most));
}

void UpstreamChecks::check_limit_of_all(const BackendPlan& plan) const {
  std::uint32_t most = 0;
  for (const config::Config& config : configs_) {
    const config::Backend* backend = find_backend(config, plan.name);
    if (backend != nullptr) most = std::max(most, backend->limit.value_or(0));
  }
  check(plan.state->gate.in_flight() <= most, "limits of backends hold",
        plan.name + ": " + std::to_string(plan.state->gate.in_flight()) + " of " +
            std::to_string(most));
}

std::size_t UpstreamChecks::tcp_sessions() const {
  std::size_t sum = 0;
  for (const auto& listener : workers_.listeners()) {
    if (listener->name == kRelayName) sum += listener->connections.load();
  }
  return sum;
}

// Only an exchange is in flight, a copy of a request or a connection of TCP, and at one server.
void UpstreamChecks::check_counts() const {
  std::size_t exchanges = tcp_sessions();
  for (const proxy::Worker* worker : workers_.workers()) {
    const proxy::Worker::Census census = worker->census();
    exchanges += census.exchanges + census.mirrors;
  }
  std::size_t in_flight = 0;
  for (const ServerState* server : publisher_.newest().servers()) {
    in_flight += server->in_flight.load();
  }
  check(in_flight <= exchanges, "only exchanges are in flight",
        std::to_string(in_flight) + " of " + std::to_string(exchanges) +
            " exchanges, copies and relays");
}

// Somebody waits who could be served: a slot must have been lost on its way to the next in line.
// What a server says of itself may end a wait only later. Who came before the newest configuration
// waits by it, too, once its worker has adopted it. Each of those who wait may take the longest
// time to be told.
void UpstreamChecks::check_hand_over(const config::Backend& backend, const BackendPlan& plan,
                                     std::uint64_t now_ns) {
  Seen::IdleSlot& seen = seen_[plan.name].idle_slot;
  const upstream::Gate& gate = plan.state->gate;
  const bool idle = gate.waiting() > 0 && all_have_followed() && !backend.health.load_report &&
                    has_room_for_all(plan, now_ns / 1'000'000);
  if (!idle) seen = {};
  if (!idle) return;
  seen.since_ns = std::min(seen.since_ns, now_ns);
  seen.waiting = std::max(seen.waiting, gate.waiting());
  const std::uint64_t idle_ns = now_ns - seen.since_ns;
  check(idle_ns <= kHandOverMax * (1 + seen.waiting), "a free slot goes to who waits",
        plan.name + ": " + std::to_string(gate.waiting()) + " wait, for " +
            std::to_string(idle_ns / 1'000'000) + " ms" + servers_of(plan, now_ns / 1'000'000));
}

// The last server that can be used is never ejected for its answers: if another one was ejected for
// them in this turn, and none is up, something else must have taken one away.
void UpstreamChecks::check_ejections(const BackendPlan& plan) {
  std::uint32_t ejected = 0;
  bool other_reason = false;
  bool up = false;
  for (const GatePlan::Server& server : plan.gate.servers) {
    if (server.weight == 0) continue;
    const auto passive = health::Passive::unpack(server.state->passive.load());
    const bool out = passive.state() != health::Passive::State::up;
    const bool for_answers = out && passive.cause() == health::Passive::Cause::answers;
    ejected += for_answers ? 1 : 0;
    other_reason = other_reason || (out && !for_answers) || upstream::is_down(*server.state) ||
                   upstream::wish_of(*server.state) != health::Wish::none;
    up = up || !out;
  }
  const bool grown = ejected > std::exchange(seen_[plan.name].ejected, ejected);
  check(!grown || up || other_reason, "the last server is not ejected", plan.name);
}

void UpstreamChecks::at_rest() const {
  for (const ServerState* server : publisher_.newest().servers()) {
    const std::string name = name_of(*server);
    check(server->in_flight.load() == 0, "nothing is in flight", name);
    check(server->pending.load() == 0, "no connection is being opened", name);
    check(server->retries.load() == 0, "no retry is under way", name);
  }
  for (const BackendPlan& plan : publisher_.newest().backends()) {
    const upstream::Gate& gate = plan.state->gate;
    check(gate.waiting() == 0 && gate.in_flight() == 0, "nothing is in flight", plan.name);
    const upstream::GateCounters& counters = gate.counters();
    const std::uint64_t ends = counters.granted.read() + counters.timed_out.read() +
                               counters.abandoned.read() + counters.dropped_codel.read() +
                               counters.dropped_displaced.read() +
                               counters.dropped_no_server.read();
    check(counters.queued.read() == ends, "every wait comes to an end",
          plan.name + ": " + std::to_string(counters.queued.read()) + " waited, " +
              std::to_string(ends) + " ended");
  }
  for (proxy::Worker* worker : workers_.workers()) {
    check(worker->tickets().slab.live() == 0, "no ticket is left",
          "worker " + std::to_string(worker->index()));
  }
}

// Backends do not know of each other, and another name is another server.
std::uint32_t UpstreamChecks::most_at_once(const std::string& address) const {
  std::map<std::string, std::uint32_t> limits;  // By backend and name.
  for (const config::Config& config : configs_) {
    for (const config::Backend& backend : config.backends) {
      for (const config::Server& server : backend.servers) {
        if (server.address.text() != address) continue;
        const std::uint32_t limit = limit_of(backend, server);
        if (limit == 0) return UINT32_MAX;
        std::uint32_t& most = limits[backend.name + "/" + server.name];
        most = std::max(most, limit);
      }
    }
  }
  std::uint32_t sum = 0;
  for (const auto& [name, limit] : limits) sum += limit;
  return limits.empty() ? UINT32_MAX : sum;
}

bool UpstreamChecks::may_be_asked(const std::string& address, std::uint64_t now_ns) const {
  for (const config::Config& config : configs_) {
    for (const config::Backend& backend : config.backends) {
      const auto has_it = [&](const auto& server) { return server.address.text() == address; };
      if (std::ranges::any_of(backend.servers, has_it)) return true;
    }
  }
  const auto until_ns = named_until_ns_.find(address);
  return until_ns != named_until_ns_.end() && now_ns - until_ns->second <= kUnderWayMax;
}

std::string UpstreamChecks::describe() const {
  std::string text;
  for (const BackendPlan& plan : publisher_.newest().backends()) {
    for (const GatePlan::Server& server : plan.gate.servers) {
      const ServerState& state = *server.state;
      text += "\n  " + name_of(state) + " (weight " + std::to_string(server.weight) + "): ";
      text += health::to_string(upstream::condition_of(state));
      text += ", asks for ";
      text += health::to_string(upstream::wish_of(state));
      text += ", in flight " + std::to_string(state.in_flight.load()) + " of " +
              std::to_string(plan.gate.limit_now(server));
    }
  }
  return text;
}

}  // namespace weir::sim
