// UpstreamChecks: what all workers together must keep to about servers and backends: limits,
// hand-over, ejections, counts. Looked at after every turn, and when nothing is under way.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/config.h"
#include "control/publisher.h"
#include "control/worker_set.h"

namespace weir::sim {

class UpstreamChecks {
 public:
  UpstreamChecks(const control::Publisher& publisher, const control::WorkerSet& workers)
      : publisher_(publisher), workers_(workers) {}

  // This is going to be the newest configuration, and then it is. Between the two, workers that
  // have adopted it already run.
  void publishing(const config::Config& config);
  void published();
  // `late`: time jumps, and waits prove nothing.
  void after_turn(std::uint64_t now_ns, bool late);
  // No request is under way.
  void at_rest() const;

  // Connections of TCP listeners, of all workers.
  [[nodiscard]] std::size_t tcp_sessions() const;
  // Most requests that may be at this address at one time; UINT32_MAX: any number.
  [[nodiscard]] std::uint32_t most_at_once(const std::string& address) const;
  // A configuration that may be in use names this address, or one did until a moment ago.
  [[nodiscard]] bool may_be_asked(const std::string& address, std::uint64_t now_ns) const;
  // How every server of the newest configuration stands, for the report of a failure.
  [[nodiscard]] std::string describe() const;

 private:
  // A backend of the newest configuration.
  struct Seen {
    struct IdleSlot {  // Somebody waits beside free slots.
      std::uint64_t since_ns = UINT64_MAX;
      std::uint32_t waiting = 0;  // Since then, at most.
    } idle_slot;
    std::uint32_t ejected = UINT32_MAX;  // For answers; at first, nobody knows how.
  };

  void forget_older_ones(std::uint64_t now_ns);
  [[nodiscard]] bool all_have_followed() const;
  void check_limits(const upstream::ServerState& server) const;
  void check_limit_of_all(const upstream::BackendPlan& plan) const;
  void check_counts() const;
  void check_hand_over(const config::Backend& backend, const upstream::BackendPlan& plan,
                       std::uint64_t now_ns);
  void check_ejections(const upstream::BackendPlan& plan);

  const control::Publisher& publisher_;
  const control::WorkerSet& workers_;
  std::vector<config::Config> configs_;  // Of the snapshots there may be; the last is the newest.
  bool publishing_ = false;
  std::vector<std::uint64_t> followed_after_;            // Turns, by worker.
  std::map<std::string, Seen> seen_;                     // By backend.
  std::map<std::string, std::uint64_t> named_until_ns_;  // By address, of older configurations.
};

}  // namespace weir::sim
