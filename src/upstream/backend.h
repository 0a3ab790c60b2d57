// Backend: one worker's view of a named set of servers: whom to ask next, and what became of it.
//
// BackendPlan is the compiled, immutable description inside a snapshot. Backend is the worker's
// own part: the balancing position, the retry budget and the pools. A reload that does not change
// servers, weights or algorithm keeps the Backend with all of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "balance/balancer.h"
#include "base/prng.h"
#include "health/passive.h"
#include "upstream/retry_budget.h"
#include "upstream/server_pool.h"

namespace weir::upstream {

struct BackendPlan {
  std::string name;
  std::vector<ServerState*> servers;
  std::vector<std::uint32_t> weights;
  balance::Algorithm algorithm = balance::Algorithm::round_robin;
  std::uint64_t connect_timeout_ms = 5'000;
  std::uint64_t response_head_timeout_ms = 60'000;
  std::uint64_t response_body_timeout_ms = 30'000;
  std::uint64_t idle_timeout_ms = 4'000;
  std::uint16_t unavailable_status = 503;

  // Whether a Backend made for `other` fits this plan as well.
  [[nodiscard]] bool same_servers(const BackendPlan& other) const {
    return servers == other.servers && weights == other.weights && algorithm == other.algorithm;
  }
};

// A server chosen for one attempt.
struct Pick {
  ServerPool* pool = nullptr;
  std::uint32_t server = 0;  // Index in the plan.
  bool trial = false;        // The one request that finds out whether an avoided server is back.
};

class Backend {
 public:
  Backend(std::vector<ServerPool*> pools, const BackendPlan& plan, std::uint64_t seed,
          std::uint64_t now_ms);

  // A reload has changed what does not need another Backend: the timeouts.
  void adopt(const BackendPlan& plan);

  // The next server for this attempt: one that is not avoided if there is any, else an avoided one
  // (a preference is no reason to refuse a client); empty when all were tried.
  [[nodiscard]] std::optional<Pick> pick(const balance::Attempt& attempt, std::uint64_t now_ms);

  // What became of the connection attempt of a pick. Returns whether the server's state changed.
  bool report(const Pick& pick, health::Passive::Event event, std::uint64_t now_ms);

  [[nodiscard]] RetryBudget& retry_budget() { return retry_budget_; }

 private:
  std::vector<ServerPool*> pools_;
  balance::Balancer balancer_;
  RetryBudget retry_budget_;
  Prng prng_;
  health::PassiveSettings passive_settings_;
};

}  // namespace weir::upstream
