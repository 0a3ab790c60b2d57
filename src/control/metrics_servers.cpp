#include "control/metrics_servers.h"

#include <array>
#include <numeric>
#include <vector>

#include "base/histogram.h"
#include "control/metrics_text.h"
#include "health/state.h"
#include "upstream/condition.h"
#include "upstream/probe_outcome.h"

namespace weir::control {
namespace {

using State = upstream::ServerState;
using SC = upstream::ServerCounters;

struct LabelledServer {
  std::string labels;
  const ServerMetrics* given;

  [[nodiscard]] const State& state() const { return *given->state; }
  [[nodiscard]] std::uint64_t sum(Counter SC::*counter) const {
    return sum([counter](const SC& counters) { return (counters.*counter).read(); });
  }
  template <typename Read>
  [[nodiscard]] std::uint64_t sum(Read read) const {
    std::uint64_t total = 0;
    for (unsigned i = 0; i < state().worker_count(); ++i) total += read(state().counters(i));
    return total;
  }
};
using Servers = std::span<const LabelledServer>;

// A family with one sample per server. `read` gives the value.
template <typename Read>
void render_each(std::string& out, std::string_view name, std::string_view type,
                 std::string_view help, Servers servers, Read read) {
  Family family(out, name, type, help);
  for (const LabelledServer& server : servers) family.sample(server.labels, read(server));
}

// --- State ---------------------------------------------------------------------------------------

void render_condition(std::string& out, Servers servers) {
  using health::ServerCondition;
  render_each(out, "weir_server_up", kGauge, "1 while the server's state is up, else 0.", servers,
              [](const LabelledServer& server) {
                return upstream::condition_of(server.state()) == ServerCondition::up ? 1U : 0U;
              });
  Family family(out, "weir_server_state", kGauge, "1 for the state the server is in, else 0.");
  for (const LabelledServer& server : servers) {
    const ServerCondition now = upstream::condition_of(server.state());
    for (std::size_t i = 0; i <= static_cast<std::size_t>(ServerCondition::maintenance); ++i) {
      const auto condition = static_cast<ServerCondition>(i);
      family.sample(server.labels + ",state=\"" + std::string(health::to_string(condition)) + '"',
                    condition == now ? 1 : 0);
    }
  }
}

void render_gauges(std::string& out, Servers servers) {
  struct Row {
    std::string_view name;
    std::string_view help;
    std::atomic<std::uint32_t> State::*value;
  };
  constexpr std::array kRows = {
      Row{"weir_server_requests_in_flight", "Requests at the server now.", &State::in_flight},
      Row{"weir_server_requests_connecting",
          "Requests that wait for a connection to the server to be made.", &State::pending},
      Row{"weir_server_retries_in_flight",
          "Requests at the server that were at another attempt before.", &State::retries},
  };
  for (const Row& row : kRows) {
    render_each(out, row.name, kGauge, row.help, servers, [&](const LabelledServer& server) {
      return (server.state().*row.value).load(std::memory_order_relaxed);
    });
  }
  render_each(out, "weir_server_requests_max", kGauge,
              "Most requests at the server at one time; 0: no limit.", servers,
              [](const LabelledServer& server) { return server.given->requests_max; });
  Family connections(out, "weir_server_connections", kGauge, "Connections to the server now.");
  for (const LabelledServer& server : servers) {
    connections.sample(server.labels + ",state=\"active\"", server.sum(&SC::connections_active));
    connections.sample(server.labels + ",state=\"idle\"", server.sum(&SC::connections_idle));
  }
}

// --- Traffic -------------------------------------------------------------------------------------

void render_counters(std::string& out, Servers servers) {
  struct Row {
    std::string_view name;
    std::string_view help;
    Counter SC::*counter;
  };
  constexpr std::array kRows = {
      Row{"weir_server_requests_total", "Attempts that got a connection to the server.",
          &SC::requests},
      Row{"weir_server_connects_total", "Connections tried.", &SC::connects},
      Row{"weir_server_connect_failures_total",
          "Connections refused, not possible, or not made in time.", &SC::connects_failed},
      Row{"weir_server_connection_reuses_total", "Requests sent on a kept connection.",
          &SC::reuses},
      Row{"weir_server_responses_total", "Final response heads received.", &SC::responses},
      Row{"weir_server_errors_total", "Attempts that got a connection and no whole answer.",
          &SC::errors},
      Row{"weir_server_idle_poisoned_total",
          "Connections dropped because bytes came behind the end of an answer.",
          &SC::idle_poisoned},
      Row{"weir_server_idle_limit_hits_total",
          "Connections not kept because enough were kept already.", &SC::idle_max_hit},
      Row{"weir_server_answers_total",
          "Attempts that told something about the server: answered, or failed by it.",
          &SC::answers},
      Row{"weir_server_bad_answers_total",
          "Of those: status 500, 502, 503 or 504, resets, timeouts, broken or cut short.",
          &SC::answers_bad},
      Row{"weir_server_ejections_total",
          "Times the server was ejected for failed connections or errors in a row.",
          &SC::ejections},
      Row{"weir_server_breaker_hits_total",
          "Picks that passed the server over for its pending connections or retries.",
          &SC::breaker_hit},
  };
  for (const Row& row : kRows) {
    render_each(out, row.name, kCounter, row.help, servers,
                [&](const LabelledServer& server) { return server.sum(row.counter); });
  }
}

void render_bytes(std::string& out, Servers servers) {
  const auto render = [&](std::string_view name, std::string_view help,
                          Counter net::TrafficCounters::*counter) {
    render_each(out, name, kCounter, help, servers, [counter](const LabelledServer& server) {
      return server.sum([&](const SC& counters) { return (counters.traffic.own.*counter).read(); });
    });
  };
  render("weir_server_received_bytes_total", "Bytes received from the server.",
         &net::TrafficCounters::bytes_received);
  render("weir_server_sent_bytes_total", "Bytes sent to the server.",
         &net::TrafficCounters::bytes_sent);
}

void render_outliers(std::string& out, Servers servers) {
  using Reason = health::Outlier::Reason;
  Family family(out, "weir_outlier_ejections_total", kCounter,
                "Times the server was ejected for what it did beside the others of its backend.");
  for (const LabelledServer& server : servers) {
    for (const Reason reason : {Reason::error_rate, Reason::latency, Reason::silence}) {
      family.sample(server.labels + ",reason=\"" + std::string(to_string(reason)) + "\"",
                    server.state().outlier_ejections[static_cast<std::size_t>(reason)].read());
    }
  }
}

void render_changes(std::string& out, Servers servers) {
  render_each(out, "weir_server_returns_total", kCounter,
              "Times the server took requests again after an ejection.", servers,
              [](const LabelledServer& server) { return server.state().returns.read(); });
  Family family(out, "weir_server_wishes_total", kCounter,
                "Times the configuration or the server's load report asked for something else.");
  for (const LabelledServer& server : servers) {
    for (std::size_t i = 0; i < health::kWishes; ++i) {
      const std::string_view wish = to_string(static_cast<health::Wish>(i));
      family.sample(server.labels + ",wish=\"" + std::string(wish) + '"',
                    server.state().wishes[i].read());
    }
  }
}

void render_first_byte(std::string& out, Servers servers) {
  Family family(out, "weir_server_first_byte_seconds", kHistogram,
                "Start of the attempt, connecting included, to the server's response head.");
  for (const LabelledServer& server : servers) {
    HistogramCounts counts;
    for (unsigned i = 0; i < server.state().worker_count(); ++i) {
      counts.add(server.state().counters(i).first_byte_us);
    }
    family.histogram(server.labels, counts);
  }
}

// --- Health checks -------------------------------------------------------------------------------

using upstream::ProbeResult;

std::uint64_t count_of(const CheckHistory& checks, ProbeResult result) {
  return checks.results[static_cast<std::size_t>(result)];
}

// Those that speak against the server.
std::uint64_t failures(const CheckHistory& checks) {
  const auto all = std::accumulate(checks.results.begin(), checks.results.end(), std::uint64_t{0});
  return all - count_of(checks, ProbeResult::passed) - count_of(checks, ProbeResult::no_resources);
}

// Fifteen results of a thousand servers would be most of the page: a kind of failure has a series
// from its first one on.
void render_check_results(std::string& out, Servers checked) {
  Family family(out, "weir_health_checks_total", kCounter, "Health checks, by result.");
  for (const LabelledServer& server : checked) {
    for (std::size_t i = 0; i < upstream::kProbeResultCount; ++i) {
      const auto result = static_cast<ProbeResult>(i);
      const std::uint64_t count = count_of(*server.given->checks, result);
      if (count == 0 && result != ProbeResult::passed) continue;
      family.sample(server.labels + ",result=\"" + std::string(to_string(result)) + '"', count);
    }
  }
}

void render_checks(std::string& out, Servers checked) {
  render_check_results(out, checked);
  render_each(out, "weir_health_check_failures_total", kCounter,
              "Health checks that spoke against the server.", checked,
              [](const LabelledServer& server) { return failures(*server.given->checks); });
  render_each(out, "weir_health_check_changes_total", kCounter,
              "Times the health check's verdict changed between up and down.", checked,
              [](const LabelledServer& server) { return server.given->checks->changes; });
  Family last(out, "weir_health_check_duration_seconds", kGauge, "What the last check took.");
  for (const LabelledServer& server : checked) {
    if (server.given->checks->last_ms == 0) continue;
    last.seconds(server.labels, server.given->checks->last_latency_us);
  }
}

// --- Load reports --------------------------------------------------------------------------------

void render_reports(std::string& out, Servers reporting) {
  Family reports(out, "weir_server_load_reports_total", kCounter,
                 "Health checks whose answer should have been a load report, by what it was.");
  for (const LabelledServer& server : reporting) {
    reports.sample(server.labels + ",result=\"taken\"", server.given->checks->reports_taken);
    reports.sample(server.labels + ",result=\"ignored\"", server.given->checks->reports_ignored);
  }
  render_each(out, "weir_server_load_percent", kGauge,
              "Share of its weight that the server asks for.", reporting,
              [](const LabelledServer& server) {
                return server.state().agent_percent.load(std::memory_order_relaxed);
              });
  std::vector<LabelledServer> known;
  for (const LabelledServer& server : reporting) {
    if (server.state().report_at_ms.load(std::memory_order_relaxed) != 0) known.push_back(server);
  }
  const auto report = [](const LabelledServer& server) {
    return server.state().report.load(std::memory_order_relaxed);
  };
  render_each(out, "weir_server_load_entries", kGauge, "Entries of the server's last load report.",
              known, [&](const LabelledServer& server) { return report(server) >> 32; });
  render_each(out, "weir_server_load_errors", kGauge, "Errors of the server's last load report.",
              known, [&](const LabelledServer& server) { return report(server) & UINT32_MAX; });
}

}  // namespace

void render_servers(std::string& out, std::span<const ServerMetrics> input) {
  std::vector<LabelledServer> servers;
  std::vector<LabelledServer> checked;
  std::vector<LabelledServer> reporting;
  servers.reserve(input.size());
  for (const ServerMetrics& server : input) {
    servers.push_back(
        {make_labels({{"backend", server.backend}, {"server", server.name}}), &server});
    if (server.checks == nullptr) continue;
    checked.push_back(servers.back());
    if (server.reports_load) reporting.push_back(servers.back());
  }
  render_condition(out, servers);
  render_gauges(out, servers);
  render_counters(out, servers);
  render_bytes(out, servers);
  render_outliers(out, servers);
  render_changes(out, servers);
  render_first_byte(out, servers);
  render_checks(out, checked);
  render_reports(out, reporting);
}

}  // namespace weir::control
