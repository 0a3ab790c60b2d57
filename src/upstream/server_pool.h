// ServerPool: one worker's connections to one server: the idle ones and how to get new ones.
//
// Idle connections are reused most recently used first: that one is the least likely to have been
// closed by the server, its buffers in the kernel are warm, and the surplus at the cold end times
// out by itself (docs/decisions/0004-pool-reuse-order.md).
//
// Owned by the worker's Upstreams; lives as long as a snapshot of the worker names the server.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/intrusive_list.h"
#include "base/slab.h"
#include "upstream/connection_owner.h"
#include "upstream/server_connection.h"
#include "upstream/server_state.h"

namespace weir::upstream {

// What all pools of a worker share.
struct UpstreamResources {
  loop::Loop& loop;
  net::BufferPool& buffers;
  net::TrafficCounters& traffic;
  Slab<ServerConnection>& connections;
  unsigned worker;
};

class ServerPool {
 public:
  // Connections beyond this are closed instead of kept.
  static constexpr std::uint32_t kIdleMax = 512;
  static constexpr std::uint64_t kQuietMs = 1'000;

  ServerPool(ServerState& state, UpstreamResources resources);
  ~ServerPool();
  ServerPool(const ServerPool&) = delete;
  ServerPool& operator=(const ServerPool&) = delete;

  [[nodiscard]] ServerState& state() { return state_; }
  [[nodiscard]] ServerCounters& counters() { return counters_; }

  // The idle connection of `owner` (null: of nobody) used last whose latches say it is alive, or
  // null. `careful`: ask
  // the kernel as well; for requests that must not be lost to a connection the server just closed.
  // The kernel is asked anyway after kQuietMs, when a close is the more likely.
  [[nodiscard]] ServerConnection* take_idle(ConnectionOwner* owner, bool careful);

  struct Connecting {
    os::IoStatus status = os::IoStatus::failed;  // `done` and `again` come with a connection.
    ServerConnection* connection = nullptr;
  };
  // `congestion`: the algorithm for what is sent; empty: the system's.
  [[nodiscard]] Connecting connect(ConnectionOwner* owner, std::string_view congestion = {});
  // The socket of a connecting connection is writable: `done`, `again`, or why it failed.
  [[nodiscard]] os::IoStatus connect_finish(ServerConnection& connection);

  // The exchange ended exactly and the server goes on: keeps the connection for `idle_ms`.
  void put_back(ServerConnection& connection, std::uint64_t idle_ms);
  void close(ServerConnection& connection);

  // Closes what is idle, and from now on keeps nothing.
  void retire();
  // A snapshot names the server again.
  void revive() { retired_ = false; }
  [[nodiscard]] bool unused() const { return connections_ == 0; }

 private:
  friend class ServerConnection;
  void leave_idle(ServerConnection& connection);
  // Of a connection without a request: its server has sent bytes, which are counted, or ended it.
  void close_unquiet(ServerConnection& connection);
  [[nodiscard]] ServerConnection* idle_of(ConnectionOwner* owner);

  ServerState& state_;
  ServerCounters& counters_;
  UpstreamResources resources_;
  IntrusiveList<ServerConnection, IdleTag> idle_;  // Front: used last.
  std::uint32_t idle_count_ = 0;
  std::uint32_t connections_ = 0;  // All states but reaped.
  bool retired_ = false;
};

}  // namespace weir::upstream
