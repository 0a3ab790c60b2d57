#include "control/metrics_backends.h"

#include <array>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "control/metrics_text.h"
#include "health/state.h"
#include "upstream/backend_state.h"
#include "upstream/condition.h"

namespace weir::control {
namespace {

struct LabelledBackend {
  std::string labels;
  const upstream::BackendPlan* plan;

  [[nodiscard]] const upstream::GateCounters& counters() const {
    return plan->state->gate.counters();
  }
};
using Backends = std::span<const LabelledBackend>;

template <typename Read>
void render_each(std::string& out, std::string_view name, std::string_view type,
                 std::string_view help, Backends backends, Read read) {
  Family family(out, name, type, help);
  for (const LabelledBackend& backend : backends) family.sample(backend.labels, read(backend));
}

// --- Health --------------------------------------------------------------------------------------

constexpr std::size_t kConditions =
    static_cast<std::size_t>(health::ServerCondition::maintenance) + 1;

void render_conditions(std::string& out, Backends backends) {
  Family family(out, "weir_backend_servers", kGauge, "Servers of the backend, by state.");
  for (const LabelledBackend& backend : backends) {
    std::array<std::uint64_t, kConditions> counts{};
    for (const upstream::GatePlan::Server& server : backend.plan->gate.servers) {
      ++counts[static_cast<std::size_t>(upstream::condition_of(*server.state))];
    }
    for (std::size_t i = 0; i < kConditions; ++i) {
      const std::string_view state = to_string(static_cast<health::ServerCondition>(i));
      family.sample(backend.labels + ",state=\"" + std::string(state) + '"', counts[i]);
    }
  }
}

void render_health(std::string& out, Backends backends, std::uint64_t now_ms) {
  render_conditions(out, backends);
  render_each(out, "weir_backend_servers_healthy", kGauge,
              "Servers that are up and have a weight above 0.", backends,
              [&](const LabelledBackend& backend) {
                return upstream::count_servers(backend.plan->gate, now_ms).usable;
              });
  render_each(out, "weir_backend_panic", kGauge,
              "1 while so few servers are healthy that all are used.", backends,
              [](const LabelledBackend& backend) {
                return backend.plan->state->panic.load(std::memory_order_relaxed) ? 1U : 0U;
              });
}

// --- Limits and the queue ------------------------------------------------------------------------

void render_gauges(std::string& out, Backends backends) {
  render_each(out, "weir_backend_requests_max", kGauge,
              "Most requests at the backend's servers together; 0: no limit.", backends,
              [](const LabelledBackend& backend) { return backend.plan->gate.limit_of_all; });
  render_each(out, "weir_backend_requests_in_flight", kGauge,
              "Requests at the backend's servers now.", backends,
              [](const LabelledBackend& backend) {
                std::uint64_t total = 0;
                for (const upstream::GatePlan::Server& server : backend.plan->gate.servers) {
                  total += server.state->in_flight.load(std::memory_order_relaxed);
                }
                return total;
              });
  render_each(out, "weir_backend_queue_length", kGauge, "Requests that wait for a server now.",
              backends,
              [](const LabelledBackend& backend) { return backend.plan->state->gate.waiting(); });
  render_each(out, "weir_backend_queue_max", kGauge, "Most requests that may wait, queue.size.",
              backends,
              [](const LabelledBackend& backend) { return backend.plan->gate.queue_size; });
}

using Gate = upstream::GateCounters;

void render_queue_ends(std::string& out, Backends backends) {
  struct Row {
    std::string_view labels;
    Counter Gate::*counter;
  };
  constexpr std::array kRows = {
      Row{",result=\"granted\"", &Gate::granted},
      Row{",result=\"timed_out\"", &Gate::timed_out},
      Row{",result=\"abandoned\"", &Gate::abandoned},
      Row{",result=\"dropped\"", &Gate::dropped_codel},
      Row{",result=\"displaced\"", &Gate::dropped_displaced},
      Row{",result=\"no_server\"", &Gate::dropped_no_server},
  };
  Family family(out, "weir_backend_queue_ended_total", kCounter,
                "Requests whose wait in the queue ended, by how.");
  for (const LabelledBackend& backend : backends) {
    for (const Row& row : kRows) {
      family.sample(std::string(backend.labels).append(row.labels),
                    (backend.counters().*row.counter).read());
    }
  }
}

void render_queue(std::string& out, Backends backends) {
  struct Row {
    std::string_view name;
    std::string_view help;
    Counter Gate::*counter;
  };
  constexpr std::array kRows = {
      Row{"weir_backend_queued_total", "Requests that had to wait for a server.", &Gate::queued},
      Row{"weir_backend_queue_refused_total",
          "Requests that did not get into the queue, because it was full.", &Gate::refused_full},
      Row{"weir_backend_queue_returned_total",
          "Granted places that were passed on, for the request had gone.", &Gate::returned},
  };
  for (const Row& row : kRows) {
    render_each(out, row.name, kCounter, row.help, backends, [&](const LabelledBackend& backend) {
      return (backend.counters().*row.counter).read();
    });
  }
  render_queue_ends(out, backends);
  Family waits(out, "weir_backend_queue_duration_seconds", kHistogram,
               "How long requests waited in the queue that then got a server.");
  for (const LabelledBackend& backend : backends) {
    HistogramCounts counts;
    counts.add(backend.counters().wait_us);
    waits.histogram(backend.labels, counts);
  }
}

}  // namespace

void render_backends(std::string& out, std::span<const upstream::BackendPlan> input,
                     std::uint64_t now_ms) {
  std::vector<LabelledBackend> backends;
  backends.reserve(input.size());
  for (const upstream::BackendPlan& plan : input) {
    backends.push_back({make_labels({{"backend", plan.name}}), &plan});
  }
  render_health(out, backends, now_ms);
  render_gauges(out, backends);
  render_queue(out, backends);
}

void render_watch(std::string& out, const BackendWatchCounters& watch) {
  Family(out, "weir_backend_panics_total", kCounter,
         "Times so few servers of a backend were healthy that all were used.")
      .sample("", watch.panics);
}

void render_limits(std::string& out, std::span<const proxy::RateLimiter* const> limits) {
  Family refused(out, "weir_limit_refused_total", kCounter,
                 "Requests and connections refused by the limit.");
  for (const proxy::RateLimiter* limit : limits) {
    refused.sample(make_labels({{"limit", limit->settings().name}}), limit->refused());
  }
  Family evicted(out, "weir_limit_keys_evicted_total", kCounter,
                 "Keys over their rate that were forgotten, because the table was full.");
  for (const proxy::RateLimiter* limit : limits) {
    evicted.sample(make_labels({{"limit", limit->settings().name}}), limit->evicted());
  }
}

void render_names(std::string& out, const NameMetrics& names) {
  using Status = os::LookupStatus;
  struct Row {
    std::string_view labels;
    Status status;
  };
  constexpr std::array kRows = {
      Row{"result=\"ok\"", Status::ok},
      Row{"result=\"no_data\"", Status::no_data},
      Row{"result=\"no_such_name\"", Status::no_such_name},
      Row{"result=\"malformed\"", Status::malformed},
      Row{"result=\"server_failure\"", Status::server_failure},
      Row{"result=\"timed_out\"", Status::timed_out},
  };
  static_assert(kRows.size() == NameMetrics::kResults);
  Family lookups(out, "weir_name_lookups_total", kCounter, "Names looked up, by result.");
  for (const Row& row : kRows) {
    lookups.sample(row.labels, names.lookups[static_cast<std::size_t>(row.status)]);
  }
  Family(out, "weir_name_failures_total", kCounter, "Times a name began to fail.")
      .sample("", names.failures);
  Family(out, "weir_name_recoveries_total", kCounter, "Times a failing name resolved again.")
      .sample("", names.recoveries);
  Family(out, "weir_names", kGauge, "Names among the servers.").sample("", names.names);
  Family(out, "weir_names_failing", kGauge, "Names whose last lookup failed.")
      .sample("", names.names_failing);
}

}  // namespace weir::control
