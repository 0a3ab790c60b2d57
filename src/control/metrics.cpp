#include "control/metrics.h"

#include <array>
#include <utility>

#include "base/histogram.h"
#include "control/metrics_backends.h"
#include "control/metrics_text.h"
#include "proxy/errors.h"

namespace weir::control {
namespace {

// --- The program ---------------------------------------------------------------------------------

void render_value(std::string& out, std::string_view name, std::string_view type,
                  std::string_view help, std::uint64_t value) {
  Family(out, name, type, help).sample("", value);
}

void render_program(std::string& out, const MetricsInput& input) {
  Family(out, "weir_build_info", kGauge, "Always 1; the version is a label.")
      .sample(make_labels({{"version", input.version}}), 1);
  render_value(out, "process_start_time_seconds", kGauge, "When the process started, Unix time.",
               input.start_unix_s);
  render_value(out, "process_max_fds", kGauge, "Most file descriptors the process may have open.",
               input.open_files_max);
  render_value(out, "weir_workers", kGauge, "Worker threads.", input.workers.size());
}

void render_config(std::string& out, const ConfigMetrics& config) {
  render_value(out, "weir_config_generation", kGauge,
               "Number of the running configuration: 1 at the start, one more per applied reload.",
               config.generation);
  Family reloads(out, "weir_config_reloads_total", kCounter, "Reloads asked for, by result.");
  reloads.sample("result=\"success\"", config.reloads_succeeded);
  reloads.sample("result=\"failure\"", config.reloads_failed);
  render_value(out, "weir_config_last_reload_successful", kGauge,
               "1 when the last reload was applied or none was asked for, 0 when it was refused.",
               config.last_reload_successful ? 1 : 0);
  render_value(out, "weir_config_last_reload_timestamp_seconds", kGauge,
               "When the running configuration was applied, Unix time.",
               config.last_success_unix_s);
}

// --- Sums over the workers -----------------------------------------------------------------------

using Workers = std::span<const WorkerMetrics>;

template <typename Read>
std::uint64_t sum(Workers workers, Read read) {
  std::uint64_t total = 0;
  for (const WorkerMetrics& worker : workers) total += read(*worker.counters);
  return total;
}

struct WorkerFamily {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  Counter proxy::WorkerCounters::*counter;
};
using WC = proxy::WorkerCounters;
constexpr std::array kWorkerFamilies = {
    WorkerFamily{"weir_http_requests_received_total", kCounter,
                 "Request heads received, understood or refused.", &WC::requests},
    WorkerFamily{"weir_http_requests_in_flight", kGauge,
                 "Requests between their head and the end of their answer.",
                 &WC::requests_in_flight},
    WorkerFamily{"weir_retry_budget_exhausted_total", kCounter,
                 "Failed requests that were not tried again for lack of retry budget.",
                 &WC::retry_budget_exhausted},
    WorkerFamily{"weir_mirrored_requests_total", kCounter,
                 "Copies of requests that went on their way to a mirror.", &WC::mirrored},
    WorkerFamily{"weir_mirror_skipped_total", kCounter,
                 "Copies not sent: too many under way, or no server with room.",
                 &WC::mirror_skipped},
    WorkerFamily{"weir_mirror_too_large_total", kCounter,
                 "Copies not sent: the request does not fit a block.", &WC::mirror_too_large},
    WorkerFamily{"weir_mirror_failed_total", kCounter,
                 "Copies that were not sent or not answered completely.", &WC::mirror_failed},
    WorkerFamily{"weir_hash_keys_missing_total", kCounter,
                 "Requests without what their backend hashes, sent by client address instead.",
                 &WC::hash_keys_missing},
    WorkerFamily{"weir_request_discard_limit_hits_total", kCounter,
                 "Connections closed because an unwanted request body was too large, or came too "
                 "slowly, to be read on.",
                 &WC::discard_max_hit},
    WorkerFamily{"weir_relays_total", kCounter,
                 "TCP connections that got a server, and requests that became a tunnel.",
                 &WC::relays},
    WorkerFamily{"weir_relays", kGauge, "Relays and tunnels now.", &WC::relays_open},
};

void render_responses(std::string& out, Workers workers) {
  constexpr std::array<std::string_view, 6> kCodes = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  static_assert(std::tuple_size_v<decltype(WC::responses)> == kCodes.size());
  Family family(out, "weir_http_requests_total", kCounter,
                "Requests that ended, by class of the status sent; none: no answer was sent.");
  for (std::size_t i = 0; i < kCodes.size(); ++i) {
    family.sample(make_labels({{"code", kCodes[i]}}),
                  sum(workers, [i](const WC& worker) { return worker.responses[i].read(); }));
  }
}

void render_errors(std::string& out, Workers workers) {
  Family family(out, "weir_errors_total", kCounter, "Requests that went wrong, by error word.");
  for (std::size_t i = 0; i < proxy::kErrorWordCount; ++i) {
    const std::string_view word = proxy::error_word(i);
    if (word.empty()) continue;
    family.sample(make_labels({{"reason", word}}),
                  sum(workers, [i](const WC& worker) { return worker.errors[i].read(); }));
  }
}

void render_closes(std::string& out, Workers workers) {
  Family family(out, "weir_connection_closes_total", kCounter,
                "Client connections that ended, by reason.");
  for (std::size_t i = 0; i < proxy::kCloseReasonCount; ++i) {
    const char* reason = proxy::to_string(static_cast<proxy::CloseReason>(i));
    family.sample(make_labels({{"reason", reason}}),
                  sum(workers, [i](const WC& worker) { return worker.closes[i].read(); }));
  }
}

void render_retries(std::string& out, Workers workers) {
  struct Row {
    std::string_view labels;
    Counter WC::*counter;
  };
  constexpr std::array kRows = {
      Row{"reason=\"other_server\"", &WC::retries_other_server},
      Row{"reason=\"fresh_connection\"", &WC::retries_fresh_connection},
      Row{"reason=\"budgeted\"", &WC::retries_budgeted},
  };
  Family family(out, "weir_backend_retries_total", kCounter, "Requests tried again, by reason.");
  for (const Row& row : kRows) {
    family.sample(row.labels,
                  sum(workers, [&](const WC& worker) { return (worker.*row.counter).read(); }));
  }
}

void render_traffic(std::string& out, const MetricsInput& input) {
  struct Row {
    std::string_view name;
    std::string_view help;
    Counter net::TrafficCounters::*counter;
  };
  constexpr std::array kRows = {
      Row{"weir_received_bytes_total", "Bytes received from clients and servers.",
          &net::TrafficCounters::bytes_received},
      Row{"weir_sent_bytes_total", "Bytes sent to clients and servers.",
          &net::TrafficCounters::bytes_sent},
  };
  for (const Row& row : kRows) {
    Family family(out, row.name, kCounter, row.help);
    family.sample("side=\"downstream\"", sum(input.workers, [&](const WC& worker) {
                    return (worker.downstream.*row.counter).read();
                  }));
    family.sample("side=\"upstream\"", sum(input.workers, [&](const WC& worker) {
                    return (worker.upstream.*row.counter).read();
                  }));
    if (input.admin == nullptr) continue;
    family.sample("side=\"admin\"", (input.admin->traffic.own.*row.counter).read());
  }
}

void render_log_lines(std::string& out, const MetricsInput& input) {
  const std::uint64_t dropped =
      sum(input.workers, [](const WC& worker) { return worker.log_lines_dropped.read(); });
  render_value(out, "weir_access_log_lines_dropped_total", kCounter,
               "Log lines lost because the log writer did not keep up or the file refused them.",
               dropped + input.log_lines_unwritten);
}

void render_http(std::string& out, const MetricsInput& input) {
  render_responses(out, input.workers);
  for (const WorkerFamily& row : kWorkerFamilies) {
    render_value(out, row.name, row.type, row.help, sum(input.workers, [&](const WC& worker) {
                   return (worker.*row.counter).read();
                 }));
  }
  HistogramCounts counts;
  for (const WorkerMetrics& worker : input.workers) counts.add(worker.counters->request_us);
  render_log_lines(out, input);
  Family(out, "weir_http_request_duration_seconds", kHistogram,
         "First byte of a request head to the last byte of its answer.")
      .histogram("", counts);
  render_errors(out, input.workers);
  render_closes(out, input.workers);
  render_retries(out, input.workers);
  render_traffic(out, input);
}

// --- Workers one by one --------------------------------------------------------------------------

void render_loops(std::string& out, const MetricsInput& input) {
  struct Row {
    std::string_view name;
    std::string_view help;
    Counter loop::LoopCounters::*counter;
  };
  constexpr std::array kRows = {
      Row{"weir_worker_turns_total", "Turns of the event loop.", &loop::LoopCounters::turns},
      Row{"weir_worker_events_total", "Events the kernel reported.", &loop::LoopCounters::events},
      Row{"weir_worker_stale_events_total", "Events for a descriptor closed in the same turn.",
          &loop::LoopCounters::stale_events},
      Row{"weir_worker_steps_total", "Bounded steps of work done.", &loop::LoopCounters::steps},
  };
  for (const Row& row : kRows) {
    Family family(out, row.name, kCounter, row.help);
    for (std::size_t i = 0; i < input.workers.size(); ++i) {
      family.sample(make_labels({{"worker", std::to_string(i)}}),
                    (input.workers[i].loop->*row.counter).read());
    }
    if (input.control_loop == nullptr) continue;
    family.sample("worker=\"control\"", (input.control_loop->*row.counter).read());
  }
}

void render_buffers(std::string& out, Workers workers) {
  Family leased(out, "weir_worker_buffers", kGauge, "Buffer blocks in use.");
  for (std::size_t i = 0; i < workers.size(); ++i) {
    leased.sample(make_labels({{"worker", std::to_string(i)}}), workers[i].buffers->leased());
  }
  Family exhausted(out, "weir_worker_buffers_exhausted_total", kCounter,
                   "Times no buffer block was to be had.");
  for (std::size_t i = 0; i < workers.size(); ++i) {
    exhausted.sample(make_labels({{"worker", std::to_string(i)}}), workers[i].buffers->exhausted());
  }
}

void render_pipes(std::string& out, Workers workers) {
  struct Row {
    std::string_view name;
    std::string_view type;
    std::string_view help;
    Counter net::PipeCounters::*counter;
  };
  constexpr std::array kRows = {
      Row{"weir_worker_pipes", kGauge, "Pipes open for splice(), in use and kept.",
          &net::PipeCounters::open},
      Row{"weir_worker_pipes_created_total", kCounter, "Pipes made by the kernel.",
          &net::PipeCounters::created},
      Row{"weir_worker_pipes_reused_total", kCounter, "Uses of a pipe that had been kept.",
          &net::PipeCounters::reused},
      Row{"weir_worker_pipes_refused_total", kCounter,
          "Times no pipe was to be had and bytes were copied instead.",
          &net::PipeCounters::refused},
      Row{"weir_worker_pipes_spilled_total", kCounter,
          "Pipes closed with bytes in them, because their flow was cut.",
          &net::PipeCounters::spilled},
  };
  for (const Row& row : kRows) {
    Family family(out, row.name, row.type, row.help);
    for (std::size_t i = 0; i < workers.size(); ++i) {
      family.sample(make_labels({{"worker", std::to_string(i)}}),
                    (workers[i].pipes->*row.counter).read());
    }
  }
}

void render_balance(std::string& out, Workers workers) {
  Family requests(out, "weir_worker_requests_total", kCounter, "Request heads received.");
  for (std::size_t i = 0; i < workers.size(); ++i) {
    requests.sample(make_labels({{"worker", std::to_string(i)}}),
                    workers[i].counters->requests.read());
  }
  Family busy(out, "weir_worker_busy_seconds_total", kCounter,
              "Time not spent waiting for events; not measured with one worker.");
  for (std::size_t i = 0; i < workers.size(); ++i) {
    busy.seconds(make_labels({{"worker", std::to_string(i)}}),
                 workers[i].loop->busy_ns.read() / 1000);
  }
  Family moved(out, "weir_connections_handed_over_total", kCounter,
               "Clients that a worker gave to one with less to do.");
  for (std::size_t i = 0; i < workers.size(); ++i) {
    const std::string worker = std::to_string(i);
    moved.sample(make_labels({{"worker", worker}, {"client", "new"}}),
                 workers[i].counters->fresh_handed_over.read());
    moved.sample(make_labels({{"worker", worker}, {"client", "served"}}),
                 workers[i].counters->clients_handed_over.read());
  }
}

// --- Listeners -----------------------------------------------------------------------------------

void render_listener_traffic(std::string& out, const MetricsInput& input) {
  const auto render = [&](std::string_view name, std::string_view help,
                          Counter net::TrafficCounters::*counter) {
    Family family(out, name, kCounter, help);
    for (const proxy::ListenerState* listener : input.listeners) {
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < input.workers.size(); ++i) {
        total += (listener->traffic[i].own.*counter).read();
      }
      family.sample(make_labels({{"listener", listener->name}}), total);
    }
  };
  render("weir_listener_received_bytes_total", "Bytes received from the listener's clients.",
         &net::TrafficCounters::bytes_received);
  render("weir_listener_sent_bytes_total", "Bytes sent to the listener's clients.",
         &net::TrafficCounters::bytes_sent);
}

void render_listeners(std::string& out, const MetricsInput& input) {
  struct Row {
    std::string_view name;
    std::string_view help;
    Counter net::ListenerCounters::*counter;
  };
  constexpr std::array kRows = {
      Row{"weir_listener_connections_total", "Client connections accepted.",
          &net::ListenerCounters::accepted},
      Row{"weir_listener_accept_errors_total",
          "Connections that failed before or while they were accepted.",
          &net::ListenerCounters::accept_errors},
      Row{"weir_listener_descriptors_exhausted_total",
          "Times accepting paused for lack of a file descriptor.",
          &net::ListenerCounters::descriptors_exhausted},
      Row{"weir_listener_connections_limit_hits_total",
          "Times accepting paused at max_connections.",
          &net::ListenerCounters::connections_max_hit},
      Row{"weir_listener_accepts_deferred_total",
          "Steps that took one connection only, because the worker was saturated.",
          &net::ListenerCounters::accepts_deferred},
      Row{"weir_listener_rate_limited_total",
          "Connections reset because a limit on new ones was reached.",
          &net::ListenerCounters::rate_limited},
      Row{"weir_listener_client_hellos_unusable_total",
          "Connections without a server name because the ClientHello was broken, late or too "
          "large.",
          &net::ListenerCounters::hellos_unusable},
  };
  Family active(out, "weir_listener_connections_active", kGauge, "Client connections open now.");
  for (const proxy::ListenerState* listener : input.listeners) {
    active.sample(make_labels({{"listener", listener->name}}), listener->connections.load());
  }
  Family limit(out, "weir_listener_connections_max", kGauge,
               "Most client connections at one time, max_connections.");
  for (const proxy::ListenerState* listener : input.listeners) {
    limit.sample(make_labels({{"listener", listener->name}}), listener->connections_max);
  }
  for (const Row& row : kRows) {
    Family family(out, row.name, kCounter, row.help);
    for (const proxy::ListenerState* listener : input.listeners) {
      std::uint64_t total = 0;
      for (std::size_t i = 0; i < input.workers.size(); ++i) {
        total += (listener->counters[i].*row.counter).read();
      }
      family.sample(make_labels({{"listener", listener->name}}), total);
    }
  }
  render_listener_traffic(out, input);
}

// --- The admin server itself ---------------------------------------------------------------------

void render_admin(std::string& out, const LocalHttpCounters& admin) {
  struct Row {
    std::string_view name;
    std::string_view help;
    const Counter& counter;
  };
  const std::array rows = {
      Row{"weir_admin_requests_total", "Requests to the admin pages.", admin.requests},
      Row{"weir_admin_refused_total", "Requests that were no valid or no timely HTTP.",
          admin.refused},
      Row{"weir_admin_answer_limit_hits_total",
          "Requests refused because too many answers waited for their clients.",
          admin.answers_max_hit},
      Row{"weir_admin_answers_cut_total", "Answers that the client did not take in time.",
          admin.answers_cut},
      Row{"weir_admin_connections_total", "Connections accepted.", admin.listener.accepted},
      Row{"weir_admin_accept_errors_total",
          "Connections that failed before or while they were accepted.",
          admin.listener.accept_errors},
      Row{"weir_admin_descriptors_exhausted_total",
          "Times accepting paused for lack of a file descriptor.",
          admin.listener.descriptors_exhausted},
      Row{"weir_admin_connections_limit_hits_total",
          "Times accepting paused because enough connections were open.",
          admin.listener.connections_max_hit},
      Row{"weir_admin_accepts_deferred_total",
          "Steps that took one connection only, because the control thread was saturated.",
          admin.listener.accepts_deferred},
  };
  for (const Row& row : rows) render_value(out, row.name, kCounter, row.help, row.counter.read());
}

}  // namespace

std::string render_metrics(const MetricsInput& input) {
  constexpr std::size_t kFixedBytes = 32 * 1024;
  constexpr std::size_t kServerBytes = 6 * 1024;
  std::string out;
  out.reserve(kFixedBytes + input.servers.size() * kServerBytes);
  render_program(out, input);
  render_config(out, input.config);
  render_http(out, input);
  render_loops(out, input);
  render_balance(out, input.workers);
  render_buffers(out, input.workers);
  render_pipes(out, input.workers);
  render_listeners(out, input);
  render_servers(out, input.servers);
  render_value(out, "weir_health_checks_in_flight", kGauge, "Health checks under way.",
               input.checks_under_way);
  render_value(out, "weir_health_checks_waiting", kGauge,
               "Health checks that are due and wait for others to end.", input.checks_waiting);
  render_backends(out, input.backends, input.now_ms);
  render_watch(out, input.watch);
  render_limits(out, input.limits);
  render_names(out, input.names);
  if (input.admin != nullptr) render_admin(out, *input.admin);
  return out;
}

}  // namespace weir::control
