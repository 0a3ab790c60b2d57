// Snapshot: one generation of the configuration, compiled for the data path. Immutable.
//
// Made and owned by the control thread. Publishing posts one message per worker; the worker swaps
// its pointer between two turns and says so. Exchanges finish on the snapshot they started with;
// when a worker's last one has, the worker posts a message back, and when all workers have, the
// control thread frees the snapshot. All messages are part of the snapshot, so none can fail.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "loop/mailbox.h"
#include "proxy/router.h"
#include "proxy/shared_state.h"
#include "upstream/backend.h"

namespace weir::proxy {

class Worker;
class Snapshot;

struct ListenerPlan {
  config::ListenerMode mode = config::ListenerMode::http;
  config::ForwardedHeaders forwarded;
  std::uint64_t client_head_timeout_ms = 10'000;
  std::uint64_t client_idle_timeout_ms = 60'000;
  std::uint64_t client_body_timeout_ms = 30'000;
  std::uint64_t tunnel_idle_timeout_ms = 3'600'000;
  std::vector<config::Network> accept_proxy;  // Clients that begin with a PROXY header.
  std::vector<RateLimiter*> limits;           // For new connections.
};

// Told on the control thread.
class SnapshotOwner {
 public:
  // Every worker serves new requests by the snapshot.
  virtual void adopted(Snapshot& snapshot) = 0;
  // One worker less uses it.
  virtual void released(Snapshot& snapshot) = 0;

 protected:
  ~SnapshotOwner() = default;
};

class Snapshot {
 public:
  // `listeners`: the names of the running listeners, by index. `config` describes each of them;
  // routes may name others, which wait for a restart.
  Snapshot(const config::Config& config, std::uint64_t generation,
           const std::vector<std::string>& listeners, SharedState& shared, SnapshotOwner& owner,
           const std::vector<Worker*>& workers);

  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  [[nodiscard]] const Router& router() const { return router_; }
  [[nodiscard]] const std::vector<ListenerPlan>& listeners() const { return listeners_; }
  [[nodiscard]] const std::vector<upstream::BackendPlan>& backends() const { return backends_; }
  [[nodiscard]] const std::vector<RateLimiter*>& limits() const { return parts_.limits; }
  // Every server named, for keeping and dropping pools.
  [[nodiscard]] const std::vector<upstream::ServerState*>& servers() const {
    return parts_.servers;
  }
  // All that is shared with other snapshots. Limits and backends in the order of their indices.
  [[nodiscard]] const SharedParts& parts() const { return parts_; }

  // Control thread: hands the snapshot to every worker.
  void publish();
  // Worker `worker`: its last exchange with this snapshot has ended, and it has a newer one.
  void release(unsigned worker);
  // Control thread: how many workers still may use it.
  [[nodiscard]] std::size_t users() const { return users_; }

 private:
  struct Offer final : loop::Message {
    void deliver() override;
    Snapshot* snapshot = nullptr;
    Worker* worker = nullptr;
  };
  struct Adoption final : loop::Message {
    void deliver() override;
    Snapshot* snapshot = nullptr;
  };
  struct Release final : loop::Message {
    void deliver() override;
    Snapshot* snapshot = nullptr;
  };

  [[nodiscard]] RateLimiter* find_limit(const config::Config& config,
                                        const std::string& name) const;

  std::uint64_t generation_;
  Router router_;
  std::vector<ListenerPlan> listeners_;
  std::vector<upstream::BackendPlan> backends_;
  SharedParts parts_;
  SnapshotOwner& owner_;
  std::vector<Offer> offers_;  // By worker.
  std::vector<Adoption> adoptions_;
  std::vector<Release> releases_;
  std::size_t adopting_;  // Workers that have not taken it yet.
  std::size_t users_;
};

}  // namespace weir::proxy
