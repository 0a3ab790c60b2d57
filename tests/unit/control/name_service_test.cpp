// NameService with a real resolver, a real loop, and a name server of the test's own.
#include "control/name_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "../os/fake_dns.h"

namespace weir::control {
namespace {

using os::test::FakeDns;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kLongMs = 60'000;

class NameServiceTest : public testing::Test {
 protected:
  NameServiceTest() {
    config::Server server;
    server.name = "web.test:80";
    server.host = config::HostName{"web.test", 80};
    config.backends.emplace_back();
    config.backends[0].servers = {server};
    config.runtime.resolvers = {{config::Endpoint::Family::ipv4, "127.0.0.1", dns.port()}};
  }
  std::vector<std::string> addresses(NameService& names) {
    std::vector<std::string> all;
    const config::Config expanded = names.expand(config);
    for (const config::Server& server : expanded.backends[0].servers) {
      all.push_back(server.address.text());
    }
    return all;
  }
  bool turn_until(const bool& condition) {
    return os::test::eventually([&] {
      if (!condition) loop.turn();
      return condition;
    });
  }

  FakeDns dns;
  config::Config config;
  loop::Loop loop;
  bool changed = false;
  std::vector<std::string> said;
  std::function<void()> on_change = [this] { changed = true; };
  std::function<void(const std::string&)> on_say = [this](const std::string& line) {
    said.push_back(line);
  };
};

TEST_F(NameServiceTest, SettlesBeforeTheLoopTurns) {
  dns.set("web.test", os::test::kA, {{os::test::a("web.test", 60, "10.0.0.7")}});
  NameService names(loop, on_change, on_say);
  names.follow(config);
  names.settle(kLongMs);
  EXPECT_THAT(addresses(names), ElementsAre("10.0.0.7:80"));
  EXPECT_THAT(said, testing::SizeIs(1));
  EXPECT_FALSE(changed);
}

TEST_F(NameServiceTest, DoesNotWaitForSilenceLongerThanItMay) {
  dns.set("web.test", os::test::kA, {.silent = true});
  NameService names(loop, on_change, on_say);
  names.follow(config);
  names.settle(1);
  EXPECT_THAT(addresses(names), IsEmpty());
}

TEST_F(NameServiceTest, TellsChangesInTheLoopsTurn) {
  dns.set("web.test", os::test::kA, {{os::test::a("web.test", 1, "10.0.0.7")}});
  NameService names(loop, on_change, on_say);
  names.follow(config);
  ASSERT_TRUE(turn_until(changed));
  EXPECT_THAT(addresses(names), ElementsAre("10.0.0.7:80"));
  changed = false;
  dns.set("web.test", os::test::kA, {{os::test::a("web.test", 60, "10.0.0.8")}});
  ASSERT_TRUE(turn_until(changed));
  EXPECT_THAT(addresses(names), ElementsAre("10.0.0.8:80"));
  EXPECT_GE(names.metrics().lookups[0], 2u);
}

TEST_F(NameServiceTest, LeavesNothingInTheLoop) {
  dns.set("web.test", os::test::kA, {.silent = true});
  {
    NameService names(loop, on_change, on_say);
    names.follow(config);
    EXPECT_EQ(loop.watched(), 1u);
  }
  EXPECT_EQ(loop.watched(), 0u);
}

}  // namespace
}  // namespace weir::control
