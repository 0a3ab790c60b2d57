// What a reload says about two configurations.
#include "control/reload_diff.h"

#include <gtest/gtest.h>

#include <string>

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
  EXPECT_EQ(said_with("balance = \"p2c\""), "[backend.app] balance round_robin -> p2c");
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

}  // namespace
}  // namespace weir::control
