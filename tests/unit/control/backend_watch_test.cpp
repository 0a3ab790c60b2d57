// BackendWatch over a real loop and counters that the test writes as workers would.
// tidy: long because all of it needs the same backend and counters.
#include "control/backend_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "../loop/probe.h"
#include "upstream/backend_state.h"
#include "upstream/condition.h"

namespace weir::control {
namespace {

using health::Passive;
using Reason = health::Outlier::Reason;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr unsigned kWorkers = 2;

class BackendWatchTest : public testing::Test {
 protected:
  BackendWatchTest() { loop.turn_now(); }
  ~BackendWatchTest() override { loop.reap_retired(); }

  // A backend "app" of so many servers "s0", "s1", ... By default each look ends a window.
  void make(std::size_t count, config::Milliseconds window = config::Milliseconds{1}) {
    config::Backend& backend = config.backends.emplace_back();
    backend.name = "app";
    for (std::size_t i = 0; i < count; ++i) {
      config::Server& server = backend.servers.emplace_back();
      server.name = "s" + std::to_string(i);
      server.address = {config::Endpoint::Family::ipv4, "192.0.2.1",
                        static_cast<std::uint16_t>(1 + i)};
    }
    backend.ejection.window = window;
    backend.ejection.min_requests = 10;
    watch_config();
  }
  // As after a reload.
  void watch_config() {
    snapshots.push_back(std::make_unique<proxy::Snapshot>(config, snapshots.size() + 1,
                                                          std::vector<std::string>{}, shared, owner,
                                                          std::vector<proxy::Worker*>{}));
    watch.watch(config, *snapshots.back());
  }
  [[nodiscard]] config::Backend& backend() { return config.backends[0]; }
  [[nodiscard]] upstream::ServerState& server(std::size_t index) {
    return *snapshots.back()->servers()[index];
  }
  // What a worker would have counted.
  void answers(std::size_t index, unsigned good, unsigned bad, std::uint64_t latency_us = 1'000,
               unsigned worker = 0) {
    upstream::ServerCounters& counters = server(index).counters(worker);
    for (unsigned i = 0; i < good + bad; ++i) counters.answers.add();
    for (unsigned i = 0; i < bad; ++i) counters.answers_bad.add();
    for (unsigned i = 0; i < good; ++i) counters.first_byte_us.record(latency_us);
  }
  void look() {
    const std::uint64_t after_ms = loop.now_ms() + 1;
    ASSERT_TRUE(loop.turn_until([&] { return loop.now_ms() > after_ms; }));
    watch.look();
  }
  [[nodiscard]] std::vector<std::size_t> ejected() {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < backend().servers.size(); ++i) {
      if (!health::is_up(server(i).passive.load())) found.push_back(i);
    }
    return found;
  }
  [[nodiscard]] std::uint64_t ejections(std::size_t index, Reason reason) {
    return server(index).outlier_ejections[static_cast<std::size_t>(reason)].read();
  }
  // Answered last at this time, and has so many unanswered requests of one worker since.
  void waits(std::size_t index, unsigned requests, std::uint64_t answered_ms, unsigned worker = 0) {
    upstream::ServerCounters& counters = server(index).counters(worker);
    server(index).in_flight.fetch_add(requests -
                                      static_cast<std::uint32_t>(counters.unanswered.read()));
    counters.unanswered.set(requests);
    counters.answered_ms.set(answered_ms);
  }
  // Backends whose servers answer in a millisecond, and where 20 ms are a long silence.
  void make_for_silence(std::size_t count) {
    make(count, config::Milliseconds{3'600'000});
    backend().ejection.silence = config::Milliseconds{20};
    watch_config();
    for (std::size_t i = 0; i < count; ++i) answers(i, 20, 0);
  }
  void look_until_ms(std::uint64_t time_ms) {
    while (loop.now_ms() < time_ms) look();
  }
  void take_down(std::size_t index, bool down = true) {
    server(index).active =
        static_cast<std::uint8_t>(down ? health::Active::State::down : health::Active::State::up);
  }
  [[nodiscard]] bool panic() { return snapshots.back()->backends()[0].state->panic.load(); }

  struct Owner final : proxy::SnapshotOwner {
    void adopted(proxy::Snapshot&) override {}
    void released(proxy::Snapshot&) override {}
  };

  loop::test::DrivenLoop loop;
  std::vector<std::string> said;
  Owner owner;
  config::Config config;
  proxy::SharedState shared{kWorkers, 0};
  std::vector<std::unique_ptr<proxy::Snapshot>> snapshots;
  BackendWatch watch{loop, [this](const std::string& line) { said.push_back(line); }, 1};
};

// --- Ejection ------------------------------------------------------------------------------------

TEST_F(BackendWatchTest, AServerThatErrsMoreThanTheOthersIsEjected) {
  make(3);
  answers(0, 10, 0);
  answers(1, 4, 3, 1'000, 0);
  answers(1, 1, 2, 1'000, 1);  // Five of ten, over both workers.
  answers(2, 10, 4);
  look();
  EXPECT_THAT(ejected(), ElementsAre(1));
  EXPECT_EQ(Passive::unpack(server(1).passive.load()).cause(), Passive::Cause::answers);
  EXPECT_EQ(ejections(1, Reason::error_rate), 1u);
  EXPECT_EQ(ejections(1, Reason::latency), 0u);
  EXPECT_EQ(ejections(0, Reason::error_rate), 0u);
  EXPECT_THAT(said, ElementsAre("server app/s1 is ejected for a while: "
                                "5 of 10 answers were errors"));
}

TEST_F(BackendWatchTest, AServerThatIsSlowBesideTheOthersIsEjected) {
  make(3);
  answers(0, 20, 0, 10'000);
  answers(1, 20, 0, 12'000);
  answers(2, 20, 0, 200'000);
  look();
  EXPECT_THAT(ejected(), ElementsAre(2));
  EXPECT_EQ(ejections(2, Reason::latency), 1u);
  EXPECT_EQ(ejections(2, Reason::error_rate), 0u);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_THAT(said[0], HasSubstr("server app/s2 is ejected for a while: median "));
}

TEST_F(BackendWatchTest, TooFewAnswersSayNothing) {
  make(3);
  for (std::size_t i = 0; i < 3; ++i) answers(i, 20, 0);
  look();
  answers(1, 0, 9);
  look();
  EXPECT_THAT(ejected(), IsEmpty());
  answers(1, 0, 9);
  look();
  EXPECT_THAT(ejected(), IsEmpty()) << "a new window: nine once more";
  answers(1, 0, 10);
  answers(0, 10, 0);
  look();
  EXPECT_THAT(ejected(), ElementsAre(1));
}

TEST_F(BackendWatchTest, AWindowGoesOnUntilItsEnd) {
  make(2, config::Milliseconds{3'600'000});
  answers(0, 20, 0);
  answers(1, 0, 20);
  look();
  EXPECT_THAT(ejected(), IsEmpty());
}

TEST_F(BackendWatchTest, AShorterWindowDoesNotWaitForTheEndOfTheLongerOne) {
  make(2, config::Milliseconds{3'600'000});
  look();
  backend().ejection.window = config::Milliseconds{1};
  watch_config();
  answers(0, 20, 0);
  answers(1, 0, 20);
  look();
  EXPECT_THAT(ejected(), ElementsAre(1));
}

TEST_F(BackendWatchTest, TheFloorHolds) {
  make(4);
  backend().ejection.max_ejected_percent = 50;
  watch_config();
  answers(0, 20, 0);
  for (std::size_t i = 1; i < 4; ++i) answers(i, 0, 20);
  look();
  EXPECT_EQ(ejected().size(), 2u);
  for (std::size_t i = 1; i < 4; ++i) answers(i, 0, 20);
  answers(0, 20, 0);
  look();
  EXPECT_EQ(ejected().size(), 2u) << "over windows, too";
}

TEST_F(BackendWatchTest, WhereAllErrTheFaultIsBehindThem) {
  make(3);
  for (std::size_t i = 0; i < 3; ++i) answers(i, 0, 20);
  look();
  EXPECT_THAT(ejected(), IsEmpty());
  EXPECT_THAT(said, IsEmpty());
}

TEST_F(BackendWatchTest, WithoutEjectionNobodyIsJudged) {
  make(3);
  backend().ejection.enabled = false;
  watch_config();
  answers(0, 20, 0);
  answers(1, 0, 20);
  look();
  EXPECT_THAT(ejected(), IsEmpty());
}

// What was counted while nobody looked is no window.
TEST_F(BackendWatchTest, EjectionThatIsTurnedOnJudgesFromThenOn) {
  make(3);
  backend().ejection.enabled = false;
  watch_config();
  answers(0, 20, 0);
  answers(1, 0, 20);
  look();
  backend().ejection.enabled = true;
  watch_config();
  look();
  EXPECT_THAT(ejected(), IsEmpty());
}

TEST_F(BackendWatchTest, AWindowSurvivesAReload) {
  make(3);
  for (std::size_t i = 0; i < 3; ++i) answers(i, 100, 0);
  look();
  answers(0, 20, 0);
  answers(1, 0, 20);
  watch_config();
  look();
  EXPECT_THAT(ejected(), ElementsAre(1)) << "20 of 20, not 20 of 120";
}

TEST_F(BackendWatchTest, ServersOutOfServiceAreNotJudged) {
  make(3);
  answers(0, 20, 0);
  answers(1, 0, 20);
  server(1).administrative = static_cast<std::uint8_t>(health::Wish::drain);
  answers(2, 20, 0);
  look();
  EXPECT_THAT(ejected(), IsEmpty());
}

// --- Silence -------------------------------------------------------------------------------------

TEST_F(BackendWatchTest, AServerThatAnswersNothingIsEjected) {
  make_for_silence(3);
  const std::uint64_t begun_ms = loop.now_ms();
  waits(1, 3, begun_ms, 0);
  waits(1, 2, begun_ms - 1, 1);
  look();
  EXPECT_THAT(ejected(), IsEmpty()) << "five wait, but not for long";
  look_until_ms(begun_ms + 40);
  EXPECT_THAT(ejected(), ElementsAre(1));
  EXPECT_EQ(ejections(1, Reason::silence), 1u);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_THAT(said[0], HasSubstr("server app/s1 is ejected for a while: 5 requests without an "
                                 "answer for "));
}

TEST_F(BackendWatchTest, AServerThatAnswersOneWorkerIsNotSilent) {
  make_for_silence(2);
  const std::uint64_t begun_ms = loop.now_ms();
  waits(1, 5, begun_ms, 0);
  while (loop.now_ms() < begun_ms + 60) {
    look();
    waits(1, 0, loop.now_ms(), 1);
  }
  EXPECT_THAT(ejected(), IsEmpty());
}

TEST_F(BackendWatchTest, ARowInAWorkerThatHadNoAnswerOfLateDoesNotCount) {
  make_for_silence(2);
  const std::uint64_t begun_ms = loop.now_ms();
  waits(1, 5, begun_ms - 2'000, 0);
  waits(1, 4, begun_ms, 1);
  look_until_ms(begun_ms + 60);
  EXPECT_THAT(ejected(), IsEmpty());
}

TEST_F(BackendWatchTest, ClientsThatLeftProveNothing) {
  make_for_silence(2);
  const std::uint64_t begun_ms = loop.now_ms();
  waits(1, 5, begun_ms);
  server(1).in_flight = 4;
  look_until_ms(begun_ms + 60);
  EXPECT_THAT(ejected(), IsEmpty());
}

// Else a hang that begins with a window would be over before anything is known of the server.
TEST_F(BackendWatchTest, WhatAServerUsuallyTakesIsKnownWhenItsWindowEnds) {
  make(2);
  backend().ejection.silence = config::Milliseconds{20};
  watch_config();
  for (std::size_t i = 0; i < 2; ++i) answers(i, 20, 0);
  const std::uint64_t begun_ms = loop.now_ms();
  waits(1, 5, begun_ms);
  while (loop.now_ms() < begun_ms + 60) {
    answers(0, 20, 0);
    look();
  }
  EXPECT_THAT(ejected(), ElementsAre(1));
}

TEST_F(BackendWatchTest, SilenceIsNoReasonWhereItIsSwitchedOff) {
  make_for_silence(2);
  backend().ejection.silence = config::Milliseconds{0};
  watch_config();
  const std::uint64_t begun_ms = loop.now_ms();
  waits(1, 50, begun_ms);
  look_until_ms(begun_ms + 60);
  EXPECT_THAT(ejected(), IsEmpty());
}

// --- Panic ---------------------------------------------------------------------------------------

TEST_F(BackendWatchTest, WithTooFewHealthyAllAreUsed) {
  make(4);
  backend().panic_percent = 50;
  watch_config();
  take_down(0);
  take_down(1);
  look();
  EXPECT_FALSE(panic()) << "half is not less than half";
  EXPECT_THAT(said, IsEmpty());
  take_down(2);
  look();
  EXPECT_TRUE(panic());
  EXPECT_EQ(watch.counters().panics, 1u);
  look();
  take_down(2, false);
  look();
  EXPECT_FALSE(panic());
  EXPECT_EQ(watch.counters().panics, 1u);
  EXPECT_THAT(said, ElementsAre("backend app: 1 of 4 servers are healthy, fewer than "
                                "panic_percent: all are used",
                                "backend app: 2 of 4 servers are healthy, the others are left "
                                "alone again"));
}

TEST_F(BackendWatchTest, WithNobodyHealthyNothingIsSaidOfLeavingThemAlone) {
  make(4);
  backend().panic_percent = 50;
  watch_config();
  for (std::size_t i = 0; i < 3; ++i) take_down(i);
  look();
  ASSERT_TRUE(panic());
  said.clear();
  take_down(3);
  look();
  for (const std::string& line : said) EXPECT_THAT(line, testing::Not(HasSubstr("left alone")));
}

TEST_F(BackendWatchTest, ServersThatAreOutOnPurposeAreNoReasonToPanic) {
  make(12);
  for (std::size_t i = 1; i < 12; ++i) {
    backend().servers[i].state =
        i % 2 == 0 ? config::ServerWish::drain : config::ServerWish::maintenance;
  }
  watch_config();
  look();
  EXPECT_FALSE(panic());
  take_down(0);
  look();
  EXPECT_TRUE(panic()) << "of those that are left nobody is healthy";
  server(0).agent = static_cast<std::uint8_t>(health::Wish::down);
  look();
  EXPECT_FALSE(panic()) << "nobody is left that could be asked";
}

TEST_F(BackendWatchTest, ATierWithEnoughHealthyServersNeedsNoPanic) {
  make(14);
  for (std::size_t i = 10; i < 14; ++i) backend().servers[i].priority = 9;
  backend().panic_percent = 50;
  watch_config();
  for (std::size_t i = 0; i < 12; ++i) take_down(i);
  look();
  EXPECT_FALSE(panic()) << "half of the backups are up";
  take_down(12);
  look();
  EXPECT_TRUE(panic());
  for (std::size_t i = 0; i < 5; ++i) take_down(i, false);
  look();
  EXPECT_FALSE(panic()) << "or half of the others";
}

TEST_F(BackendWatchTest, WithoutAShareThereIsNoPanic) {
  make(4);
  backend().panic_percent = 0;
  watch_config();
  for (std::size_t i = 0; i < 3; ++i) take_down(i);
  look();
  EXPECT_FALSE(panic());
}

// --- The rest ------------------------------------------------------------------------------------

TEST_F(BackendWatchTest, WhatTheOperatorWroteIsAppliedAndSaid) {
  make(2);
  backend().servers[0].state = config::ServerWish::drain;
  watch_config();
  EXPECT_EQ(upstream::wish_of(server(0)), health::Wish::drain);
  EXPECT_EQ(upstream::wish_of(server(1)), health::Wish::none);
  watch_config();
  EXPECT_EQ(said.size(), 1u) << "a change is said once";
  backend().servers[0].state = config::ServerWish::ready;
  watch_config();
  EXPECT_EQ(upstream::wish_of(server(0)), health::Wish::none);
  EXPECT_NE(server(0).up_since_ms.load(), 0u) << "it warms up";
  EXPECT_THAT(said, ElementsAre("server app/s0 is set to drain", "server app/s0 is ready again"));
  EXPECT_EQ(server(0).wishes[static_cast<std::size_t>(health::Wish::drain)].read(), 1u);
  EXPECT_EQ(server(0).wishes[static_cast<std::size_t>(health::Wish::none)].read(), 1u);
}

TEST_F(BackendWatchTest, TellsOnceThatNobodyIsLeftAndThatSomebodyIs) {
  make(3);
  backend().servers[2].weight = 0;
  watch_config();
  server(0).agent = static_cast<std::uint8_t>(health::Wish::maintenance);
  look();
  EXPECT_THAT(said, IsEmpty());
  server(1).agent = static_cast<std::uint8_t>(health::Wish::down);
  look();
  watch_config();
  look();
  EXPECT_THAT(said, ElementsAre("backend app: no server is left that takes requests: 1 down, "
                                "1 maintenance, 1 of weight 0"));
  server(1).agent = 0;
  look();
  look();
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(said[1], "backend app: servers take requests again");
}

// Only where the check is believed: otherwise those that are down are asked all the same.
TEST_F(BackendWatchTest, ServersThatAreDownAreLeftWhereTheyAreAsked) {
  for (const std::uint32_t panic_percent : {10u, 0u}) {
    config.backends.clear();
    make(2);
    backend().panic_percent = panic_percent;
    watch_config();
    take_down(0);
    take_down(1);
    said.clear();
    look();
    const bool told = !said.empty() && said.back() ==
                                           "backend app: no server is left that takes "
                                           "requests: 2 down";
    EXPECT_EQ(told, panic_percent == 0);
  }
}

TEST_F(BackendWatchTest, CountsReturns) {
  make(2);
  const auto returns = [&] {
    look();
    return server(1).returns.read();
  };
  EXPECT_EQ(returns(), 0u);
  for (std::uint64_t times = 1; times <= 3; ++times) {
    server(1).passive = 1;  // A worker sees to both.
    server(1).counters(times % kWorkers).ejections.add();
    EXPECT_EQ(returns(), times - 1);
    server(1).passive = 0;
    EXPECT_EQ(returns(), times);
  }
  server(1).passive = 1;
  EXPECT_EQ(returns(), 3u) << "out, and not counted yet: never less than before";
}

TEST_F(BackendWatchTest, ASlowStartThatIsOverIsForgotten) {
  make(2);
  backend().slow_start = config::Milliseconds{1};
  watch_config();
  server(0).up_since_ms = loop.now_ms();
  server(1).up_since_ms = loop.now_ms() + 3'600'000;
  look();
  EXPECT_EQ(server(0).up_since_ms.load(), 0u);
  EXPECT_NE(server(1).up_since_ms.load(), 0u);
}

// An ejection ends by time alone, and nobody else would tell who waits.
TEST_F(BackendWatchTest, WhoWaitsIsHelpedToServersThatCanBeUsedAgain) {
  make(1);
  backend().server_limit = 1;
  watch_config();
  const upstream::BackendPlan& plan = snapshots.back()->backends()[0];
  struct Waiter final : upstream::TicketOwner {
    void granted(std::uint32_t, std::uint64_t) override { served = true; }
    void dropped(upstream::DropReason) override {}
    bool served = false;
  } waiter;
  loop::Mailbox mailbox;
  upstream::Tickets tickets{mailbox};
  ASSERT_TRUE(plan.state->gate.take(plan.gate, 0, 0));
  const auto entry = plan.state->gate.enter(tickets, waiter, plan.gate, {}, 1, 1);
  ASSERT_EQ(entry.admission, upstream::Gate::Admission::waiting);
  server(0).in_flight = 0;  // Given back without a word, as a limit that grows would be.
  EXPECT_TRUE(loop.turn_until([&] {
    mailbox.deliver_all();
    return waiter.served;
  }));
  plan.state->gate.release(plan.gate, 0, 2);
}

TEST_F(BackendWatchTest, LooksByItself) {
  make(2);
  backend().panic_percent = 100;
  watch_config();
  take_down(0);
  EXPECT_TRUE(loop.turn_until([&] { return panic(); }));
}

TEST_F(BackendWatchTest, ABackendThatIsGoneIsForgotten) {
  make(2);
  config.backends.clear();
  watch_config();
  watch.look();
  EXPECT_THAT(said, IsEmpty());
}

}  // namespace
}  // namespace weir::control
