// How connections of a TCP listener end: what is counted, and what each side sees.
#include "proxy/tcp_session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "rig.h"

namespace weir::proxy {
namespace {

using test::config_for;
using test::Origin;
using test::Peer;
using test::Rig;

config::Config relays_to(const Origin& origin) {
  config::Config config = config_for({origin.port()});
  config.routes.clear();
  config.listeners[0].mode = config::ListenerMode::tcp;
  config.listeners[0].backend = "app";
  return config;
}

// PROXY headers come from there, and clients of the test do not.
config::Config with_proxies(config::Config config, std::array<std::uint8_t, 4> network) {
  config::Network& proxies = config.listeners[0].accept_proxy.emplace_back();
  std::ranges::copy(network, proxies.address);
  proxies.prefix_bits = 8;
  return config;
}

class TcpSessionTest : public testing::Test {
 protected:
  std::uint64_t closes(CloseReason reason) {
    return rig->worker().counters().closes[static_cast<std::size_t>(reason)].read();
  }
  void begin(const config::Config& config) { rig = std::make_unique<Rig>(config); }
  // A byte has gone each way.
  void relay() {
    client = rig->client();
    client->send("a");
    server = rig->accepted(origin);
    ASSERT_TRUE(rig->receives(*server, "a"));
    server->send("b");
    ASSERT_TRUE(rig->receives(*client, "b"));
  }
  void wait_for_close(CloseReason reason) {
    EXPECT_TRUE(rig->turn_until([&] { return closes(reason) == 1; }));
  }

  Origin origin;
  std::unique_ptr<Rig> rig;
  std::unique_ptr<Peer> client;
  std::unique_ptr<Peer> server;
};

TEST_F(TcpSessionTest, AClientsResetIsCounted) {
  begin(relays_to(origin));
  relay();
  client->reset();
  wait_for_close(CloseReason::client_gone);
  EXPECT_EQ(rig->errors(ProxyError::client_closed), 1u);
  EXPECT_TRUE(server->was_reset());
}

// Load balancers end their health checks like that.
TEST_F(TcpSessionTest, AResetBeforeAnyByteIsNoError) {
  begin(relays_to(origin));
  client = rig->client();
  server = rig->accepted(origin);
  client->reset();
  wait_for_close(CloseReason::client_gone);
  EXPECT_EQ(rig->errors(ProxyError::client_closed), 0u);
  EXPECT_TRUE(server->was_reset());
}

TEST_F(TcpSessionTest, AnEndInOrderIsNoError) {
  begin(relays_to(origin));
  relay();
  client->finish_sending();
  ASSERT_TRUE(rig->turn_until([&] { return server->ended(); }));
  server->close();
  wait_for_close(CloseReason::relay_finished);
  EXPECT_EQ(rig->errors(ProxyError::client_closed), 0u);
}

TEST_F(TcpSessionTest, AHeaderThatEndsTooEarlyIsBroken) {
  begin(with_proxies(relays_to(origin), {127, 0, 0, 0}));
  client = rig->client();
  client->send("PROXY TCP4 1.2");
  client->finish_sending();
  wait_for_close(CloseReason::refused);
  EXPECT_EQ(rig->errors(ProxyError::bad_proxy_header), 1u);
  EXPECT_TRUE(client->ended());
}

TEST_F(TcpSessionTest, AProbeOfThePortIsNoError) {
  begin(with_proxies(relays_to(origin), {127, 0, 0, 0}));
  rig->client()->close();
  wait_for_close(CloseReason::client_gone);
  EXPECT_EQ(rig->errors(ProxyError::bad_proxy_header), 0u);
}

TEST_F(TcpSessionTest, ASpoofedHeaderBehindTheServersGreetingResetsBoth) {
  begin(with_proxies(relays_to(origin), {10, 0, 0, 0}));
  client = rig->client();
  server = rig->accepted(origin);
  server->send("220 hi\r\n");
  ASSERT_TRUE(rig->receives(*client, "220 hi\r\n"));
  client->send("PROXY TCP4 10.1.2.3 10.0.0.1 1234 25\r\n");
  wait_for_close(CloseReason::refused);
  EXPECT_EQ(rig->errors(ProxyError::untrusted_proxy_header), 1u);
  EXPECT_TRUE(client->was_reset());
  EXPECT_TRUE(server->was_reset());
  EXPECT_EQ(server->received(), "");
}

}  // namespace
}  // namespace weir::proxy
