#include "sim/world/report.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <span>

#include "health/active.h"
#include "health/passive.h"
#include "proxy/exchange_core.h"
#include "proxy/http_session.h"
#include "proxy/mirror.h"
#include "proxy/relay.h"
#include "proxy/tcp_session.h"
#include "proxy/worker.h"
#include "upstream/probe.h"
#include "upstream/server_connection.h"
#include "upstream/ticket.h"

namespace weir::sim {
namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

// One table of legal next states, as the product has it.
template <typename State, typename Table, typename Visit>
void for_each_edge(os::Machine machine, const char* name, const Table& table, Visit visit) {
  for (std::size_t from = 0; from < table.size(); ++from) {
    for (std::size_t to = 0; to < table[from].size(); ++to) {
      if (!table[from][to]) continue;
      std::string edge = name;
      edge.append(" ").append(to_string(static_cast<State>(from)));
      edge.append(" -> ").append(to_string(static_cast<State>(to)));
      visit(machine, from, to, edge);
    }
  }
}

template <typename Visit>
void for_each_edge(Visit visit) {
  using os::Machine;
  for_each_edge<proxy::Worker::State>(Machine::worker, "worker", proxy::kWorkerNext, visit);
  for_each_edge<proxy::HttpSession::State>(Machine::session, "session", proxy::kHttpSessionNext,
                                           visit);
  for_each_edge<proxy::TcpSession::State>(Machine::tcp_session, "tcp_session",
                                          proxy::kTcpSessionNext, visit);
  for_each_edge<proxy::Relay::State>(Machine::relay, "relay", proxy::kRelayNext, visit);
  for_each_edge<proxy::RequestState>(Machine::request, "request", proxy::kRequestNext, visit);
  for_each_edge<proxy::ResponseState>(Machine::response, "response", proxy::kResponseNext, visit);
  for_each_edge<upstream::ServerConnection::State>(Machine::server_connection, "server_connection",
                                                   upstream::kServerConnectionNext, visit);
  for_each_edge<health::Passive::State>(Machine::passive, "passive", health::kPassiveNext, visit);
  for_each_edge<upstream::Ticket::State>(Machine::ticket, "ticket", upstream::kTicketNext, visit);
  for_each_edge<health::Active::State>(Machine::active, "active", health::kActiveNext, visit);
  for_each_edge<upstream::Probe::State>(Machine::probe, "probe", upstream::kProbeNext, visit);
  for_each_edge<proxy::Mirror::State>(Machine::mirror, "mirror", proxy::kMirrorNext, visit);
}

void add_all(std::span<std::uint64_t> into, std::span<const std::uint64_t> from) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] += from[i];
}

// A run that does little proves little. Small ones must have done the usual, large ones everything.
constexpr std::uint64_t kAnswersPerSeed = 15;
constexpr std::uint64_t kSeedsForTheUsual = 100;
constexpr std::uint64_t kSeedsForEverything = 2'000;

// Edges that need not be taken. The hook is told of changes only, and the first is none: another
// trial after one that was given up. The second takes a drop and a leave in one and the same turn,
// which is one seed in thousands. The third takes a listener with neither names nor a backend,
// which no configuration may have.
constexpr std::array<std::string_view, 3> kEdgesExcused = {
    "passive trial -> trial", "ticket dropped -> left", "tcp_session greeting -> lingering"};

std::string fault_below_floor(const Report& report) {
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    const auto fault = static_cast<Fault>(i);
    if (report.injected[i] == 0) {
      return "a kind of fault never happened: " + std::string(to_string(fault));
    }
  }
  return {};
}

std::string edge_below_floor(const Report& report) {
  std::string missing;
  for_each_edge(
      [&](os::Machine machine, std::size_t from, std::size_t to, const std::string& name) {
        const bool taken = report.edges[static_cast<std::size_t>(machine)][from][to] > 0;
        const bool excused = std::ranges::count(kEdgesExcused, name) > 0;
        if (!taken && !excused) missing = "an edge was never taken: " + name;
      });
  return missing;
}

}  // namespace

void Report::add(const Report& other) {
  hash = mix(hash, other.hash);
  virtual_ns += other.virtual_ns;
  turns += other.turns;
  fewest_turns = seeds == 0 ? other.fewest_turns : std::min(fewest_turns, other.fewest_turns);
  seeds += other.seeds;
  calls += other.calls;
  reloads += other.reloads;
  left_early += other.left_early;
  workers += other.workers;
  totals.connections += other.totals.connections;
  totals.requests_begun += other.totals.requests_begun;
  totals.answers += other.totals.answers;
  totals.own_answers += other.totals.own_answers;
  totals.cut_answers += other.totals.cut_answers;
  totals.unanswered += other.totals.unanswered;
  totals.bytes_up += other.totals.bytes_up;
  totals.bytes_down += other.totals.bytes_down;
  totals.repeated += other.totals.repeated;
  totals.crowded += other.totals.crowded;
  totals.fresh_moved += other.totals.fresh_moved;
  totals.clients_moved += other.totals.clients_moved;
  totals.queued += other.totals.queued;
  totals.refused += other.totals.refused;
  totals.probes += other.totals.probes;
  totals.ejections += other.totals.ejections;
  totals.downs += other.totals.downs;
  totals.copies += other.totals.copies;
  totals.relays += other.totals.relays;
  totals.relayed += other.totals.relayed;
  totals.relayed_bytes += other.totals.relayed_bytes;
  totals.name_changes += other.totals.name_changes;
  add_all(totals.lookups, other.totals.lookups);
  add_all(totals.by_class, other.totals.by_class);
  add_all(injected, other.injected);
  for (std::size_t machine = 0; machine < kMachines; ++machine) {
    for (std::size_t from = 0; from < kStatesMax; ++from) {
      add_all(edges[machine][from], other.edges[machine][from]);
    }
  }
}

std::string Report::text() const {
  char head[160];
  std::snprintf(head, sizeof head, "hash %016llx, %llu virtual seconds, %llu turns, %llu calls\n",
                static_cast<unsigned long long>(hash),
                static_cast<unsigned long long>(virtual_ns / kSecond),
                static_cast<unsigned long long>(turns), static_cast<unsigned long long>(calls));
  std::string out = head;
  out += "  requests " + number(totals.requests_begun) + ": answered by servers " +
         number(totals.answers) + ", by weir " + number(totals.own_answers) + ", cut short " +
         number(totals.cut_answers) + ", unanswered " + number(totals.unanswered) +
         "; sent again " + number(totals.repeated) + "\n  answers";
  for (std::size_t i = 2; i < totals.by_class.size(); ++i) {
    out += " " + number(i) + "xx " + number(totals.by_class[i]);
  }
  out += "; connections " + number(totals.connections) + ", closed to make room " +
         number(totals.crowded) + ", handed over " + number(totals.fresh_moved) + " new and " +
         number(totals.clients_moved) + " served; workers " + number(workers) + " with " +
         number(fewest_turns) + " turns or more; reloads " + number(reloads) + ", left early " +
         number(left_early) + "; body bytes up " + number(totals.bytes_up) + ", down " +
         number(totals.bytes_down) + "\n  waited for a slot " + number(totals.queued) +
         ", refused by queues and rates " + number(totals.refused) + "; health checks " +
         number(totals.probes) + ", servers down " + number(totals.downs) +
         ", ejected for answers " + number(totals.ejections) + "; copies to mirrors " +
         number(totals.copies) + "\n  relays " + number(totals.relays) + ", with a server " +
         number(totals.relayed) + ", bytes " + number(totals.relayed_bytes) +
         "\n  names looked up " +
         number(std::accumulate(totals.lookups.begin(), totals.lookups.end(), std::uint64_t{0})) +
         " times, found " + number(totals.lookups[0]) + ", changes in use " +
         number(totals.name_changes) + "\n  faults";
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    if (injected[i] == 0) continue;
    out += " " + std::string(to_string(static_cast<Fault>(i))) + " " + number(injected[i]);
  }
  return out + "\n";
}

std::string edges_text(const Report& report) {
  std::string never;
  std::string table;  // Of the line that is being written.
  std::size_t legal = 0;
  std::size_t taken = 0;
  for_each_edge(
      [&](os::Machine machine, std::size_t from, std::size_t to, const std::string& name) {
        ++legal;
        if (report.edges[static_cast<std::size_t>(machine)][from][to] > 0) {
          ++taken;
          return;
        }
        const std::size_t blank = name.find(' ');
        const bool same = name.substr(0, blank) == table;
        table = name.substr(0, blank);
        never += same ? "," + name.substr(blank) : "\n  never taken: " + name;
      });
  return "  edges of the state tables: " + number(taken) + " of " + number(legal) + never + "\n";
}

std::string run_below_floor(const Report& report) {
  if (report.fewest_turns == 0) return "a worker had no turn";
  if (report.left_early > 0) return {};  // Perhaps before the first client came.
  if (report.totals.requests_begun == 0) return "no request was begun";
  return {};
}

std::string below_floor(const Report& report) {
  const Totals& totals = report.totals;
  if (report.seeds < kSeedsForTheUsual) return {};
  if (totals.answers < report.seeds * kAnswersPerSeed) return "too few requests were answered";
  for (std::size_t i = 2; i < totals.by_class.size(); ++i) {
    if (totals.by_class[i] == 0) return "a class of answers never came";
  }
  if (totals.repeated == 0) return "no request was sent again";
  if (totals.crowded == 0) return "no client had to make room";
  if (totals.fresh_moved == 0) return "no new connection was handed over";
  if (totals.clients_moved == 0) return "no client was handed over between two requests";
  if (totals.queued == 0) return "no request waited for a slot";
  if (totals.refused == 0) return "no queue and no rate refused anything";
  if (totals.ejections == 0) return "no server was ejected for its answers";
  if (totals.copies == 0) return "no request was copied to a mirror";
  if (totals.relayed < report.seeds) return "too few connections were relayed";
  if (totals.downs == 0) return "no health check called a server down";
  if (2 * totals.name_changes < report.seeds) return "too few changes of names came into use";
  return report.seeds < kSeedsForEverything ? std::string() : everything_below_floor(report);
}

std::string everything_below_floor(const Report& report) {
  if (std::ranges::count(report.totals.lookups, 0u) > 0)
    return "a lookup never ended in one of its ways";
  const std::string fault = fault_below_floor(report);
  return fault.empty() ? edge_below_floor(report) : fault;
}

}  // namespace weir::sim
