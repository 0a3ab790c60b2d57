#include "upstream/condition.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "upstream/gate.h"

namespace weir::upstream {
namespace {

using health::Active;
using health::Wish;

constexpr std::uint64_t kNow = 1'000'000;

class ConditionTest : public testing::Test {
 protected:
  static void eject(ServerState& server) {
    health::apply(server.passive, health::Passive::Event::failed, kNow, 0, {});
  }
  ServerState server{"app", "one", os::Address{}, "one", 1};
};

TEST_F(ConditionTest, AServerThatNobodySpokeAboutTakesPart) {
  EXPECT_EQ(wish_of(server), Wish::none);
  EXPECT_EQ(active_of(server), Active::State::unknown);
  EXPECT_FALSE(is_down(server));
  EXPECT_TRUE(is_healthy(server, kNow));
  EXPECT_TRUE(in_service(server, false));
  EXPECT_EQ(condition_of(server), health::ServerCondition::up);
}

TEST_F(ConditionTest, TheStricterWishCounts) {
  for (std::uint8_t operators = 0; operators <= 3; ++operators) {
    for (std::uint8_t own = 0; own <= 3; ++own) {
      server.administrative = operators;
      server.agent = own;
      const auto strictest = static_cast<Wish>(std::max(operators, own));
      EXPECT_EQ(wish_of(server), strictest);
      EXPECT_EQ(is_healthy(server, kNow), strictest == Wish::none);
      EXPECT_EQ(in_service(server, true), strictest == Wish::none);
    }
  }
}

TEST_F(ConditionTest, DownIsOutOfServiceUnlessTheCheckMayBeWrong) {
  server.active = static_cast<std::uint8_t>(Active::State::down);
  EXPECT_FALSE(is_healthy(server, kNow));
  EXPECT_FALSE(in_service(server, false));
  EXPECT_TRUE(in_service(server, true));
  EXPECT_EQ(condition_of(server), health::ServerCondition::down);
}

TEST_F(ConditionTest, AnEjectedServerStaysInService) {
  eject(server);
  EXPECT_FALSE(is_healthy(server, kNow));
  EXPECT_TRUE(in_service(server, false));
  EXPECT_TRUE(is_healthy(server, kNow + health::PassiveSettings{}.backoff_ms))
      << "its trial is due";
  EXPECT_EQ(condition_of(server), health::ServerCondition::ejected);
}

TEST_F(ConditionTest, CountsServersThatAreMeantToTakePartOnce) {
  std::vector<std::unique_ptr<ServerState>> states;
  GatePlan plan;
  for (int i = 0; i < 6; ++i) {
    states.push_back(std::make_unique<ServerState>("app", "", os::Address{}, "", 1));
    plan.servers.push_back({.state = states.back().get()});
  }
  plan.servers[0].weight = 0;
  eject(*states[0]);
  eject(*states[1]);
  eject(*states[2]);
  states[2]->active = static_cast<std::uint8_t>(Active::State::down);
  states[3]->active = static_cast<std::uint8_t>(Active::State::down);
  states[4]->administrative = static_cast<std::uint8_t>(Wish::drain);
  const health::ServerCounts counts = count_servers(plan, kNow);
  EXPECT_EQ(counts.servers, 4u) << "one has no weight, one is draining";
  EXPECT_EQ(counts.ejected, 2u) << "whatever else is wrong with them";
  EXPECT_EQ(counts.usable, 1u);
  EXPECT_EQ(count_servers(plan, kNow + 60'000).ejected, 2u) << "until the trial has gone well";
  states[1]->agent = static_cast<std::uint8_t>(Wish::maintenance);
  EXPECT_EQ(count_servers(plan, kNow).servers, 3u);
  EXPECT_EQ(count_servers(plan, kNow).ejected, 1u);
  EXPECT_EQ(count_servers({}, kNow).servers, 0u);
}

}  // namespace
}  // namespace weir::upstream
