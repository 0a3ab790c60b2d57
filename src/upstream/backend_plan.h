// BackendPlan: a backend as a snapshot describes it to the workers. Immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "balance/balancer.h"
#include "health/passive.h"
#include "upstream/gate.h"
#include "upstream/server_state.h"
#include "upstream/sticky_plan.h"

namespace weir::upstream {

class BackendState;

struct RetryPlan {
  bool enabled = true;
  std::uint32_t max = 3;                // Further attempts after the first.
  std::vector<std::uint16_t> statuses;  // Sorted.
  std::uint64_t backoff_ms = 25;
  std::uint64_t backoff_max_ms = 250;
  std::uint32_t budget_percent = 20;
  std::uint64_t try_timeout_ms = 0;  // 0: none.
};

// What of a request is hashed to a server.
enum class HashSource : std::uint8_t {
  none,
  address,
  uri,
  header,
  cookie,
  query,
};

struct BackendPlan {
  std::string name;
  BackendState* state = nullptr;  // Shared by the workers.
  GatePlan gate;                  // The servers, their limits and breakers, and the queue's size.
  bool limited = false;           // The gate may say no: some limit is set, or may be by an agent.
  bool tiered = false;            // The servers are of several priorities.
  balance::Settings balance;
  HashSource hash_source = HashSource::none;
  std::string hash_key;           // The field (lower case), cookie or parameter.
  bool reports_load = false;      // Servers say how loaded they are.
  std::uint32_t probe_every = 0;  // Probe a server after so many requests; 0: not so.
  health::PassiveSettings passive;
  std::uint32_t max_ejected_percent = 50;
  bool ejects = true;
  std::uint64_t slow_start_ms = 10'000;
  std::uint64_t connect_timeout_ms = 5'000;
  std::uint64_t response_head_timeout_ms = 60'000;
  std::uint64_t response_body_timeout_ms = 30'000;
  std::uint64_t idle_timeout_ms = 4'000;
  std::uint64_t request_timeout_ms = 0;  // 0: none.
  std::uint16_t unavailable_status = 503;
  RetryPlan retry;
  unsigned send_proxy = 0;       // Version of the PROXY header; 0: none.
  unsigned tcp_keepalive_s = 0;  // Of relays and tunnels; 0: none.
  std::string congestion;        // The algorithm; empty: the system's.
  std::uint64_t queue_timeout_ms = 5'000;
  std::string priority_header;               // Lower case; empty: the route says.
  std::unique_ptr<const StickyPlan> sticky;  // Null: not sticky.
};

// Whether a Backend made for `one` fits `other` as well: nothing changed but what it looks up in
// the plan each time.
[[nodiscard]] bool same_servers(const BackendPlan& one, const BackendPlan& other);

}  // namespace weir::upstream
