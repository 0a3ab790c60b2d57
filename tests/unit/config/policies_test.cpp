// [backend.NAME.health] and its sisters, [limit.NAME], and what routes and servers say about them:
// every key is read, and the defaults are those of docs/configuration.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cases.h"
#include "config/load.h"

namespace weir::config {
namespace {

using test::must_load;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kListener = "[listener.web]\nbind = \"8080\"\n";

// The one backend of a file, with these lines behind its servers.
Backend with(const std::string& lines) {
  const Config config =
      must_load(kListener + std::string("[backend.app]\nservers = [\"9001\"]\n") + lines);
  return config.backends.empty() ? Backend{} : config.backends.front();
}

TEST(Policies, OfABackendThatSaysNothing) {
  const Backend backend = with("");
  EXPECT_EQ(backend.balance, Balance::p2c);
  EXPECT_EQ(backend.hash_load_percent, 150u);
  EXPECT_EQ(backend.health.type, HealthCheck::Type::none);
  EXPECT_TRUE(backend.ejection.enabled);
  EXPECT_TRUE(backend.retry.enabled);
  EXPECT_EQ(backend.retry.budget_percent, 20u);
  EXPECT_EQ(backend.slow_start, Milliseconds{10'000});
  EXPECT_EQ(backend.panic_percent, 10u);
  EXPECT_EQ(backend.limit, std::nullopt);
  EXPECT_EQ(backend.request_timeout, std::nullopt);
  EXPECT_EQ(backend.sticky.cookie, "");
}

TEST(Policies, AnEmptyTableIsItsDefaults) {
  const Backend backend = with(
      "[backend.app.health]\n[backend.app.ejection]\n[backend.app.retry]\n[backend.app.queue]\n");
  HealthCheck health;
  health.type = HealthCheck::Type::http;
  EXPECT_EQ(backend.health, health);
  EXPECT_EQ(backend.health.expect_status, (std::vector<StatusRange>{{200, 399}}));
  EXPECT_EQ(backend.ejection, Ejection{});
  EXPECT_EQ(backend.retry, RetryPolicy{});
  EXPECT_EQ(backend.queue, QueuePolicy{});
}

TEST(Policies, EveryKeyOfABackend) {
  const Backend backend = with(R"(balance = "query_hash"
hash_key = "user"
hash_load_percent = 10000
limit = 11
server_limit = 12
server_pending_limit = 13
server_retry_limit = 0
request_timeout = "14s"
slow_start = "0s"
panic_percent = 100
)");
  EXPECT_EQ(backend.balance, Balance::query_hash);
  EXPECT_EQ(backend.hash_key, "user");
  EXPECT_EQ(backend.hash_load_percent, 10'000u);
  EXPECT_EQ(backend.limit, 11u);
  EXPECT_EQ(backend.server_limit, 12u);
  EXPECT_EQ(backend.server_pending_limit, 13u);
  EXPECT_EQ(backend.server_retry_limit, 0u);
  EXPECT_EQ(backend.request_timeout, Milliseconds{14'000});
  EXPECT_EQ(backend.slow_start, Milliseconds{0});
  EXPECT_EQ(backend.panic_percent, 100u);
  EXPECT_EQ(with("hash_load_percent = 0\n").hash_load_percent, 0u);
}

TEST(Policies, EveryBalance) {
  const std::vector<std::pair<std::string, Balance>> all = {
      {"round_robin", Balance::round_robin},
      {"least_connections", Balance::least_connections},
      {"p2c", Balance::p2c},
      {"ewma", Balance::ewma},
      {"least_load", Balance::least_load},
      {"random", Balance::random},
      {"first", Balance::first},
      {"ip_hash", Balance::ip_hash},
      {"uri_hash", Balance::uri_hash},
      {"header_hash", Balance::header_hash},
      {"cookie_hash", Balance::cookie_hash},
      {"query_hash", Balance::query_hash},
  };
  for (const auto& [name, balance] : all) {
    std::string more;
    if (balance >= Balance::header_hash) more = "hash_key = \"k\"\n";
    if (balance == Balance::least_load) {
      more = "[backend.app.health]\npath = \"/\"\nload_report = true\n";
    }
    EXPECT_EQ(with("balance = \"" + name + "\"\n" + more).balance, balance);
  }
}

TEST(Policies, EveryKeyOfAnHttpCheck) {
  const HealthCheck health = with(R"([backend.app.health]
type = "http"
method = "OPTIONS"
path = "/up?deep=1"
host = "App.example.com:81"
headers = { X-A = "b c", "x-b" = "" }
expect_status = ["200-299", 404, "500"]
expect_body = "fine"
port = 82
interval = "10ms"
fast_interval = "10ms"
timeout = "24h"
rise = 1
fall = 100
every_requests = 7
load_report = true
)")
                                 .health;
  EXPECT_EQ(health.type, HealthCheck::Type::http);
  EXPECT_EQ(health.method, "OPTIONS");
  EXPECT_EQ(health.path, "/up?deep=1");
  EXPECT_EQ(health.host, "app.example.com:81");
  EXPECT_THAT(health.headers, ElementsAre(HeaderField{"X-A", "b c"}, HeaderField{"x-b", ""}));
  EXPECT_THAT(health.expect_status,
              ElementsAre(StatusRange{200, 299}, StatusRange{404, 404}, StatusRange{500, 500}));
  EXPECT_EQ(health.expect_body, "fine");
  EXPECT_EQ(health.port, 82);
  EXPECT_EQ(health.interval, Milliseconds{10});
  EXPECT_EQ(health.fast_interval, Milliseconds{10});
  EXPECT_EQ(health.timeout, Milliseconds{86'400'000});
  EXPECT_EQ(health.rise, 1u);
  EXPECT_EQ(health.fall, 100u);
  EXPECT_EQ(health.every_requests, 7u);
  EXPECT_TRUE(health.load_report);
}

TEST(Policies, EveryKeyOfATcpCheck) {
  const HealthCheck health =
      with("health = { type = \"tcp\", send = \"PING\\r\\n\", expect = \"+PONG\", port = 6379 }\n")
          .health;
  EXPECT_EQ(health.type, HealthCheck::Type::tcp);
  EXPECT_EQ(health.send, "PING\r\n");
  EXPECT_EQ(health.expect, "+PONG");
  EXPECT_EQ(health.port, 6379);
}

TEST(Policies, StatusesInEveryForm) {
  const auto statuses = [](const std::string& value) {
    return with("health = { expect_status = " + value + " }\n").health.expect_status;
  };
  EXPECT_THAT(statuses("\"any\""), IsEmpty());
  EXPECT_THAT(statuses("[]"), IsEmpty());
  EXPECT_THAT(statuses("200"), ElementsAre(StatusRange{200, 200}));
  EXPECT_THAT(statuses("\"204\""), ElementsAre(StatusRange{204, 204}));
  EXPECT_THAT(statuses("\"100-599\""), ElementsAre(StatusRange{100, 599}));
}

TEST(Policies, RetriedStatusesInEveryForm) {
  const auto statuses = [](const std::string& value) {
    return with("retry = { statuses = " + value + " }\n").retry.statuses;
  };
  EXPECT_THAT(statuses("[]"), IsEmpty());
  EXPECT_THAT(statuses("503"), ElementsAre(503));
  EXPECT_THAT(statuses("\"503\""), ElementsAre(503));
  EXPECT_THAT(statuses("\"500-504\""), ElementsAre(500, 501, 502, 503, 504));
  EXPECT_THAT(statuses("[599, \"502-503\"]"), ElementsAre(599, 502, 503));
  EXPECT_EQ(statuses("\"500-599\"").size(), 100u);
}

TEST(Policies, ACheckThatIsSwitchedOffIsNone) {
  const HealthCheck health = with("health = { enabled = false, path = \"/up\" }\n").health;
  EXPECT_EQ(health.type, HealthCheck::Type::none);
  EXPECT_EQ(with("health = { enabled = true }\n").health.type, HealthCheck::Type::http);
}

TEST(Policies, DefaultsYieldToWhatIsWritten) {
  EXPECT_EQ(with("health = { interval = \"200ms\" }\n").health.fast_interval, Milliseconds{200});
  EXPECT_EQ(with("health = { interval = \"20s\" }\n").health.fast_interval, Milliseconds{1'000});
  EXPECT_EQ(with("ejection = { time = \"1h\" }\n").ejection.time_max, Milliseconds{3'600'000});
  EXPECT_EQ(with("retry = { backoff = \"1s\" }\n").retry.backoff_max, Milliseconds{1'000});
}

// They are one server, and the rest of so long a list of mistakes is not shown.
TEST(Policies, AThousandServersAtOneAddressAreRefused) {
  std::string text = "[listener.web]\nbind = \"8080\"\n[backend.app]\nservers = [";
  for (int i = 0; i < 1'000; ++i) {
    text += "{ name = \"s" + std::to_string(i) + "\", address = \"127.0.0.1:9001\" },\n";
  }
  const auto loaded = load_text(text + "]\n", "weir.toml");
  ASSERT_FALSE(loaded);
  ASSERT_EQ(loaded.error().size(), 500u);
  for (std::size_t i = 0; i < 499; ++i) {
    ASSERT_EQ(loaded.error()[i].code, Code::duplicate_server) << i;
  }
  EXPECT_EQ(loaded.error().back().code, Code::too_many);
}

TEST(Policies, EveryKeyOfEjectionRetryQueueAndSticky) {
  const Backend backend = with(R"([backend.app.ejection]
consecutive_errors = 0
error_percent = 0
latency_factor = 0
min_requests = 1
window = "1s"
silence = "0s"
time = "2s"
time_max = "3s"
max_ejected_percent = 0
[backend.app.retry]
max = 0
statuses = [503, 504]
backoff = "0s"
backoff_max = "1s"
budget_percent = 0
try_timeout = "2s"
[backend.app.queue]
size = 0
timeout = "1s"
target = "0s"
target_interval = "2s"
priority_header = "X-Priority"
[backend.app.sticky]
cookie = "__Host-weir"
secret = "0123456789abcdef"
secure = true
max_age = "8760h"
)");
  const Ejection ejection = {true,
                             0,
                             0,
                             0,
                             1,
                             Milliseconds{1'000},
                             Milliseconds{0},
                             Milliseconds{2'000},
                             Milliseconds{3'000},
                             0};
  EXPECT_EQ(backend.ejection, ejection);
  const RetryPolicy retry = {
      true, 0, {503, 504}, Milliseconds{0}, Milliseconds{1'000}, 0, Milliseconds{2'000}};
  EXPECT_EQ(backend.retry, retry);
  const QueuePolicy queue = {0, Milliseconds{1'000}, Milliseconds{0}, Milliseconds{2'000},
                             "X-Priority"};
  EXPECT_EQ(backend.queue, queue);
  const Sticky sticky = {"__Host-weir", "0123456789abcdef", true, std::chrono::hours{8760}};
  EXPECT_EQ(backend.sticky, sticky);
  EXPECT_THAT(with("retry = { statuses = 502 }\n").retry.statuses, ElementsAre(502));
  EXPECT_FALSE(with("retry = { enabled = false }\n").retry.enabled);
  EXPECT_FALSE(with("ejection = { enabled = false }\n").ejection.enabled);
}

TEST(Policies, EveryKeyOfAServer) {
  const Config config = must_load(kListener + std::string(R"([backend.app]
servers = [
  { address = "app:80", name = "a", weight = 0, priority = 3, limit = 5 },
  { address = "srv:_http._tcp.app", backup = true },
  { address = "9001", backup = false },
]
)"));
  const auto& servers = config.backends.at(0).servers;
  ASSERT_EQ(servers.size(), 3u);
  EXPECT_EQ(servers[0].name, "a");
  EXPECT_EQ(servers[0].host, (HostName{"app", 80}));
  EXPECT_EQ(servers[0].weight, 0u);
  EXPECT_EQ(servers[0].priority, 3u);
  EXPECT_EQ(servers[0].limit, 5u);
  EXPECT_TRUE(servers[1].host->srv());
  EXPECT_EQ(servers[1].priority, 9u);
  EXPECT_EQ(servers[1].limit, std::nullopt);
  EXPECT_EQ(servers[2].host, std::nullopt);
  EXPECT_EQ(servers[2].priority, 0u);
}

TEST(Policies, EveryKeyOfLimitsAndRoutes) {
  const Config config = must_load(R"([listener.web]
bind = "8080"
limits = ["each", "all"]
[limit.each]
rate = "100/s"
[limit.all]
rate = "600/min"
burst = 1
key = "total"
[limit.key]
rate = "5/h"
key = "Header: X-Key"
keys_max = 16777216
[backend.a]
servers = ["9001"]
[backend.b]
servers = ["9002"]
[[route]]
backends = [{ backend = "a", weight = 1000 }, { backend = "b", weight = 0 }]
mirror = { backend = "b", percent = 5 }
limits = ["key", "each"]
priority = 3
)");
  EXPECT_THAT(config.listeners.at(0).limits, ElementsAre("each", "all"));
  using Key = RateLimit::Key;
  const Milliseconds minute{60'000};
  EXPECT_THAT(config.limits,
              ElementsAre(RateLimit{"each", Key::client, "", 100, Milliseconds{1'000}, 100, 65'536},
                          RateLimit{"all", Key::total, "", 600, minute, 1, 65'536},
                          RateLimit{"key", Key::header, "X-Key", 5, 60 * minute, 5, 16'777'216}));
  const Route& route = config.routes.at(0);
  EXPECT_THAT(route.backends, ElementsAre(RouteBackend{"a", 1000}, RouteBackend{"b", 0}));
  EXPECT_EQ(route.mirror, (Mirror{"b", 5}));
  EXPECT_THAT(route.limits, ElementsAre("key", "each"));
  EXPECT_EQ(route.priority, 3u);
}

TEST(Policies, ShortFormsOfARoute) {
  const Config config = must_load(kListener + std::string(R"([backend.a]
servers = ["9001"]
[backend.b]
servers = ["9002"]
[[route]]
path = "/x"
backends = ["a", "b"]
[[route]]
backend = "a"
mirror = "b"
)"));
  EXPECT_THAT(config.routes.at(0).backends,
              ElementsAre(RouteBackend{"a", 1}, RouteBackend{"b", 1}));
  EXPECT_EQ(config.routes.at(0).mirror, std::nullopt);
  EXPECT_EQ(config.routes.at(0).priority, 1u);
  EXPECT_EQ(config.routes.at(1).mirror, (Mirror{"b", 100}));
}

}  // namespace
}  // namespace weir::config
