// The metrics page: Prometheus text format 0.0.4 of everything the program counts.
//
// Workers count in plain counters of their own; they are added up here, when somebody asks. The
// result is a little blurred in time (counters are read one after another while they move), but
// each counter never goes back. docs/metrics.md explains every metric.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "control/backend_watch.h"
#include "control/local_http.h"
#include "control/metrics_servers.h"
#include "control/name_watch.h"
#include "loop/loop.h"
#include "net/buffer.h"
#include "net/splice_pipe.h"
#include "proxy/counters.h"
#include "proxy/rate_limiter.h"
#include "upstream/backend_plan.h"

namespace weir::control {

struct WorkerMetrics {
  const proxy::WorkerCounters* counters = nullptr;
  const loop::LoopCounters* loop = nullptr;
  const net::BufferPool* buffers = nullptr;
  const net::PipeCounters* pipes = nullptr;
};

struct ConfigMetrics {
  std::uint64_t generation = 0;  // 1 after the start, one more for each applied reload.
  std::uint64_t reloads_succeeded = 0;
  std::uint64_t reloads_failed = 0;
  bool last_reload_successful = true;     // True as long as there was none.
  std::uint64_t last_success_unix_s = 0;  // The start, or the last applied reload.
};

// Pointers are to live objects and only used during the call. A label set may occur once: each
// listener, backend and limit once, each pair of backend and server name once.
struct MetricsInput {
  std::string_view version;
  std::uint64_t start_unix_s = 0;
  std::uint64_t open_files_max = 0;
  std::uint64_t log_lines_unwritten = 0;  // Lost by the log writer, not by a worker.
  ConfigMetrics config{};
  // By index; as many as the listeners count for.
  std::span<const WorkerMetrics> workers{};
  std::span<const proxy::ListenerState* const> listeners{};
  // Of the current snapshot.
  std::span<const ServerMetrics> servers{};
  std::span<const upstream::BackendPlan> backends{};
  std::span<const proxy::RateLimiter* const> limits{};
  std::uint64_t now_ms = 0;  // By the clock of the loops.
  std::size_t checks_under_way = 0;
  std::size_t checks_waiting = 0;
  BackendWatchCounters watch{};
  NameMetrics names{};
  const loop::LoopCounters* control_loop = nullptr;  // May be null.
  const LocalHttpCounters* admin = nullptr;          // May be null.
};

[[nodiscard]] std::string render_metrics(const MetricsInput& input);

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace weir::control
