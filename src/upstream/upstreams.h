// Upstreams: all server pools of one worker, by server.
//
// A pool is made when a snapshot of the worker first names the server, and dropped when none does.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "upstream/backend.h"

namespace weir::upstream {

class Upstreams {
 public:
  Upstreams(loop::Loop& loop, net::BufferPool& buffers, net::TrafficCounters& traffic,
            unsigned worker)
      : resources_{loop, buffers, traffic, connections_, worker} {}

  // The pool of `server`, made when there is none.
  [[nodiscard]] ServerPool& pool(ServerState& server);

  // Servers outside `named` keep no idle connection from now on; those without any connection
  // left are forgotten when no older snapshot needs them (`forget`).
  void keep_only(const std::vector<ServerState*>& named, bool forget);

  // Whether no pool but those of `named` is left.
  [[nodiscard]] bool only_kept(const std::vector<ServerState*>& named) const;

  [[nodiscard]] std::size_t connections() const { return connections_.live(); }

  // Closes every idle connection: the worker is leaving.
  void retire_all();

 private:
  Slab<ServerConnection> connections_;
  UpstreamResources resources_;
  std::vector<std::unique_ptr<ServerPool>> pools_;  // In the order they were made: nothing happens
                                                    // in the order of addresses.
  std::unordered_map<ServerState*, ServerPool*> by_server_;
};

}  // namespace weir::upstream
