// World: a loop, what pools need, and a listening socket that plays the server.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "../loop/probe.h"
#include "../os/sockets.h"
#include "upstream/server_pool.h"

namespace weir::upstream::test {

class World {
 public:
  World() : listener_(os::listen_on(os::test::loopback(0), os::Share::first, 1024)) {
    EXPECT_EQ(listener_.status, os::IoStatus::done);
    address_ = os::test::loopback(os::bound_port(listener_.fd));
  }
  ~World() { loop.reap_retired(); }

  [[nodiscard]] std::unique_ptr<ServerState> server(const std::string& name = "one") {
    return std::make_unique<ServerState>("app", name, address_, name, 1);
  }
  [[nodiscard]] UpstreamResources resources() { return {loop, buffers, traffic, connections, 0}; }
  // Refuses connections from now on.
  void stop_listening() { listener_.fd.reset(); }
  [[nodiscard]] os::Fd accept() {
    os::Peer peer;
    return os::test::accept_within_deadline(listener_.fd, peer).fd;
  }

  // A connection in state active, as an exchange has it, and the server's end of it.
  struct Link {
    ServerConnection* near;
    os::Fd far;
  };
  [[nodiscard]] Link connect(ServerPool& pool) {
    const ServerPool::Connecting connecting = pool.connect(nullptr);
    EXPECT_TRUE(connecting.status == os::IoStatus::done ||
                connecting.status == os::IoStatus::again);
    os::IoStatus status = connecting.status;
    EXPECT_TRUE(loop.turn_until([&] {
      if (status == os::IoStatus::again) status = pool.connect_finish(*connecting.connection);
      return status != os::IoStatus::again;
    }));
    EXPECT_EQ(status, os::IoStatus::done);
    return {connecting.connection, accept()};
  }
  // Connects `count` times and puts all of them back, the first one first.
  [[nodiscard]] std::vector<Link> idle(ServerPool& pool, std::size_t count,
                                       std::uint64_t idle_ms = 60'000) {
    std::vector<Link> links;
    for (std::size_t i = 0; i < count; ++i) links.push_back(connect(pool));
    for (const Link& link : links) pool.put_back(*link.near, idle_ms);
    return links;
  }

  loop::test::DrivenLoop loop;
  net::BufferPool buffers;
  net::TrafficCounters traffic;
  Slab<ServerConnection> connections;

 private:
  os::SocketResult listener_;
  os::Address address_;
};

}  // namespace weir::upstream::test
