// What the tests of whole exchanges share: one worker in front of servers that the test plays.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rig.h"
#include "upstream/backend_state.h"
#include "upstream/condition.h"

namespace weir::proxy::test {

inline constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
inline constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ntoo busy!";

class ExchangeWorld : public testing::Test {
 protected:
  // A connection to one of the servers.
  struct Server {
    std::size_t origin = 0;
    std::unique_ptr<Peer> peer;
  };

  // With the first `count` of the servers.
  explicit ExchangeWorld(std::size_t count = 2) {
    std::vector<std::uint16_t> ports;
    for (std::size_t i = 0; i < count; ++i) ports.push_back(origins[i].port());
    config = config_for(ports);
    config.backends[0].slow_start = config::Milliseconds{0};
  }

  void start() { rig.emplace(config); }
  [[nodiscard]] config::Backend& backend() { return config.backends[0]; }

  // The server that a whole request head has come to.
  [[nodiscard]] Server& asked() {
    Server* found = nullptr;
    EXPECT_TRUE(rig->turn_until([&] { return (found = find_asked()) != nullptr; }));
    if (found != nullptr) return *found;
    return *servers.emplace_back(std::make_unique<Server>(Server{9, rig->client()}));
  }
  [[nodiscard]] bool nobody_asked() {
    rig->settle();
    return find_asked() == nullptr;
  }
  Server* find_asked() {
    for (std::size_t i = 0; i < origins.size(); ++i) {
      while (std::unique_ptr<Peer> peer = origins[i].accept()) {
        servers.push_back(std::make_unique<Server>(Server{i, std::move(peer)}));
      }
    }
    for (const auto& server : servers) {
      if (server->peer->fd().valid() && server->peer->has("\r\n\r\n")) return server.get();
    }
    return nullptr;
  }
  void answer(Server& server, std::string_view text) {
    server.peer->forget();
    EXPECT_EQ(server.peer->send(text), "");
  }
  // The whole answer of weir, told by its last bytes.
  [[nodiscard]] std::string answer_to(Peer& client, std::string_view end) {
    EXPECT_TRUE(rig->turn_until([&] { return client.received().ends_with(end); }))
        << client.received();
    std::string received = client.received();
    client.forget();
    return received;
  }

  [[nodiscard]] WorkerCounters& counters() { return rig->worker().counters(); }
  [[nodiscard]] upstream::Gate& gate() { return rig->snapshot().backends()[0].state->gate; }
  void expect_nothing_left() {
    rig->settle();
    for (std::size_t i = 0; i < backend().servers.size(); ++i) {
      EXPECT_EQ(rig->server(i).in_flight.load(), 0u) << i;
      EXPECT_EQ(rig->server(i).pending.load(), 0u) << i;
      EXPECT_EQ(rig->server(i).retries.load(), 0u) << i;
    }
    EXPECT_EQ(counters().requests_in_flight.read(), 0u);
    EXPECT_EQ(gate().waiting(), 0u);
    EXPECT_EQ(gate().in_flight(), 0u);
    EXPECT_EQ(rig->worker().buffers().leased(), 0u);
  }

  std::array<Origin, 3> origins;
  config::Config config;
  std::optional<Rig> rig;
  std::vector<std::unique_ptr<Server>> servers;
};

}  // namespace weir::proxy::test
