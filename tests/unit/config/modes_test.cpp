// TCP listeners, server names, tunnels and the PROXY protocol, as a file has them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "cases.h"
#include "config/load.h"

namespace weir::config {
namespace {

using test::must_load;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kEveryModeKey = R"(
[listener.web]
bind = "8080"
mode = "http"
accept_proxy = ["10.0.0.0/8", "::1"]
tunnel_idle_timeout = "2h"
tcp_keepalive = "0s"
congestion = "cubic"

[listener.db]
bind = "5432"
mode = "tcp"
backend = "db"
max_connections = 100
limits = "connections"
accept_proxy = "192.0.2.1"
client_head_timeout = "1s"
tunnel_idle_timeout = "1ms"
tcp_keepalive = "32767s"

[limit.connections]
rate = "1/s"

[[route]]
sni = ["Primary.example", "*.DB.example"]
listener = "db"
backends = ["db", "app"]
priority = 0

[[route]]
connect = ["DB.example:5432", "[0::1]:22"]
backend = "db"
limits = "connections"

[[route]]
path = "/chat"
upgrade = ["WebSocket", "IRC/6.9"]
backend = "app"

[[route]]
path = "/plain"
upgrade = []
backend = "app"

[[route]]
listener = "web"
backend = "app"

[backend.db]
servers = ["db_1:5432"]
send_proxy = 2
tcp_keepalive = "1m"

[backend.app]
servers = ["9001"]
send_proxy = 1
)";

TEST(Modes, TheSmallestFileHasDefaults) {
  const Config config =
      must_load("[listener.web]\nbind = \"80\"\n[backend.app]\nservers = [\"9001\"]\n");
  const Listener& listener = config.listeners.at(0);
  EXPECT_EQ(listener.mode, ListenerMode::http);
  EXPECT_EQ(listener.backend, "");
  EXPECT_THAT(listener.accept_proxy, IsEmpty());
  EXPECT_EQ(listener.timeouts.tunnel_idle, Milliseconds{3'600'000});
  EXPECT_EQ(listener.tcp_keepalive, Milliseconds{60'000});
  EXPECT_EQ(config.backends.at(0).tcp_keepalive, Milliseconds{60'000});
  EXPECT_EQ(config.backends[0].send_proxy, 0);
  const Route& route = config.routes.at(0);
  EXPECT_THAT(route.upgrade, ElementsAre("websocket"));
  EXPECT_THAT(route.connect, IsEmpty());
  EXPECT_THAT(route.sni, IsEmpty());
}

TEST(Modes, EveryKeyOfAListener) {
  const Config config = must_load(kEveryModeKey);
  const Listener& web = config.listeners.at(0);
  EXPECT_EQ(web.mode, ListenerMode::http);
  ASSERT_EQ(web.accept_proxy.size(), 2u);
  EXPECT_EQ(web.accept_proxy[0].prefix_bits, 8);
  EXPECT_TRUE(web.accept_proxy[1].ipv6);
  EXPECT_THAT(web.forwarded.trusted_proxies, IsEmpty());
  EXPECT_EQ(web.timeouts.tunnel_idle, Milliseconds{7'200'000});
  EXPECT_EQ(web.tcp_keepalive, Milliseconds{0});
  EXPECT_EQ(web.congestion, "cubic");
  const Listener& db = config.listeners.at(1);
  EXPECT_EQ(db.mode, ListenerMode::tcp);
  EXPECT_EQ(db.backend, "db");
  EXPECT_EQ(db.max_connections, 100u);
  EXPECT_THAT(db.limits, ElementsAre("connections"));
  EXPECT_EQ(db.accept_proxy.size(), 1u);
  EXPECT_EQ(db.timeouts.client_head, Milliseconds{1'000});
  EXPECT_EQ(db.timeouts.tunnel_idle, Milliseconds{1});
  EXPECT_EQ(db.tcp_keepalive, Milliseconds{32'767'000});
}

TEST(Modes, EveryKindOfRoute) {
  const Config config = must_load(kEveryModeKey);
  ASSERT_EQ(config.routes.size(), 5u);
  const Route& sni = config.routes[0];
  EXPECT_THAT(sni.sni, ElementsAre("primary.example", "*.db.example"));
  EXPECT_THAT(sni.listeners, ElementsAre("db"));
  EXPECT_EQ(sni.backends, (std::vector<RouteBackend>{{"db", 1}, {"app", 1}}));
  EXPECT_EQ(sni.priority, 0u);
  const Route& connect = config.routes[1];
  EXPECT_THAT(connect.connect, ElementsAre("db.example:5432", "[::1]:22"));
  EXPECT_THAT(connect.limits, ElementsAre("connections"));
  EXPECT_THAT(config.routes[2].upgrade, ElementsAre("websocket", "irc/6.9"));
  EXPECT_THAT(config.routes[3].upgrade, IsEmpty());
  EXPECT_THAT(config.routes[4].upgrade, ElementsAre("websocket"));
  for (const Route& route : config.routes) {
    EXPECT_EQ(route.serves(config.listeners[0]), route.sni.empty());
    EXPECT_EQ(route.serves(config.listeners[1]), !route.sni.empty());
  }
}

TEST(Modes, EveryKeyOfABackend) {
  const Config config = must_load(kEveryModeKey);
  const Backend& db = config.backends.at(0);
  EXPECT_EQ(db.servers.at(0).name, "db_1:5432");
  EXPECT_EQ(db.send_proxy, 2);
  EXPECT_EQ(db.tcp_keepalive, Milliseconds{60'000});
  EXPECT_EQ(config.backends.at(1).send_proxy, 1);
}

TEST(Modes, AnEmptyListOfPeersIsNone) {
  const Config config = must_load(
      "[listener.web]\nbind = \"80\"\naccept_proxy = []\n[backend.app]\nservers = [\"9001\"]\n");
  EXPECT_THAT(config.listeners.at(0).accept_proxy, IsEmpty());
}

// The backend's settings are for its requests; a TCP connection has no use for them.
TEST(Modes, ABackendOfBothModesKeepsWhatIsForHttp) {
  const Config config = must_load(R"(
[listener.web]
bind = "8080"
[listener.raw]
bind = "8081"
mode = "tcp"
backend = "app"
[backend.app]
servers = ["9001"]
response_head_timeout = "5s"
[backend.app.sticky]
cookie = "weir"
[backend.app.retry]
statuses = "500-504"
)");
  EXPECT_EQ(config.routes.size(), 1u);
  EXPECT_EQ(config.backends.at(0).sticky.cookie, "weir");
}

TEST(Modes, OneBackendAndATcpListenerNeedNoRoute) {
  const Config config = must_load(
      "[listener.db]\nbind = \"5432\"\nmode = \"tcp\"\nbackend = \"db\"\n"
      "[backend.db]\nservers = [\"db:5432\"]\n");
  EXPECT_THAT(config.routes, IsEmpty());
}

// A server behind a TCP listener or CONNECT need not speak HTTP. The parameter is what leads there.
struct UsualCheck : testing::TestWithParam<const char*> {
  [[nodiscard]] static std::string file(const std::string& health, const std::string& more = "") {
    return GetParam() + more + "[backend.db]\nservers = [\"db:5432\"]\n[backend.db.health]\n" +
           health;
  }
};
INSTANTIATE_TEST_SUITE_P(
    Modes, UsualCheck,
    testing::Values("[listener.db]\nbind = \"5432\"\nmode = \"tcp\"\nbackend = \"db\"\n",
                    "[listener.db]\nbind = \"5432\"\nmode = \"tcp\"\n"
                    "[[route]]\nsni = \"db.example\"\nbackend = \"db\"\n",
                    "[listener.out]\nbind = \"3128\"\n"
                    "[[route]]\nconnect = [\"db.example:5432\"]\nbackend = \"db\"\n"));

TEST_P(UsualCheck, ConnectsWhereNoRequestGetsToTheBackend) {
  const HealthCheck connects = must_load(file("interval = \"2s\"\n")).backends.at(0).health;
  EXPECT_EQ(connects.type, HealthCheck::Type::tcp);
  EXPECT_EQ(connects.interval, Milliseconds{2'000});
  const HealthCheck speaks =
      must_load(file("send = \"PING\"\nexpect = \"PONG\"\n")).backends.at(0).health;
  EXPECT_EQ(speaks.type, HealthCheck::Type::tcp);
  EXPECT_EQ(speaks.expect, "PONG");
  const HealthCheck off = must_load(file("enabled = false\n")).backends.at(0).health;
  EXPECT_EQ(off.type, HealthCheck::Type::none);
}

TEST_P(UsualCheck, AsksWhereItSaysSo) {
  for (const char* health : {"type = \"http\"\n", "path = \"/health\"\n", "load_report = true\n"}) {
    EXPECT_EQ(must_load(file(health)).backends.at(0).health.type, HealthCheck::Type::http);
  }
}

TEST_P(UsualCheck, AsksWhereRequestsGoAsWell) {
  const std::string web = "[listener.web]\nbind = \"8080\"\n";
  const std::string app = "[backend.app]\nservers = [\"9001\"]\n";
  const auto type = [&](const std::string& more) {
    const Config config = must_load(file("interval = \"2s\"\n", more));
    const auto db = std::ranges::find(config.backends, "db", &Backend::name);
    return db == config.backends.end() ? HealthCheck::Type::none : db->health.type;
  };
  EXPECT_EQ(type(web + "[[route]]\nbackend = \"db\"\n"), HealthCheck::Type::http);
  EXPECT_EQ(type(web + "[[route]]\nbackends = [\"app\", \"db\"]\n" + app), HealthCheck::Type::http);
  EXPECT_EQ(type(web + "[[route]]\nbackend = \"app\"\nmirror = \"db\"\n" + app),
            HealthCheck::Type::http);
  EXPECT_EQ(type(web + "[[route]]\nbackend = \"app\"\n" + app), HealthCheck::Type::tcp);
}

// Without any route, the one backend gets the requests too.
TEST(Modes, TheRouteThatNobodyWroteMakesTheCheckARequest) {
  const Config config = must_load(
      "[listener.db]\nbind = \"5432\"\nmode = \"tcp\"\nbackend = \"db\"\n"
      "[listener.web]\nbind = \"8080\"\n"
      "[backend.db]\nservers = [\"db:5432\"]\n[backend.db.health]\n");
  EXPECT_EQ(config.backends.at(0).health.type, HealthCheck::Type::http);
}

}  // namespace
}  // namespace weir::config
