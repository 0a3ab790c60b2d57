// NameWatch without a resolver and without a clock: the test answers and says what time it is.
#include "control/name_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace weir::control {
namespace {

using os::LookupStatus;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

config::Server fixed(const std::string& host, std::uint16_t port) {
  config::Server server;
  server.address = {config::Endpoint::Family::ipv4, host, port};
  server.name = server.address.text();
  return server;
}
config::Server named(const std::string& name, std::uint16_t port) {
  config::Server server;
  server.host = config::HostName{name, port};
  server.name = port == 0 ? "srv:" + name : name + ":" + std::to_string(port);
  return server;
}
config::Backend backend(const std::string& name, std::vector<config::Server> servers) {
  config::Backend made;
  made.name = name;
  made.servers = std::move(servers);
  return made;
}

os::ResolvedAddress at(const std::string& ip, const std::string& target = "web") {
  return {0, 0, 0, ip, target};
}

class NameWatchTest : public testing::Test {
 protected:
  void follow(std::vector<config::Backend> backends) {
    config.backends = std::move(backends);
    watch.follow(config, now_ms);
  }
  // Answers the oldest open question.
  void answer(std::vector<os::ResolvedAddress> addresses, std::uint32_t ttl_s = 30,
              std::vector<os::UnknownPart> unknown = {}) {
    ASSERT_FALSE(asked.empty());
    watch.answered({asked.front(), LookupStatus::ok, addresses, unknown, ttl_s}, now_ms);
    asked.erase(asked.begin());
  }
  void fail(LookupStatus why) {
    ASSERT_FALSE(asked.empty());
    watch.answered({asked.front(), why, {}, {}, 0}, now_ms);
    asked.erase(asked.begin());
  }
  // Lets the time come for the next thing to do; how long that was.
  std::uint64_t wait() {
    const std::uint64_t due_ms = watch.due_ms();
    EXPECT_NE(due_ms, NameWatch::kNever);
    const std::uint64_t waited_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    now_ms += waited_ms;
    watch.tick(now_ms);
    return waited_ms;
  }
  // Until there is a question, telling changes on the way.
  std::uint64_t wait_for_question() {
    std::uint64_t waited_ms = 0;
    for (int i = 0; i < 2 && asked.empty(); ++i) waited_ms += wait();
    EXPECT_FALSE(asked.empty());
    return waited_ms;
  }
  std::vector<std::string> names(std::size_t index = 0) {
    std::vector<std::string> all;
    const config::Config expanded = watch.expand(config);
    for (const config::Server& server : expanded.backends[index].servers) {
      all.push_back(server.name);
    }
    return all;
  }

  config::Config config;
  std::vector<os::Question> asked;
  std::vector<std::string> said;
  int changes = 0;
  std::uint64_t now_ms = 1'000'000;
  NameWatch watch{
      {[this](const os::Question& question) { asked.push_back(question); }, [this] { ++changes; },
       [this](const std::string& line) { said.push_back(line); }},
      1};
};

TEST_F(NameWatchTest, WithoutNamesNothingIsToDo) {
  follow({backend("app", {fixed("10.0.0.1", 80)})});
  EXPECT_THAT(asked, IsEmpty());
  EXPECT_TRUE(watch.settled());
  EXPECT_EQ(watch.due_ms(), NameWatch::kNever);
  EXPECT_THAT(names(), ElementsAre("10.0.0.1:80"));
}

TEST_F(NameWatchTest, SeveralAddressesAreSeveralServers) {
  config::Server server = named("web", 3000);
  server.weight = 7;
  server.priority = 2;
  server.limit = 11;
  follow({backend("app", {fixed("10.0.0.1", 80), server, fixed("10.0.0.2", 80)})});
  EXPECT_THAT(asked, ElementsAre(os::Question{"web", false, ""}));
  EXPECT_FALSE(watch.settled());
  EXPECT_THAT(names(), ElementsAre("10.0.0.1:80", "10.0.0.2:80"));
  answer({at("10.0.0.8"), at("fd00::7"), at("10.0.0.7")});
  EXPECT_TRUE(watch.settled());
  EXPECT_THAT(names(),
              ElementsAre("10.0.0.1:80", "web:3000/10.0.0.7:3000", "web:3000/10.0.0.8:3000",
                          "web:3000/[fd00::7]:3000", "10.0.0.2:80"));
  const config::Server one = watch.expand(config).backends[0].servers[3];
  EXPECT_EQ(one.address, (config::Endpoint{config::Endpoint::Family::ipv6, "fd00::7", 3000}));
  EXPECT_EQ(one.weight, 7u);
  EXPECT_EQ(one.priority, 2u);
  EXPECT_EQ(one.limit, 11u);
  EXPECT_EQ(one.host, server.host);
  EXPECT_THAT(said, ElementsAre("server app/web:3000: 3 addresses: 10.0.0.7, 10.0.0.8, fd00::7 "
                                "(for 30 s)"));
}

TEST_F(NameWatchTest, ChangesAreToldTogether) {
  follow({backend("app", {named("web", 80), named("api", 80)})});
  answer({at("10.0.0.7", "api")});
  now_ms += NameWatch::kGatherMs / 2;
  answer({at("10.0.0.8")});
  EXPECT_EQ(changes, 0);
  EXPECT_EQ(wait(), NameWatch::kGatherMs / 2);
  EXPECT_EQ(changes, 1);
  wait_for_question();
  EXPECT_EQ(changes, 1);
}

TEST_F(NameWatchTest, AnotherOrderIsNoChange) {
  follow({backend("app", {named("web", 80)})});
  answer({at("10.0.0.7"), at("10.0.0.8")});
  wait();
  wait_for_question();
  answer({at("10.0.0.8"), at("10.0.0.7")});
  wait_for_question();
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(said.size(), 1u);
}

TEST_F(NameWatchTest, AnAddressGoesAndAnotherComes) {
  follow({backend("app", {named("web", 80)})});
  answer({at("10.0.0.7"), at("10.0.0.8")});
  wait();
  wait_for_question();
  answer({at("10.0.0.8"), at("10.0.0.9")}, 5);
  wait();
  EXPECT_EQ(changes, 2);
  EXPECT_THAT(names(), ElementsAre("web:80/10.0.0.8:80", "web:80/10.0.0.9:80"));
  EXPECT_EQ(said.back(), "server app/web:80: 2 addresses: 10.0.0.8, 10.0.0.9 (for 5 s)");
}

TEST_F(NameWatchTest, AsksAgainWhenTheLifetimeIsOver) {
  follow({backend("app", {named("web", 80)})});
  const std::pair<std::uint32_t, std::uint64_t> cases[] = {
      {30, 30'000}, {0, NameWatch::kLifetimeMinMs}, {0x7fff'ffff, NameWatch::kLifetimeMaxMs}};
  for (const auto& [ttl_s, lifetime_ms] : cases) {
    answer({at("10.0.0.7")}, ttl_s);
    const std::uint64_t waited_ms = wait_for_question();
    EXPECT_GE(waited_ms, lifetime_ms);
    EXPECT_LE(waited_ms, lifetime_ms + lifetime_ms / 10);
  }
}

TEST_F(NameWatchTest, OneQuestionAtATime) {
  follow({backend("app", {named("web", 80)})});
  watch.tick(now_ms += 1'000'000);
  EXPECT_EQ(asked.size(), 1u);
  EXPECT_EQ(watch.due_ms(), NameWatch::kNever);
}

TEST_F(NameWatchTest, ANameThatNeverResolvedIsNoServer) {
  follow({backend("app", {named("web", 80)})});
  fail(LookupStatus::no_such_name);
  EXPECT_TRUE(watch.settled());
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_THAT(said, ElementsAre("server app/web:80 does not resolve: no such name; no server "
                                "until it does"));
  wait_for_question();
  answer({at("10.0.0.7")});
  EXPECT_EQ(said.back(), "server app/web:80 resolves now: 1 address: 10.0.0.7 (for 30 s)");
  EXPECT_THAT(names(), ElementsAre("web:80/10.0.0.7:80"));
}

TEST_F(NameWatchTest, FailuresAreTriedAgainLessAndLessOften) {
  follow({backend("app", {named("web", 80)})});
  for (int round = 0; round < 2; ++round) {
    for (const std::uint64_t wait_ms : {1'000, 2'000, 4'000, 8'000, 16'000, 30'000, 30'000}) {
      fail(LookupStatus::timed_out);
      const std::uint64_t waited_ms = wait_for_question();
      EXPECT_GE(waited_ms, wait_ms);
      EXPECT_LE(waited_ms, wait_ms + wait_ms / 10);
    }
    answer({at("10.0.0.7")});
    wait_for_question();
  }
  EXPECT_EQ(watch.metrics().failures, 2u);
  EXPECT_EQ(watch.metrics().recoveries, 2u);
}

TEST_F(NameWatchTest, TheLastGoodAnswerIsKept) {
  follow({backend("app", {named("web", 80)})});
  answer({at("10.0.0.7"), at("10.0.0.8")});
  wait();
  said.clear();
  for (unsigned i = 0; i < 2 * NameWatch::kRefusalsSaid; ++i) {
    wait_for_question();
    fail(LookupStatus::no_such_name);
    EXPECT_EQ(names().size(), 2u);
    EXPECT_EQ(watch.metrics().names_failing, 1u);
  }
  EXPECT_THAT(said, ElementsAre("server app/web:80 does not resolve: no such name; keeps "
                                "10.0.0.7, 10.0.0.8",
                                "server app/web:80 still does not resolve: no such name; keeps "
                                "10.0.0.7, 10.0.0.8"));
  wait_for_question();
  answer({at("10.0.0.7"), at("10.0.0.8")});
  EXPECT_EQ(said.back(),
            "server app/web:80 resolves now: 2 addresses: 10.0.0.7, 10.0.0.8 (for 30 s)");
  EXPECT_EQ(watch.metrics().names_failing, 0u);
  EXPECT_EQ(changes, 1);
}

TEST_F(NameWatchTest, APartThatFailedKeepsItsAddresses) {
  follow({backend("app", {named("web", 80)})});
  answer({at("10.0.0.7"), at("fd00::7")});
  wait_for_question();
  answer({at("10.0.0.8")}, 30, {{"web", true}});
  EXPECT_THAT(names(), ElementsAre("web:80/10.0.0.8:80", "web:80/[fd00::7]:80"));
  wait_for_question();
  answer({at("10.0.0.8")});
  EXPECT_THAT(names(), ElementsAre("web:80/10.0.0.8:80"));
}

TEST_F(NameWatchTest, OneLookupServesAllServersOfAName) {
  follow(
      {backend("app", {named("web", 80), named("web", 81)}), backend("api", {named("web", 80)})});
  EXPECT_EQ(asked.size(), 1u);
  answer({at("10.0.0.7")});
  EXPECT_THAT(names(0), ElementsAre("web:80/10.0.0.7:80", "web:81/10.0.0.7:81"));
  EXPECT_THAT(names(1), ElementsAre("web:80/10.0.0.7:80"));
  EXPECT_THAT(said, ElementsAre("servers app/web:80, app/web:81, api/web:80: 1 address: 10.0.0.7 "
                                "(for 30 s)"));
  EXPECT_EQ(watch.metrics().names, 1u);
}

TEST_F(NameWatchTest, NoAddressIsTwiceInABackend) {
  follow({backend("app", {named("web", 80), named("api", 80), fixed("10.0.0.7", 80)})});
  answer({at("10.0.0.6", "api"), at("10.0.0.7", "api")});
  answer({at("10.0.0.6"), at("10.0.0.7"), at("10.0.0.8")});
  said.clear();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(names(), ElementsAre("web:80/10.0.0.6:80", "web:80/10.0.0.8:80", "10.0.0.7:80"));
  }
  const std::string at_7 =
      " is left out at 10.0.0.7:80: server app/10.0.0.7:80 has that address; "
      "its weight and limits hold";
  const std::string at_6 =
      "server app/api:80 is left out at 10.0.0.6:80: server app/web:80 has "
      "that address; its weight and limits hold";
  EXPECT_THAT(said,
              UnorderedElementsAre(at_6, "server app/api:80" + at_7, "server app/web:80" + at_7))
      << "once";
  said.clear();
  follow({backend("app", {named("web", 80), named("api", 80)})});
  EXPECT_THAT(names(),
              ElementsAre("web:80/10.0.0.6:80", "web:80/10.0.0.7:80", "web:80/10.0.0.8:80"));
  EXPECT_THAT(said, ElementsAre("server app/api:80 is left out at 10.0.0.7:80: server app/web:80 "
                                "has that address; its weight and limits hold"))
      << "what has changed";
}

TEST_F(NameWatchTest, SrvRecordsGivePortWeightAndTier) {
  config::Server server = named("_http._tcp.web", 0);
  server.weight = 5;
  server.priority = 1;
  follow({backend("app", {server})});
  EXPECT_THAT(asked, ElementsAre(os::Question{"_http._tcp.web", true, ""}));
  answer({{20, 0, 3001, "10.0.0.8", "b"}, {10, 60, 3000, "10.0.0.7", "a"}});
  const std::vector<config::Server> servers = watch.expand(config).backends[0].servers;
  ASSERT_EQ(servers.size(), 2u);
  EXPECT_EQ(servers[0].name, "srv:_http._tcp.web/10.0.0.7:3000");
  EXPECT_EQ(servers[0].address.port, 3000);
  EXPECT_EQ(servers[0].weight, 60u);
  EXPECT_EQ(servers[0].priority, 1u);
  EXPECT_EQ(servers[1].address.port, 3001);
  EXPECT_EQ(servers[1].weight, 1u);
  EXPECT_EQ(servers[1].priority, 2u);
  EXPECT_EQ(said.back(),
            "server app/srv:_http._tcp.web: 2 addresses: 10.0.0.7:3000, "
            "10.0.0.8:3001 (for 30 s)");
}

TEST_F(NameWatchTest, SrvWeightsAndPrioritiesFitIntoTheirRanges) {
  config::Server server = named("s", 0);
  server.priority = 8;
  follow({backend("app", {server})});
  answer({{0, 65'535, 1, "10.0.0.1", "a"},
          {1, 13'107, 1, "10.0.0.2", "b"},
          {9, 1, 1, "10.0.0.3", "c"}});
  const std::vector<config::Server> servers = watch.expand(config).backends[0].servers;
  EXPECT_EQ(servers[0].weight, 1'000u);
  EXPECT_EQ(servers[1].weight, 200u);
  EXPECT_EQ(servers[2].weight, 1u);
  EXPECT_EQ(servers[0].priority, 8u);
  EXPECT_EQ(servers[1].priority, 9u);
  EXPECT_EQ(servers[2].priority, 9u);
}

TEST_F(NameWatchTest, AServerThatTakesNothingStaysSoWithSrv) {
  config::Server server = named("s", 0);
  server.weight = 0;
  follow({backend("app", {server})});
  answer({{0, 10, 1, "10.0.0.1", "a"}});
  EXPECT_EQ(watch.expand(config).backends[0].servers[0].weight, 0u);
}

TEST_F(NameWatchTest, AReloadKeepsWhatIsKnown) {
  follow({backend("app", {named("web", 80), named("old", 80)})});
  answer({at("10.0.0.6", "old")});
  answer({at("10.0.0.7")});
  follow({backend("app", {named("new", 80), named("web", 80)})});
  EXPECT_THAT(asked, ElementsAre(os::Question{"new", false, ""}));
  EXPECT_THAT(names(), ElementsAre("web:80/10.0.0.7:80"));
  EXPECT_FALSE(watch.settled());
  EXPECT_EQ(watch.metrics().names, 2u);
}

TEST_F(NameWatchTest, AnAnswerForANameThatWentIsDropped) {
  follow({backend("app", {named("web", 80)})});
  follow({backend("app", {fixed("10.0.0.1", 80)})});
  answer({at("10.0.0.7")});
  EXPECT_THAT(names(), ElementsAre("10.0.0.1:80"));
  EXPECT_EQ(watch.due_ms(), NameWatch::kNever);
}

TEST_F(NameWatchTest, OtherNameServersAreAskedAtOnce) {
  follow({backend("app", {named("web", 80)})});
  config.runtime.resolvers = {{config::Endpoint::Family::ipv4, "127.0.0.1", 53},
                              {config::Endpoint::Family::ipv6, "::1", 5353}};
  follow({backend("app", {named("web", 80)})});
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].servers, "127.0.0.1:53,[::1]:5353");
  answer({at("10.0.0.6")});  // From the ones asked before.
  EXPECT_THAT(names(), IsEmpty());
  answer({at("10.0.0.7")});
  EXPECT_THAT(names(), ElementsAre("web:80/10.0.0.7:80"));
}

TEST_F(NameWatchTest, AFloodOfAddressesIsCut) {
  follow({backend("app", {named("web", 80)})});
  std::vector<os::ResolvedAddress> flood;
  for (int i = 0; i < 300; ++i) {
    flood.push_back(at("10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250)));
  }
  answer(flood);
  EXPECT_EQ(names().size(), NameWatch::kAddressesMax);
  EXPECT_THAT(said.back(), testing::HasSubstr("10.0.0.104 and 248 more"));
}

TEST_F(NameWatchTest, LookupsAreCountedByResult) {
  follow({backend("app", {named("web", 80), named("api", 80)})});
  answer({at("10.0.0.7")});
  fail(LookupStatus::server_failure);
  const NameMetrics metrics = watch.metrics();
  EXPECT_THAT(metrics.lookups, ElementsAre(1, 0, 0, 0, 1, 0));
  EXPECT_EQ(metrics.names, 2u);
  EXPECT_EQ(metrics.names_failing, 1u);
}

}  // namespace
}  // namespace weir::control
