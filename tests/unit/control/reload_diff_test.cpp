// What a reload says about two configurations.
#include "control/reload_diff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "config/load.h"

namespace weir::control {
namespace {

config::Config parsed(const std::string& text) {
  auto loaded = config::load_text(text, "weir.toml");
  EXPECT_TRUE(loaded) << text;
  return loaded ? loaded->config : config::Config{};
}

const std::string kFile = R"([listener.web]
bind = "127.0.0.1:8080"
[[route]]
backend = "app"
[backend.app]
servers = ["127.0.0.1:9001", { address = "127.0.0.1:9002", name = "b" }]
)";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

// What is said when `what` becomes `with` in the file.
std::string said(const std::string& what, const std::string& with) {
  return describe_changes(parsed(kFile), parsed(replaced(kFile, what, with)));
}
std::string said_with(const std::string& last_line) {
  return describe_changes(parsed(kFile), parsed(kFile + last_line + "\n"));
}

TEST(DescribeChanges, NothingChanged) {
  EXPECT_EQ(describe_changes(parsed(kFile), parsed(kFile)), "nothing changed");
  EXPECT_EQ(said("[[route]]", "# A comment moves the routes down.\n[[route]]"), "nothing changed");
}

TEST(DescribeChanges, NamesServers) {
  EXPECT_EQ(said("\"127.0.0.1:9001\"", "\"127.0.0.1:9003\", \"127.0.0.1:9004\""),
            "[backend.app] added 127.0.0.1:9003, added 127.0.0.1:9004, removed 127.0.0.1:9001");
  EXPECT_EQ(said("name = \"b\"", "name = \"b\", weight = 5"), "[backend.app] weight of b 1 -> 5");
  EXPECT_EQ(said("127.0.0.1:9002", "127.0.0.1:9005"),
            "[backend.app] address of b 127.0.0.1:9002 -> 127.0.0.1:9005");
}

TEST(DescribeChanges, NamesTheKeysOfABackend) {
  EXPECT_EQ(said_with("balance = \"first\""), "[backend.app] balance p2c -> first");
  EXPECT_EQ(said_with("connect_timeout = \"250ms\""), "[backend.app] connect_timeout 5s -> 250ms");
  EXPECT_EQ(said_with("response_head_timeout = \"1s\""),
            "[backend.app] response_head_timeout 60s -> 1s");
  EXPECT_EQ(said_with("response_body_timeout = \"1s\""),
            "[backend.app] response_body_timeout 30s -> 1s");
  EXPECT_EQ(said_with("idle_timeout = \"1s\""), "[backend.app] idle_timeout 4s -> 1s");
  EXPECT_EQ(said_with("unavailable_status = 500"), "[backend.app] unavailable_status 503 -> 500");
  EXPECT_EQ(said_with("server_limit = 7"), "[backend.app] server_limit none -> 7");
}

TEST(DescribeChanges, NamesTheOtherTables) {
  EXPECT_EQ(said("8080\"\n",
                 "8080\"\nclient_head_timeout = \"1s\"\nclient_idle_timeout = \"2s\"\n"
                 "client_body_timeout = \"3s\"\n"),
            "[listener.web] client_head_timeout 10s -> 1s, client_idle_timeout 60s -> 2s, "
            "client_body_timeout 30s -> 3s");
  EXPECT_EQ(said("8080\"\n", "8080\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n"),
            "[listener.web] forwarding headers changed");
  EXPECT_EQ(said("8080\"\n",
                 "8080\"\ntunnel_idle_timeout = \"2s\"\ntcp_keepalive = \"0s\"\n"
                 "accept_proxy = [\"10.0.0.0/8\"]\n"),
            "[listener.web] tunnel_idle_timeout 3600s -> 2s, accept_proxy changed");
  EXPECT_EQ(said("[[route]]\n", "[[route]]\nupgrade = []\n"), "[[route]] line 3 changed");
  EXPECT_EQ(said("[[route]]\n", "[[route]]\nconnect = \"a.b:1\"\n"), "[[route]] line 3 changed");
  EXPECT_EQ(said("[listener.web]", "[runtime]\nshutdown_grace = \"5s\"\n[listener.web]"),
            "[runtime] shutdown_grace 30s -> 5s");
  EXPECT_EQ(said("[[route]]\n", "[[route]]\npath = \"/a\"\n"), "[[route]] line 3 changed");
  EXPECT_EQ(said("[[route]]\n", "[[route]]\npath = \"/a\"\nbackend = \"app\"\n[[route]]\n"),
            "[[route]] 1 -> 2");
  EXPECT_EQ(said_with("[backend.more]\nservers = [\"9009\"]\n[[route]]\nhost = \"a.b\"\n"
                      "backend = \"more\"\n"),
            "[[route]] 1 -> 2; [backend.more] added");
  const std::string renamed = replaced(replaced(kFile, "backend = \"app\"", "backend = \"new\""),
                                       "[backend.app]", "[backend.new]");
  EXPECT_EQ(describe_changes(parsed(kFile), parsed(renamed)),
            "[[route]] line 3 changed; [backend.new] added; [backend.app] removed");
}

TEST(DescribeChanges, NamesEveryNewKeyOfABackend) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"hash_load_percent = 0", "hash_load_percent 150 -> 0"},
      {"request_timeout = \"9s\"", "request_timeout none -> 9s"},
      {"limit = 7", "limit none -> 7"},
      {"server_pending_limit = 7", "server_pending_limit 1024 -> 7"},
      {"server_retry_limit = 7", "server_retry_limit 64 -> 7"},
      {"slow_start = \"0s\"", "slow_start 10s -> 0s"},
      {"panic_percent = 7", "panic_percent 10 -> 7"},
      {"tcp_keepalive = \"7s\"", "tcp_keepalive 60s -> 7s"},
      {"send_proxy = 2", "send_proxy none -> 2"},
      {"balance = \"header_hash\"\nhash_key = \"X-A\"",
       "balance p2c -> header_hash, hash_key none -> X-A"},
  };
  for (const auto& [line, change] : cases) {
    EXPECT_EQ(said_with(line), "[backend.app] " + change);
  }
}

// What is said when the table `name` of the backend gets one more line; both tables have `common`.
std::string said_in(const std::string& name, const std::string& common, const std::string& line) {
  const std::string table = kFile + "[backend.app." + name + "]\n" + common + "\n";
  const std::string text = describe_changes(parsed(table), parsed(table + line + "\n"));
  const std::string header = "[backend.app." + name + "] ";
  EXPECT_TRUE(text.starts_with(header)) << text;
  return text.substr(std::min(header.size(), text.size()));
}

TEST(DescribeChanges, NamesEveryKeyOfAHealthCheck) {
  const auto http = [](const std::string& line) { return said_in("health", "", line); };
  EXPECT_EQ(http("enabled = false"), "type http -> none");
  EXPECT_EQ(http("type = \"tcp\""), "type http -> tcp");
  EXPECT_EQ(http("method = \"HEAD\""), "method GET -> HEAD");
  EXPECT_EQ(http("path = \"/up\""), "path / -> /up");
  EXPECT_EQ(http("host = \"a.b\""), "host none -> a.b");
  EXPECT_EQ(http("headers = { X-A = \"b\" }"), "headers changed");
  EXPECT_EQ(http("expect_status = 200"), "expect_status changed");
  EXPECT_EQ(http("expect_body = \"\\u001b[2J\""), "expect_body changed");
  EXPECT_EQ(http("port = 81"), "port none -> 81");
  EXPECT_EQ(http("interval = \"9s\""), "interval 5s -> 9s");
  EXPECT_EQ(http("fast_interval = \"20ms\""), "fast_interval 1s -> 20ms");
  EXPECT_EQ(http("timeout = \"9s\""), "timeout 2s -> 9s");
  EXPECT_EQ(http("rise = 9"), "rise 2 -> 9");
  EXPECT_EQ(http("fall = 9"), "fall 3 -> 9");
  EXPECT_EQ(http("every_requests = 9"), "every_requests 0 -> 9");
  EXPECT_EQ(http("load_report = true"), "load_report false -> true");
  EXPECT_EQ(said_in("health", "type = \"tcp\"", "send = \"PING\""), "send changed");
  EXPECT_EQ(said_in("health", "type = \"tcp\"", "expect = \"PONG\""), "expect changed");
}

TEST(DescribeChanges, NamesEveryKeyOfThePolicies) {
  const auto ejection = [](const std::string& line) { return said_in("ejection", "", line); };
  EXPECT_EQ(ejection("enabled = false"), "enabled true -> false");
  EXPECT_EQ(ejection("consecutive_errors = 9"), "consecutive_errors 5 -> 9");
  EXPECT_EQ(ejection("error_percent = 9"), "error_percent 50 -> 9");
  EXPECT_EQ(ejection("latency_factor = 9"), "latency_factor 5 -> 9");
  EXPECT_EQ(ejection("min_requests = 9"), "min_requests 20 -> 9");
  EXPECT_EQ(ejection("window = \"9s\""), "window 10s -> 9s");
  EXPECT_EQ(ejection("time = \"3s\""), "time 2s -> 3s");
  EXPECT_EQ(ejection("time_max = \"90s\""), "time_max 300s -> 90s");
  EXPECT_EQ(ejection("max_ejected_percent = 9"), "max_ejected_percent 50 -> 9");
  const auto retry = [](const std::string& line) { return said_in("retry", "", line); };
  EXPECT_EQ(retry("enabled = false"), "enabled true -> false");
  EXPECT_EQ(retry("max = 1"), "max 3 -> 1");
  EXPECT_EQ(retry("statuses = [503]"), "statuses changed");
  EXPECT_EQ(retry("backoff = \"9ms\""), "backoff 25ms -> 9ms");
  EXPECT_EQ(retry("backoff_max = \"9s\""), "backoff_max 250ms -> 9s");
  EXPECT_EQ(retry("budget_percent = 9"), "budget_percent 20 -> 9");
  EXPECT_EQ(retry("try_timeout = \"9s\""), "try_timeout none -> 9s");
  const auto queue = [](const std::string& line) { return said_in("queue", "", line); };
  EXPECT_EQ(queue("size = 0"), "size 1000 -> 0");
  EXPECT_EQ(queue("timeout = \"9s\""), "timeout 5s -> 9s");
  EXPECT_EQ(queue("target = \"0s\""), "target 500ms -> 0s");
  EXPECT_EQ(queue("target_interval = \"9s\""), "target_interval 1s -> 9s");
  EXPECT_EQ(queue("priority_header = \"X-P\""), "priority_header none -> X-P");
  const auto sticky = [](const std::string& line) {
    return said_in("sticky", "cookie = \"a\"", line);
  };
  EXPECT_EQ(sticky("secret = \"0123456789abcdef\""), "secret changed");
  EXPECT_EQ(sticky("secure = true"), "secure false -> true");
  EXPECT_EQ(sticky("max_age = \"48h\""), "max_age none -> 172800s");
  EXPECT_EQ(said_with("sticky = { cookie = \"a\" }"), "[backend.app.sticky] cookie none -> a");
}

TEST(DescribeChanges, NamesWhatAServerMayAlsoHave) {
  EXPECT_EQ(said("name = \"b\"", "name = \"b\", priority = 2, limit = 3"),
            "[backend.app] priority of b 0 -> 2, limit of b none -> 3");
  EXPECT_EQ(said("name = \"b\"", "name = \"b\", backup = true"),
            "[backend.app] priority of b 0 -> 9");
  EXPECT_EQ(said("127.0.0.1:9002", "app:9002"),
            "[backend.app] address of b 127.0.0.1:9002 -> app:9002");
  EXPECT_EQ(said("\"127.0.0.1:9001\"", "\"srv:_a._tcp.b\""),
            "[backend.app] added srv:_a._tcp.b, removed 127.0.0.1:9001");
}

const std::string kLimits = kFile + R"([[route]]
path = "/x"
backend = "app"
limits = "api"
[limit.api]
rate = "10/s"
)";
std::string said_of_limits(const std::string& what, const std::string& with) {
  return describe_changes(parsed(kLimits), parsed(replaced(kLimits, what, with)));
}

TEST(DescribeChanges, NamesLimits) {
  EXPECT_EQ(said_of_limits("\"10/s\"", "\"10/min\""), "[limit.api] rate 10/1s -> 10/60s");
  EXPECT_EQ(said_of_limits("\"10/s\"", "\"10/s\"\nburst = 3"), "[limit.api] burst 10 -> 3");
  EXPECT_EQ(said_of_limits("\"10/s\"", "\"10/s\"\nkeys_max = 3"),
            "[limit.api] keys_max 65536 -> 3");
  EXPECT_EQ(said_of_limits("\"10/s\"", "\"10/s\"\nkey = \"total\""),
            "[limit.api] key client -> total");
  EXPECT_EQ(said_of_limits("\"10/s\"", "\"10/s\"\nkey = \"header:X-Key\""),
            "[limit.api] key client -> header:X-Key");
  EXPECT_EQ(said_of_limits("limits = \"api\"\n[limit.api]", "limits = \"web\"\n[limit.web]"),
            "[[route]] line 7 changed; [limit.web] added; [limit.api] removed");
  EXPECT_EQ(said_of_limits("8080\"\n", "8080\"\nlimits = \"api\"\n"),
            "[listener.web] limits changed");
}

TEST(DescribeChanges, NamesRoutesThatGoElsewhere) {
  const std::string to_app = "backend = \"app\"\n[backend";
  const auto route = [&](const std::string& line) { return said(to_app, line + "\n[backend"); };
  EXPECT_EQ(route("backends = [{ backend = \"app\", weight = 2 }]"), "[[route]] line 3 changed");
  EXPECT_EQ(route("backends = [\"app\"]"), "nothing changed");
  EXPECT_EQ(route("backend = \"app\"\nmirror = \"app\""), "[[route]] line 3 changed");
  EXPECT_EQ(route("backend = \"app\"\npriority = 0"), "[[route]] line 3 changed");
}

TEST(DescribeChanges, NamesResolvers) {
  EXPECT_EQ(said("[listener.web]", "[runtime]\nresolvers = [\"9.9.9.9\"]\n[listener.web]"),
            "[runtime] resolvers changed");
}

TEST(DescribeChanges, StaysShort) {
  std::string many = "127.0.0.1:9001\"";
  for (int i = 0; i < 100; ++i) many += ", \"10.0.0.1:" + std::to_string(1000 + i) + "\"";
  const std::string text = said("127.0.0.1:9001\"", many);
  EXPECT_TRUE(text.ends_with(", added 10.0.0.1:1007 and 92 more")) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(NeedsRestart, IsNotToldTwice) {
  const config::Config next = parsed(replaced(kFile, "8080\"", "8081\""));
  EXPECT_EQ(needs_restart(parsed(kFile), next).size(), 1u);
  EXPECT_EQ(describe_changes(parsed(kFile), next), "nothing changed");
}

TEST(NeedsRestart, ForUserGroupAndCoreDumps) {
  const auto sentences = [](const std::string& lines) {
    return needs_restart(parsed(kFile), parsed("[runtime]\n" + lines + "\n" + kFile));
  };
  const std::vector<std::string> who = {"[runtime] user or group changed; weir stays who it is"};
  EXPECT_EQ(sentences("user = \"www-data\""), who);
  EXPECT_EQ(sentences("user = \"www-data\"\ngroup = \"adm\""), who);
  EXPECT_EQ(sentences("core_dumps = true"),
            std::vector<std::string>{"[runtime] core_dumps changed"});
  const std::string user = "[runtime]\nuser = \"www-data\"\n";
  EXPECT_EQ(needs_restart(parsed(user + kFile), parsed(user + "group = \"adm\"\n" + kFile)), who);
}

TEST(KeepFixedParts, KeepsUserGroupAndCoreDumps) {
  const std::string lines = "[runtime]\nuser = \"a\"\ngroup = \"b\"\ncore_dumps = true\n";
  const config::Config kept = keep_fixed_parts(parsed(lines + kFile), parsed(kFile));
  EXPECT_EQ(kept.runtime.user, "a");
  EXPECT_EQ(kept.runtime.group, "b");
  EXPECT_TRUE(kept.runtime.core_dumps);
}

TEST(KeepFixedParts, TakesTheLimitsOfAListener) {
  const config::Config next = parsed(replaced(kLimits, "8080\"\n", "8080\"\nlimits = \"api\"\n"));
  EXPECT_EQ(keep_fixed_parts(parsed(kLimits), next).listeners[0].limits,
            std::vector<std::string>{"api"});
}

// The second listener goes on after the file has lost it.
TEST(KeepFixedParts, KeepsTheLimitsOfAListenerThatIsGone) {
  const std::string second = "[listener.old]\nbind = \"127.0.0.1:8081\"\nlimits = [\"a\", \"b\"]\n";
  const std::string limits = "[limit.a]\nrate = \"1/s\"\n[limit.b]\nrate = \"2/s\"\n";
  const config::Config running = parsed(kFile + second + limits);
  const config::Config kept = keep_fixed_parts(running, parsed(kFile));
  ASSERT_EQ(kept.listeners.size(), 2u);
  EXPECT_EQ(kept.listeners[1].limits, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(kept.limits, running.limits);
  // One has become a limit per header, which no listener can have; of the other the new one counts.
  const std::string changed =
      "[limit.a]\nrate = \"1/s\"\nkey = \"header:X\"\n[limit.b]\nrate = \"9/s\"\n";
  const config::Config mixed = keep_fixed_parts(running, parsed(kFile + changed));
  EXPECT_EQ(mixed.listeners[1].limits, std::vector<std::string>{"b"});
  EXPECT_EQ(mixed.limits.size(), 2u);
}

const std::string kTcp = R"([listener.db]
bind = "127.0.0.1:5432"
mode = "tcp"
backend = "db"
[listener.web]
bind = "127.0.0.1:8080"
[[route]]
backend = "app"
[backend.app]
servers = ["127.0.0.1:9001"]
[backend.db]
servers = ["127.0.0.1:9002"]
)";
const std::string kOnlyWeb = kTcp.substr(kTcp.find("[listener.web]"),
                                         kTcp.find("[backend.db]") - kTcp.find("[listener.web]"));

TEST(DescribeChanges, NamesWhatATcpListenerUses) {
  const auto change = [](const std::string& what, const std::string& with) {
    return describe_changes(parsed(kTcp), parsed(replaced(kTcp, what, with)));
  };
  EXPECT_EQ(change("backend = \"db\"", "backend = \"app\""), "[listener.db] backend db -> app");
  EXPECT_EQ(change("[[route]]", "[[route]]\nsni = \"a.b\"\nbackend = \"db\"\n[[route]]"),
            "[[route]] 1 -> 2");
}

TEST(NeedsRestart, ForAnotherMode) {
  const config::Config running = parsed(kTcp);
  const config::Config next = parsed(replaced(kTcp, "mode = \"tcp\"\nbackend = \"db\"\n", ""));
  EXPECT_EQ(needs_restart(running, next),
            std::vector<std::string>{"[listener.db] mode changed; the old one stays"});
  EXPECT_EQ(describe_changes(running, next), "nothing changed");
  EXPECT_EQ(needs_restart(next, running),
            std::vector<std::string>{"[listener.db] mode changed; the old one stays"});
  EXPECT_TRUE(needs_restart(running, running).empty());
  EXPECT_EQ(needs_restart(running,
                          parsed(replaced(kTcp, "5432\"\n", "5432\"\ntcp_keepalive = \"7s\"\n"))),
            std::vector<std::string>{"[listener.db] tcp_keepalive changed"});
}

TEST(NeedsRestart, SaysWhenTheOldModeIsLeftWithoutARoute) {
  const std::string without = replaced(kTcp, "[[route]]\nbackend = \"app\"\n", "");
  const config::Config next =
      parsed(replaced(without, "8080\"\n", "8080\"\nmode = \"tcp\"\nbackend = \"app\"\n"));
  EXPECT_EQ(needs_restart(parsed(kTcp), next),
            std::vector<std::string>{"[listener.web] mode changed; the old one stays, and without "
                                     "a route every request gets 404"});
}

TEST(NeedsRestart, ForAnotherWayToAccept) {
  const config::Config running = parsed(kFile);
  const config::Config next = parsed(replaced(kFile, "8080\"\n", "8080\"\ndefer_accept = true\n"));
  EXPECT_EQ(needs_restart(running, next),
            std::vector<std::string>{"[listener.web] defer_accept changed"});
  EXPECT_FALSE(keep_fixed_parts(running, next).listeners.front().defer_accept);
}

TEST(KeepFixedParts, TakesEveryOtherKeyOfAListener) {
  const std::string lines =
      "accept_proxy = \"10.0.0.0/8\"\ntcp_keepalive = \"7s\"\ntunnel_idle_timeout = \"8s\"\n";
  const config::Config next = parsed(replaced(
      kTcp, "127.0.0.1:5432\"\nmode = \"tcp\"\nbackend = \"db\"\n",
      "127.0.0.1:5433\"\nmode = \"tcp\"\nbackend = \"app\"\nmax_connections = 7\n" + lines));
  const config::Listener kept = keep_fixed_parts(parsed(kTcp), next).listeners.at(0);
  EXPECT_EQ(kept.bind.at(0).text(), "127.0.0.1:5432");
  EXPECT_FALSE(kept.max_connections);
  EXPECT_EQ(kept.mode, config::ListenerMode::tcp);
  EXPECT_EQ(kept.backend, "app");
  EXPECT_EQ(kept.accept_proxy.size(), 1u);
  EXPECT_EQ(kept.tcp_keepalive, config::Milliseconds{60'000});  // Of the listening socket.
  EXPECT_EQ(kept.timeouts.tunnel_idle, config::Milliseconds{8'000});
}

// It goes on relaying, although the file has lost both.
TEST(KeepFixedParts, KeepsTheBackendOfATcpListenerThatIsGone) {
  const config::Config kept = keep_fixed_parts(parsed(kTcp), parsed(kOnlyWeb));
  ASSERT_EQ(kept.listeners.size(), 2u);
  EXPECT_EQ(kept.listeners[0].backend, "db");
  ASSERT_EQ(kept.backends.size(), 2u);
  EXPECT_EQ(kept.backends[1].name, "db");
  EXPECT_EQ(kept.backends[1].servers.at(0).name, "127.0.0.1:9002");
  const std::string changed = kOnlyWeb + "[[route]]\nhost = \"a.b\"\nbackend = \"db\"\n" +
                              "[backend.db]\nservers = [\"127.0.0.1:9003\"]\n";
  const config::Config newer = keep_fixed_parts(parsed(kTcp), parsed(changed));
  ASSERT_EQ(newer.backends.size(), 2u);
  EXPECT_EQ(newer.backends[1].servers.at(0).name, "127.0.0.1:9003");
}

TEST(KeepFixedParts, KeepsAListenerWhoseModeChangesAsItIs) {
  const std::string limits = "[limit.a]\nrate = \"1/s\"\n";
  const config::Config running =
      parsed(replaced(kTcp, "backend = \"db\"\n", "backend = \"db\"\nlimits = \"a\"\n") + limits);
  const std::string http = "[listener.db]\nbind = \"127.0.0.1:5432\"\nvia = true\n" + kOnlyWeb;
  const config::Config kept = keep_fixed_parts(running, parsed(http));
  EXPECT_EQ(kept.listeners.at(0).mode, config::ListenerMode::tcp);
  EXPECT_EQ(kept.listeners[0].backend, "db");
  EXPECT_FALSE(kept.listeners[0].forwarded.via);
  EXPECT_EQ(kept.listeners[0].limits, std::vector<std::string>{"a"});
  EXPECT_EQ(kept.limits.size(), 1u);
  EXPECT_EQ(kept.backends.size(), 2u);
  const config::Config back = keep_fixed_parts(parsed(http), running);
  EXPECT_EQ(back.listeners.at(0).mode, config::ListenerMode::http);
  EXPECT_EQ(back.listeners[0].backend, "");
  EXPECT_TRUE(back.listeners[0].forwarded.via);
}

}  // namespace
}  // namespace weir::control
