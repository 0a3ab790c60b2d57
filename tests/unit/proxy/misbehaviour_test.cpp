// A worker among clients and servers that do anything at any time: stop, go on, close, reset,
// answer early, twice, broken or not at all, while snapshots come and go. Seeded, so that a failure
// can be repeated. Whatever happens, the worker must neither abort nor keep anything once all have
// left, and no client may see bytes that were meant for another one.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "rig.h"

namespace weir::proxy {
namespace {

using test::config_for;
using test::Origin;
using test::Peer;
using test::Rig;

class Crowd {
 public:
  explicit Crowd(std::uint64_t seed, loop::Trigger trigger)
      : prng_(seed), rig_(config(), {trigger, 12, nullptr}) {
    rig_.publish(config());
  }

  void live(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      if (clients_.size() < 16 && chance(4))
        clients_.push_back({rig_.client(), "", next_client_++});
      for (Origin& origin : origins_) {
        while (std::unique_ptr<Peer> peer = origin.accept())
          servers_.push_back({std::move(peer), ""});
      }
      if (!clients_.empty()) act(clients_[prng_.bounded(clients_.size())]);
      if (!servers_.empty()) act(servers_[prng_.bounded(servers_.size())]);
      if (chance(200)) rig_.publish(config());
      for (std::uint64_t turns = prng_.bounded(3); turns > 0; --turns) rig_.turn();
      std::erase_if(clients_, [](const Client& client) { return client.peer == nullptr; });
      std::erase_if(servers_, [](const Server& server) { return server.peer == nullptr; });
    }
  }

  // Everybody leaves; nothing may be left behind.
  void expect_nothing_left() {
    clients_.clear();
    servers_.clear();
    rig_.worker().drain();
    ASSERT_TRUE(rig_.turn_until([&] { return !rig_.worker().running(); })) << "no deadline";
    rig_.settle();
    EXPECT_EQ(rig_.listener().connections.load(), 0u);
    EXPECT_EQ(rig_.worker().counters().requests_in_flight.read(), 0u);
    EXPECT_EQ(rig_.worker().buffers().leased(), 0u);
    EXPECT_EQ(rig_.snapshots(), 1u);
    for (const upstream::ServerState* server : rig_.snapshot().servers()) {
      EXPECT_EQ(server->in_flight.load(), 0u);
      EXPECT_EQ(server->counters(0).connections_active.read(), 0u);
      EXPECT_EQ(server->counters(0).connections_idle.read(), 0u);
    }
    EXPECT_GT(rig_.worker().counters().responses[2].read(), 0u) << "some of it must have worked";
    EXPECT_EQ(strangers, 0) << "a client received another client's answer";
  }

  int strangers = 0;

 private:
  struct Client {
    std::unique_ptr<Peer> peer;
    std::string unsent;
    int number;
  };
  struct Server {
    std::unique_ptr<Peer> peer;
    std::string unsent;
  };

  [[nodiscard]] bool chance(std::uint64_t one_in) { return prng_.bounded(one_in) == 0; }

  config::Config config() {
    config::Config made = config_for({origins_[0].port(), origins_[1].port()});
    if (chance(2)) made.backends[0].servers.pop_back();
    made.listeners[0].timeouts = {config::Milliseconds(40), config::Milliseconds(40),
                                  config::Milliseconds(40)};
    made.backends[0].timeouts = {config::Milliseconds(40), config::Milliseconds(40),
                                 config::Milliseconds(40), config::Milliseconds(40)};
    return made;
  }

  // The number in the path tells whose mark the answer must carry.
  std::string request(int number) {
    const std::string path = "/c" + std::to_string(number);
    const std::string fields = " HTTP/1.1\r\nHost: a\r\n";
    switch (prng_.bounded(8)) {
      case 0: return "POST " + path + fields + "Content-Length: 5\r\n\r\nhello";
      case 1:
        return "PUT " + path + fields + "Content-Length: 30000\r\n\r\n" + std::string(30'000, 'u');
      case 2:
        return "POST " + path + fields +
               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n";
      case 3: return "GET " + path + " HTTP/1.0\r\n\r\n";
      case 4: return "GET " + path + fields + "Connection: close\r\n\r\n";
      case 5:
        return "POST " + path + fields + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nxyz";
      case 6: return chance(4) ? "NOT HTTP\r\n\r\n" : "HEAD " + path + fields + "\r\n";
      default: return "GET " + path + fields + "\r\n";
    }
  }

  std::string answer(int number) {
    const std::string body(chance(5) ? 50'000 : 10, mark(number));
    const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    switch (prng_.bounded(9)) {
      case 0: return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(body);
      case 1: return "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + length + body;
      case 2: return "HTTP/1.1 204 No Content\r\n\r\n";
      case 3: return "HTTP/1.1 200 OK\r\n" + length + body.substr(0, body.size() / 2);
      case 4: return "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx";
      case 5: return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body;
      case 6: return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
      default: return "HTTP/1.1 200 OK\r\n" + length + body;
    }
  }
  static std::string chunks(const std::string& body) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", body.size());
    return size + body + "\r\n0\r\n\r\n";
  }

  void act(Client& client) {
    switch (prng_.bounded(12)) {
      case 0: client.peer->finish_sending(); break;
      case 1: client.peer->reset(); break;
      case 2: client.peer.reset(); break;
      case 3: client.peer->receive(prng_.bounded(1'000)); break;
      case 4:
      case 5:
      case 6: client.unsent += request(client.number); [[fallthrough]];
      default: send_some(*client.peer, client.unsent); break;
    }
    if (client.peer == nullptr || !client.peer->fd().valid()) {
      client.peer = nullptr;
      return;
    }
    if (chance(2)) client.peer->receive(20'000);
    check_owner(client);
    if (client.peer->fd().valid() && chance(3) && client.peer->ended()) client.peer = nullptr;
  }

  // A byte that no head and no framing holds, and that neighbours in time do not share.
  static char mark(int number) { return static_cast<char>(0x80 + number % 128); }

  // Every marked byte that a client has received must be its own.
  void check_owner(const Client& client) {
    for (const char byte : client.peer->kept()) {
      if (static_cast<unsigned char>(byte) >= 0x80 && byte != mark(client.number)) ++strangers;
    }
  }

  void act(Server& server) {
    switch (prng_.bounded(10)) {
      case 0: server.peer->finish_sending(); break;
      case 1: server.peer->reset(); break;
      case 2: server.peer->receive(100); break;
      case 3: server.unsent += chance(6) ? "unasked" : ""; [[fallthrough]];
      default: {
        // One answer for each head; a body that comes behind it names nobody.
        const std::string& received = server.peer->received();
        const std::size_t name = received.find("/c");
        if (name != std::string::npos && received.find("\r\n\r\n", name) != std::string::npos) {
          server.unsent += answer(std::atoi(received.c_str() + name + 2));
          server.peer->forget();
        }
        send_some(*server.peer, server.unsent);
      }
    }
    if (!server.peer->fd().valid() || (chance(20) && server.unsent.empty())) server.peer = nullptr;
  }

  void send_some(Peer& peer, std::string& unsent) {
    const std::size_t size = chance(2) ? unsent.size() : prng_.bounded(unsent.size() + 1);
    const std::string_view rest = peer.send(std::string_view(unsent).substr(0, size));
    unsent.erase(0, size - rest.size());
  }

  Prng prng_;
  std::array<Origin, 2> origins_;
  Rig rig_;
  std::vector<Client> clients_;
  std::vector<Server> servers_;
  int next_client_ = 1;
};

class Misbehaviour : public testing::TestWithParam<loop::Trigger> {};
INSTANTIATE_TEST_SUITE_P(EveryTrigger, Misbehaviour,
                         testing::Values(loop::Trigger::edge, loop::Trigger::level,
                                         loop::Trigger::oneshot));

TEST_P(Misbehaviour, LeavesNothingBehind) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    Crowd crowd(seed, GetParam());
    crowd.live(4'000);
    crowd.expect_nothing_left();
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace weir::proxy
