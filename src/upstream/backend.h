// Backend: one worker's view of a named set of servers: whom to ask next, and what became of it.
//
// The balancing position, the retry budget and the pools are the worker's own. What all workers
// must agree on is in BackendState and ServerState. What the configuration says is in the
// BackendPlan that every call names, because an exchange keeps to the snapshot it began with. A
// reload that leaves same_servers() keeps the Backend with all of it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "balance/balancer.h"
#include "balance/peak_ewma.h"
#include "base/prng.h"
#include "health/passive.h"
#include "upstream/backend_plan.h"
#include "upstream/retry_budget.h"
#include "upstream/server_pool.h"

namespace weir::upstream {

// A server chosen for one attempt, with a slot of its limit taken.
struct Pick {
  ServerPool* pool = nullptr;
  std::uint32_t server = 0;  // Index in the plan.
  std::uint64_t started_us = 0;
  bool trial = false;  // The one request that finds out whether an ejected server is back.
  bool retry = false;
  bool measured = false;  // Its latency is known, or never will be.
};

// What an attempt asks for.
struct Wanted {
  const balance::Attempt& tried;
  std::optional<std::uint32_t> bound = {};  // The server that a cookie names.
  bool retry = false;
};

class Backend {
 public:
  enum class Outcome : std::uint8_t {
    picked,
    full,    // Of the servers that may be asked some are at their limits: Gate::enter().
    broken,  // Only circuit breakers are in the way.
    none,    // All were tried, or none takes requests.
  };
  struct Picked {
    Outcome outcome = Outcome::none;
    Pick pick = {};
  };

  Backend(std::vector<ServerPool*> pools, const BackendPlan& plan, std::uint64_t seed,
          std::uint64_t now_us);

  // The next server for this attempt: the bound one if it takes requests, else one of the lowest
  // tier that has a healthy one, else one that asks for 0 %, else any that is left (a preference is
  // no reason to refuse a client).
  [[nodiscard]] Picked pick(const BackendPlan& plan, const Wanted& wanted, std::uint64_t now_us);
  // The same for a server whose slot the gate has handed over.
  [[nodiscard]] Pick adopt(const BackendPlan& plan, std::uint32_t server, bool retry,
                           std::uint64_t now_us);
  // Whether pick() would find another server that is healthy, now or when it has room.
  [[nodiscard]] bool has_other(const BackendPlan& plan, const balance::Attempt& tried,
                               std::uint64_t now_us) const;
  // The attempt is over: gives the slot to whoever waits for one.
  void release(const BackendPlan& plan, Pick& pick, std::uint64_t now_us);
  // Whether a client that the cookie binds to the server may go there.
  [[nodiscard]] bool takes_bound(const BackendPlan& plan, std::uint32_t server) const;

  // What became of the pick. Returns whether the server's state changed between up and ejected.
  bool report(const BackendPlan& plan, const Pick& pick, health::Passive::Event event,
              std::uint64_t now_us);
  // The answer's head has come; or, `failed`, an error, or nothing will come.
  void observe(Pick& pick, std::uint64_t now_us, bool failed);

  // Whether a server has answered well since then, or just before.
  [[nodiscard]] bool did_well_since(std::uint64_t since_us) const {
    constexpr std::uint64_t kJustBeforeUs = 100'000;
    return last_good_us_ + kJustBeforeUs >= since_us && last_good_us_ != 0;
  }

  [[nodiscard]] RetryBudget& retry_budget() { return retry_budget_; }
  [[nodiscard]] std::uint32_t random() { return static_cast<std::uint32_t>(prng_() >> 32); }

 private:
  class View;

  // A server whose slot is taken.
  struct Admitted {
    std::uint32_t server;
    bool trial;
  };
  [[nodiscard]] std::optional<Admitted> pick_healthy(const BackendPlan& plan, View& view,
                                                     const balance::Attempt& tried,
                                                     std::uint64_t now_us);
  [[nodiscard]] std::optional<std::uint32_t> lowest_tier(const BackendPlan& plan,
                                                         const balance::Attempt& tried,
                                                         std::uint64_t now_ms) const;
  [[nodiscard]] bool take(const BackendPlan& plan, std::uint32_t server, std::uint64_t now_us);
  [[nodiscard]] bool take_bound(const BackendPlan& plan, std::uint32_t server,
                                std::uint64_t now_us);
  [[nodiscard]] Pick begin(const BackendPlan& plan, std::uint32_t server, bool trial, bool retry,
                           std::uint64_t now_us);
  static void came_back(const BackendPlan& plan, ServerState& server, const health::Passive& before,
                        std::uint64_t now_ms);
  [[nodiscard]] health::PassiveChange apply_error(const BackendPlan& plan, const Pick& pick,
                                                  std::uint64_t now_ms);

  std::vector<ServerPool*> pools_;
  balance::Balancer balancer_;
  RetryBudget retry_budget_;
  std::uint64_t last_good_us_ = 0;  // When a good answer came last; 0: never.
  Prng prng_;
  std::vector<balance::Unfinished> unfinished_;  // By server; only for ewma.
};

}  // namespace weir::upstream
