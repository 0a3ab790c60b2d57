#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "../repetitions.h"
#include "cases.h"

namespace weir::config {
namespace {

using namespace std::string_literals;
using test::must_load;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kSmallest = R"([listener.web]
bind = "8080"
[backend.app]
servers = ["9001"]
)";

std::vector<Diagnostic> must_refuse(const std::string& text) {
  auto loaded = load_text(text, "weir.toml");
  EXPECT_FALSE(loaded) << text;
  return loaded ? std::vector<Diagnostic>{} : loaded.error();
}

TEST(Load, TheSmallestFileHasDefaultsAndOneRoute) {
  const Config config = must_load(kSmallest);
  EXPECT_EQ(config.runtime.workers, std::nullopt);
  EXPECT_EQ(config.runtime.trigger, Trigger::edge);
  EXPECT_EQ(config.runtime.shutdown_grace, Milliseconds{30'000});
  EXPECT_EQ(config.admin, std::nullopt);
  EXPECT_EQ(config.log.access, "");
  ASSERT_EQ(config.listeners.size(), 1u);
  const Listener& listener = config.listeners[0];
  EXPECT_EQ(listener.name, "web");
  EXPECT_EQ(listener.bind[0].text(), "0.0.0.0:8080");
  EXPECT_EQ(listener.max_connections, std::nullopt);
  EXPECT_TRUE(listener.forwarded.x_forwarded);
  EXPECT_FALSE(listener.forwarded.forwarded);
  EXPECT_FALSE(listener.forwarded.via);
  EXPECT_EQ(listener.timeouts.client_head, Milliseconds{10'000});
  EXPECT_EQ(listener.timeouts.client_idle, Milliseconds{60'000});
  EXPECT_EQ(listener.timeouts.client_body, Milliseconds{30'000});
  ASSERT_EQ(config.backends.size(), 1u);
  const Backend& backend = config.backends[0];
  EXPECT_EQ(backend.balance, Balance::p2c);
  EXPECT_EQ(backend.unavailable_status, 503);
  EXPECT_EQ(backend.server_limit, std::nullopt);
  EXPECT_EQ(backend.timeouts.connect, Milliseconds{5'000});
  EXPECT_EQ(backend.timeouts.response_head, Milliseconds{60'000});
  EXPECT_EQ(backend.timeouts.response_body, Milliseconds{30'000});
  EXPECT_EQ(backend.timeouts.idle, Milliseconds{4'000});
  ASSERT_EQ(backend.servers.size(), 1u);
  EXPECT_EQ(backend.servers[0].name, "127.0.0.1:9001");
  EXPECT_EQ(backend.servers[0].weight, 1u);
  ASSERT_EQ(config.routes.size(), 1u);
  ASSERT_EQ(config.routes[0].backends.size(), 1u);
  EXPECT_EQ(config.routes[0].backends[0].backend, "app");
  EXPECT_EQ(config.routes[0].path, "/");
  EXPECT_EQ(config.routes[0].line, 0u);
  EXPECT_THAT(config.routes[0].listeners, IsEmpty());
}

constexpr const char* kEveryKey = R"(
[runtime]
workers = 3
trigger = "oneshot"
shutdown_grace = "0s"
user = "www-data"
group = "adm"
core_dumps = true
resolvers = ["9.9.9.9", "[2620:fe::fe]:5353", "53"]
[admin]
bind = "9900"
[log]
access = "-"
[listener.web]
bind = ["80", "[::]:80", "unix:/run/weir.sock"]
max_connections = 5000
x_forwarded = false
forwarded = true
via = true
trusted_proxies = ["10.0.0.0/8", "::1"]
client_head_timeout = "1s"
client_idle_timeout = "2s"
client_body_timeout = "3s"
[backend.app]
servers = ["unix:/run/app.sock", { address = "9002", name = "two", weight = 7 }]
balance = "p2c"
connect_timeout = "4ms"
response_head_timeout = "5m"
response_body_timeout = "6h"
idle_timeout = "7s"
unavailable_status = 599
server_limit = 8
[[route]]
listener = "web"
host = ["Example.com", "*.example.com"]
path = "=/exact"
methods = ["GET", "POST"]
backend = "app"
)";

TEST(Load, ReadsEveryKeyOfTheSingleTables) {
  const Config config = must_load(kEveryKey);
  EXPECT_EQ(config.runtime.workers, 3u);
  EXPECT_EQ(config.runtime.trigger, Trigger::oneshot);
  EXPECT_EQ(config.runtime.shutdown_grace, Milliseconds{0});
  EXPECT_EQ(config.runtime.user, "www-data");
  EXPECT_EQ(config.runtime.group, "adm");
  EXPECT_TRUE(config.runtime.core_dumps);
  ASSERT_EQ(config.runtime.resolvers.size(), 3u);
  EXPECT_EQ(config.runtime.resolvers[0].text(), "9.9.9.9:53");
  EXPECT_EQ(config.runtime.resolvers[1].text(), "[2620:fe::fe]:5353");
  EXPECT_EQ(config.runtime.resolvers[2].text(), "127.0.0.1:53");
  EXPECT_EQ(config.admin->text(), "127.0.0.1:9900");
  EXPECT_EQ(config.log.access, "-");
}

TEST(Load, ReadsEveryKeyOfAListener) {
  const Config config = must_load(kEveryKey);
  const Listener& listener = config.listeners.at(0);
  ASSERT_EQ(listener.bind.size(), 3u);
  EXPECT_EQ(listener.bind[1].text(), "[::]:80");
  EXPECT_EQ(listener.bind[2].text(), "unix:/run/weir.sock");
  EXPECT_EQ(listener.max_connections, 5000u);
  EXPECT_FALSE(listener.forwarded.x_forwarded);
  EXPECT_TRUE(listener.forwarded.forwarded);
  EXPECT_TRUE(listener.forwarded.via);
  ASSERT_EQ(listener.forwarded.trusted_proxies.size(), 2u);
  EXPECT_EQ(listener.forwarded.trusted_proxies[0].prefix_bits, 8);
  EXPECT_TRUE(listener.forwarded.trusted_proxies[1].ipv6);
  EXPECT_EQ(listener.timeouts.client_head, Milliseconds{1'000});
  EXPECT_EQ(listener.timeouts.client_idle, Milliseconds{2'000});
  EXPECT_EQ(listener.timeouts.client_body, Milliseconds{3'000});
}

TEST(Load, ReadsEveryKeyOfABackend) {
  const Config config = must_load(kEveryKey);
  const Backend& backend = config.backends.at(0);
  ASSERT_EQ(backend.servers.size(), 2u);
  EXPECT_EQ(backend.servers[0].address.family, Endpoint::Family::unix_path);
  EXPECT_EQ(backend.servers[1].name, "two");
  EXPECT_EQ(backend.servers[1].weight, 7u);
  EXPECT_EQ(backend.balance, Balance::p2c);
  EXPECT_EQ(backend.timeouts.connect, Milliseconds{4});
  EXPECT_EQ(backend.timeouts.response_head, Milliseconds{300'000});
  EXPECT_EQ(backend.timeouts.response_body, Milliseconds{21'600'000});
  EXPECT_EQ(backend.timeouts.idle, Milliseconds{7'000});
  EXPECT_EQ(backend.unavailable_status, 599);
  EXPECT_EQ(backend.server_limit, 8u);
}

TEST(Load, ReadsEveryKeyOfARoute) {
  const Config config = must_load(kEveryKey);
  const Route& route = config.routes.at(0);
  EXPECT_THAT(route.listeners, ElementsAre("web"));
  EXPECT_THAT(route.hosts, ElementsAre("example.com", "*.example.com"));
  EXPECT_EQ(route.path, "=/exact");
  EXPECT_THAT(route.methods, ElementsAre("GET", "POST"));
  EXPECT_EQ(route.backends, (std::vector<RouteBackend>{{"app", 1}}));
  EXPECT_EQ(route.line, 33u);
}

TEST(Load, KeepsWrittenOrder) {
  const Config config = must_load(R"(
[backend.zebra]
servers = ["9003", "9001", "9002"]
[listener.web]
bind = "8080"
[backend.ant]
servers = ["9001"]
[[route]]
path = "/z"
backend = "zebra"
[[route]]
backend = "ant"
)");
  EXPECT_EQ(config.backends.at(0).name, "zebra");
  EXPECT_EQ(config.backends.at(1).name, "ant");
  EXPECT_EQ(config.backends[0].servers[0].name, "127.0.0.1:9003");
  EXPECT_EQ(config.routes.at(0).path, "/z");
}

TEST(Load, TakesEveryTomlSpelling) {
  const Config config = must_load(
      "listener.web.bind = '8080'\n"
      "route = [{ backend = \"app\" }]\n"
      "[[backend.app.servers]]\naddress = \"9001\"\n"
      "[[backend.app.servers]]\naddress = \"\"\"9002\"\"\"\n"
      "[\"runtime\"]\n\"workers\" = \"auto\"\n");
  EXPECT_EQ(config.backends.at(0).servers.size(), 2u);
  EXPECT_EQ(config.runtime.workers, std::nullopt);
  EXPECT_EQ(config.routes.at(0).line, 2u);
}

TEST(Load, CharactersBeyondAsciiOutsideStringsAreShownAsTheyAre) {
  const auto found = must_refuse("[listener.web]\nbind = \"8080\"\n\u00E9t\u00E9 = \"x\"\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].span, (Span{3, 1, 1}));
  EXPECT_THAT(found[0].label, HasSubstr("saw '\u00E9'"));
  EXPECT_THAT(must_refuse("a = x!\u00A0\u3000\uFEFF\u1680\u2000!\n")[0].message, HasSubstr("x!"));
}

TEST(Load, TakesCarriageReturnsAndAByteOrderMark) {
  std::string text = "\xEF\xBB\xBF"s + kSmallest + "balance = \"p2d\"\n";
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) {
    text.replace(at, 1, "\r\n");
  }
  const auto found = must_refuse(text);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].span, (Span{5, 11, 5}));
  EXPECT_EQ(found[0].source, "balance = \"p2d\"");
  text.replace(text.find("p2d"), 3, "p2c");
  must_load(text);
  const auto first_line = must_refuse(
      "\xEF\xBB\xBF"
      "bind: 1\r\n");
  ASSERT_FALSE(first_line.empty());
  EXPECT_EQ(first_line[0].span, (Span{1, 5, 1}));
}

TEST(Load, RefusesWhatIsNoText) {
  const auto nul = must_refuse("a = 1\nb\0 = 2\n"s);
  ASSERT_EQ(nul.size(), 1u);
  EXPECT_EQ(nul[0].code, Code::not_text);
  EXPECT_EQ(nul[0].span, (Span{2, 2, 1}));
  const auto latin = must_refuse("# gr\xFC\xDF\n");
  ASSERT_EQ(latin.size(), 1u);
  EXPECT_EQ(latin[0].span, (Span{1, 5, 1}));
  EXPECT_THAT(must_refuse("\xFF\xFE[\0a\0]\0"s)[0].message, HasSubstr("UTF-16"));
  const auto large = must_refuse(std::string(kFileBytesMax + 1, '#'));
  ASSERT_EQ(large.size(), 1u);
  EXPECT_EQ(large[0].code, Code::unreadable_file);
  EXPECT_EQ(must_refuse(std::string(kFileBytesMax, '#'))[0].code, Code::nothing_to_do);
}

TEST(Load, AThousandServersOfOneAddressAreAFindingEach) {
  std::string text = "[listener.web]\nbind = \"8080\"\n[backend.app]\nservers = [\n";
  const std::string head = text;
  for (int i = 0; i < 400; ++i) text += "\"10.0.0.1:80\",\n";
  const auto all = must_refuse(text + "]\n");
  ASSERT_EQ(all.size(), 399u);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].code, Code::duplicate_server);
    EXPECT_EQ(all[i].span.line, i + 6);
    EXPECT_EQ(all[i].label, "first in line 5; remove one");
  }
  for (int i = 0; i < 600; ++i) text += "\"10.0.0.1:80\",\n";
  const auto capped = must_refuse(text + "]\n");
  EXPECT_EQ(capped.size(), 500u);
  EXPECT_EQ(capped.back().code, Code::too_many);
}

TEST(Load, StopsListingAtSomePoint) {
  std::string text = kSmallest;
  for (int i = 0; i < 2000; ++i) text += "[[route]]\nbackend = \"x" + std::to_string(i) + "\"\n";
  const auto found = must_refuse(text);
  EXPECT_EQ(found.size(), 500u);
  EXPECT_EQ(found.back().code, Code::too_many);
}

TEST(Load, ManyWarningsAreNoError) {
  std::string text = kSmallest;
  for (int i = 0; i < 2000; ++i) text += "[[route]]\nbackend = \"app\"\n";
  const auto loaded = load_text(text, "weir.toml");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.routes.size(), 2000u);
  EXPECT_EQ(loaded->warnings.size(), 500u);
}

TEST(Load, SurvivesNesting) {
  const auto repeat = [](const std::string& piece, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += piece;
    return out;
  };
  must_refuse("x = " + repeat("[", 500'000));
  must_refuse("x = " + repeat("{a=", 500'000));
  must_refuse("[" + repeat("a.", 500'000) + "a]\n");
  must_refuse(repeat("a.", 500'000) + "a = 1\n");
  must_refuse(repeat("'a'.", 500'000) + "a = 1\n");
  // Dots behind a string that only seems open, behind an odd number of quotes, behind a comment.
  must_refuse("x = { a = \"\"\"\n'\"\"\", " + repeat("b.", 500'000) + "b = 1 }\n");
  must_refuse("x = { a = \"\"\"\"\"\"\", " + repeat("b.", 500'000) + "b = 1 }\n");
  must_refuse("x = { a = '''''''''', " + repeat("b.", 500'000) + "b = 1 }\n");
  must_refuse("x = { a = \"\\\\\", " + repeat("b.", 500'000) + "b = 1 }\n");
  must_refuse("x = [ 1, # '\n{ " + repeat("b.", 500'000) + "b = 1 } ]\n");
  // The most that is let through.
  must_refuse("[" + repeat("a.", 60) + "a]\n" + repeat(repeat("a.", 60) + "a = [ {\\\n", 31));
  // Strings and comments may have as many dots as they like.
  must_load(kSmallest + "# "s + repeat(".", 10'000) + "\n");
}

TEST(Load, LongLinesAreQuotedInPart) {
  std::string text = "[listener.web]\nbind = \"8080\"\n[backend.app]\nservers = [";
  for (int i = 0; i < 20'000; ++i) text += "\"x:0\", ";
  const auto found = must_refuse(text + "]\n");
  ASSERT_EQ(found.size(), 500u);
  for (const Diagnostic& one : found) ASSERT_LE(one.source.size(), 404u);
  EXPECT_EQ(found[400].source.substr(found[400].span.column - found[400].source_column, 5),
            "\"x:0\"");
}

TEST(Load, FilesOfAllEndingsAreRead) {
  std::string text = kSmallest;
  text.pop_back();
  must_load(text);
  EXPECT_EQ(must_refuse(text + "\nbalance =")[0].code, Code::syntax);
  EXPECT_EQ(must_refuse(text + "\nbalance = \"")[0].code, Code::syntax);
  EXPECT_EQ(must_refuse(text + "\nbalance = \"\"\"")[0].code, Code::syntax);
  EXPECT_EQ(must_refuse(text + "\n[")[0].code, Code::syntax);
}

TEST(Examples, AreValidWithoutAWarning) {
  const Config config = must_load(test::read_file("examples/weir.toml"));
  EXPECT_GE(config.routes.size(), 2u);
  must_load(test::read_file("examples/minimal.toml"));
  const Config tcp = must_load(test::read_file("examples/tcp.toml"));
  EXPECT_EQ(tcp.listeners.at(0).mode, ListenerMode::tcp);
}

// Every byte of the example is replaced, and removed or preceded by another: whatever that gives,
// the answer is a configuration or at least one placed error, and both renderings work.
TEST(Examples, SurviveEveryMutation) {
  const std::string original = test::read_file("examples/weir.toml");
  ASSERT_GT(original.size(), 500u);
  constexpr std::array<char, 14> kBytes = {'\0', '\n', '\r', '"', '\'', '[',  ']',
                                           '{',  '}',  '=',  '#', '.',  '\\', '\xFF'};
  std::size_t refused = 0;
  const auto check = [&](const std::string& text) {
    const auto loaded = load_text(text, "weir.toml");
    if (loaded) {
      EXPECT_EQ(count(loaded->warnings).errors, 0u);
      return;
    }
    ++refused;
    EXPECT_GT(count(loaded.error()).errors, 0u);
    for (const Diagnostic& found : loaded.error()) {
      EXPECT_FALSE(found.message.empty());
      EXPECT_TRUE(found.span.line == 0 || found.span.column >= 1);
    }
    if (refused % 16 == 0) {
      EXPECT_THAT(render_text(loaded.error(), {}), HasSubstr("-->"));
      EXPECT_THAT(render_json(loaded.error()), HasSubstr("severity"));
    }
  };
  // Odd, so that every kind of mutation comes.
  constexpr std::size_t kStep = 5 / weir::test::repetitions(5);
  static_assert(kStep % 2 == 1);
  for (std::size_t at = 0; at < original.size(); at += kStep) {
    std::string text = original;
    text[at] = kBytes[at % kBytes.size()];
    check(text);
    if (at % 2 == 0) check(original.substr(0, at) + original.substr(at + 1));
    if (at % 2 == 1) {
      check(original.substr(0, at) + kBytes[(at / 3) % kBytes.size()] + original.substr(at));
    }
    if (at % 8 == 0) check(original.substr(0, at));
  }
  EXPECT_GT(refused, original.size() / kStep / 2);
}

}  // namespace
}  // namespace weir::config
