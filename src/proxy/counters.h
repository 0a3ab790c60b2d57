// What a worker counts, and what the workers share about a listener. Read by the metrics.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/counter.h"
#include "base/histogram.h"
#include "net/listener.h"
#include "net/traffic_counters.h"
#include "os/address.h"
#include "proxy/errors.h"

namespace weir::proxy {

// Why a client's connection ended. Every close has one.
enum class CloseReason : std::uint8_t {
  client_finished,   // The client closed between two requests.
  client_asked,      // Connection: close, or HTTP/1.0 without keep-alive.
  server_framing,    // The answer's end is the end of the connection (HTTP/1.0 clients).
  relay_finished,    // A relay or tunnel: both sides closed in order.
  server_broken,     // A relay or tunnel: the server's connection was reset.
  crowded,           // It was idle, or had its answer, while others waited at max_connections.
  idle_timeout,      // No further request came in time.
  answered_early,    // The answer came before the request's end, and the rest is in doubt.
  refused,           // weir answered with an error and does not go on.
  answer_cut_short,  // The server broke in the middle of its answer.
  client_gone,       // The client closed or reset in the middle of an exchange.
  client_stalled,    // The client did not send or take bytes in time.
  draining,          // weir is shutting down.
  no_memory,         // No buffer or slot was to be had.
};
inline constexpr std::size_t kCloseReasonCount =
    static_cast<std::size_t>(CloseReason::no_memory) + 1;
[[nodiscard]] const char* to_string(CloseReason reason);

struct WorkerCounters {
  // By first digit of the status sent to the client; [0]: the client got no answer.
  std::array<Counter, 6> responses;
  Counter requests;            // Heads that were understood, and those that were refused.
  Counter requests_in_flight;  // From the end of a head to the end of the exchange.
  std::array<Counter, kErrorWordCount> errors;
  std::array<Counter, kCloseReasonCount> closes;
  // Given to another worker, by the one that gave.
  Counter fresh_handed_over;    // Connections that were just accepted.
  Counter clients_handed_over;  // Clients between two requests.
  Counter relays;       // TCP connections that got a server, and requests that became a tunnel.
  Counter relays_open;  // Of them, now.
  net::TrafficCounters downstream;
  net::TrafficCounters upstream;
  Counter retries_other_server;      // The connection attempt failed, another server was asked.
  Counter retries_fresh_connection;  // A kept connection turned out to be closed.
  Counter retries_budgeted;          // A broken server's idempotent request went to another.
  Counter retry_budget_exhausted;    // Such a request was not repeated for lack of budget.
  Counter hash_keys_missing;         // Keyed requests without the field: by address instead.
  Counter discard_max_hit;    // An unwanted request body was larger, or slower, than weir reads on.
  Counter log_lines_dropped;  // The log writer did not keep up.
  Counter mirrored;           // Copies of requests that went on their way to a mirror.
  Counter mirror_skipped;     // Not sent: as many as may be were under way, or no server.
  Counter mirror_too_large;   // Not sent: the request does not fit a block.
  Counter mirror_failed;      // Of `mirrored`: not sent or not answered completely.
  Histogram request_us;       // First byte of the head to the last byte of the answer.
};

// A configured listener. Lives as long as the program: listeners change by a restart.
struct ListenerState {
  ListenerState(std::string listener_name, std::vector<std::string> bound, std::uint32_t max,
                unsigned worker_count)
      : name(std::move(listener_name)),
        addresses(std::move(bound)),
        connections_max(max),
        idle_since(std::make_unique<IdleSince[]>(worker_count)),
        counters(std::make_unique<net::ListenerCounters[]>(worker_count)),
        traffic(std::make_unique<Traffic[]>(worker_count)) {}

  const std::string name;
  const std::vector<std::string> addresses;
  const std::uint32_t connections_max;  // Over all workers.
  // Who asks for room asks the worker first whose client has been idle longest.
  struct alignas(64) IdleSince {
    std::atomic<std::uint64_t> ms{kNobodyIdle};
  };
  static constexpr std::uint64_t kNobodyIdle = UINT64_MAX;
  std::unique_ptr<IdleSince[]> idle_since;            // One per worker, as of its last turn.
  std::unique_ptr<net::ListenerCounters[]> counters;  // One per worker.
  struct alignas(64) Traffic : net::Traffic {};
  std::unique_ptr<Traffic[]> traffic;  // One per worker. Part of what the worker counts.
  alignas(64) std::atomic<std::uint32_t> connections{0};
  // Somebody waits for a place, or has just waited. On the loops' clock; seldom written.
  alignas(64) std::atomic<std::uint64_t> crowded_until_ms{0};
  std::atomic<std::uint64_t> crowded_since_ms{0};  // Since then nobody who waited has got a place.
  std::atomic<std::uint64_t> exhaustion_logged_ms{0};  // One line a minute, whichever worker.
};

}  // namespace weir::proxy
