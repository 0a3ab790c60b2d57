// Prober: verdicts, reloads, ejected servers, reports.
// tidy: long because all of it needs the same server and clock.
#include "control/prober.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <map>
#include <memory>
#include <optional>

#include "../loop/probe.h"
#include "../os/sockets.h"
#include "../upstream/gate_world.h"
#include "control/local_http.h"
#include "health/state.h"

namespace weir::control {
namespace {

using config::HealthCheck;
using health::Active;
using health::Wish;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;
using upstream::ProbeResult;

constexpr config::Milliseconds kNever{3'600'000};

// A prober on a loop, and a server on the same loop that answers as the test says.
class ProberTest : public testing::Test {
 protected:
  ProberTest() {
    server_.emplace(loop_, os::listen_on(os::test::loopback(0), os::Share::first, 256).fd,
                    [this](const LocalRequest&, LocalResponse& response) {
                      ++asked_;
                      response = answer_;
                      if (on_request_) on_request_();
                    });
    port_ = server_->port();
    EXPECT_TRUE(server_->start());
    prober_.emplace(
        loop_, [this](const std::string& line) { said_.push_back(line); }, 1);
  }
  ~ProberTest() override {
    prober_.reset();
    server_.reset();
    loop_.reap_retired();
  }

  // A check that repeats at once, and decides as quickly.
  static HealthCheck quick() {
    HealthCheck check;
    check.type = HealthCheck::Type::http;
    check.interval = check.fast_interval = config::Milliseconds(1);
    check.timeout = config::Milliseconds(10'000);
    check.rise = 2;
    check.fall = 3;
    return check;
  }
  static HealthCheck rare() {
    HealthCheck check = quick();
    check.interval = check.fast_interval = kNever;
    return check;
  }
  upstream::ServerState& state(const std::string& name = "one") {
    auto& made = states_[name];
    if (made == nullptr) {
      made =
          std::make_unique<upstream::ServerState>("app", name, os::test::loopback(port_), name, 1);
    }
    return *made;
  }
  CheckedServer checked(const HealthCheck& check, const std::string& name = "one") {
    CheckedServer given;
    given.state = &state(name);
    given.server.name = name;
    given.server.address = {config::Endpoint::Family::ipv4, "127.0.0.1", port_};
    given.check = check;
    given.gate = &gate_;
    given.slow_start = config::Milliseconds(10'000);
    return given;
  }
  void watch(const HealthCheck& check) { prober_->watch({checked(check)}); }
  // From now on the port refuses.
  void close_port() {
    server_->drain();
    loop_.turn_now(2);
  }
  [[nodiscard]] Active::State verdict(const std::string& name = "one") {
    return static_cast<Active::State>(state(name).active.load());
  }
  [[nodiscard]] bool becomes(Active::State expected) {
    return loop_.turn_until([&] { return verdict() == expected; });
  }
  [[nodiscard]] Wish wish() { return static_cast<Wish>(state().agent.load()); }
  [[nodiscard]] const CheckHistory& history(const std::string& name = "one") {
    return *prober_->history(state(name));
  }
  [[nodiscard]] std::uint64_t results(ProbeResult result, const std::string& name = "one") {
    return history(name).results[static_cast<std::size_t>(result)];
  }
  [[nodiscard]] bool passes(std::uint64_t times) {
    return loop_.turn_until([&] { return results(ProbeResult::passed) >= times; });
  }

  loop::test::DrivenLoop loop_;
  LocalResponse answer_;
  std::function<void()> on_request_;
  int asked_ = 0;
  std::optional<LocalHttpServer> server_;
  upstream::Gate gate_;
  std::uint16_t port_ = 0;
  std::map<std::string, std::unique_ptr<upstream::ServerState>> states_;
  std::vector<std::string> said_;
  std::optional<Prober> prober_;
};

// --- The verdict ---------------------------------------------------------------------------------

TEST_F(ProberTest, AServerThatIsUpFromTheBeginningIsNoNews) {
  watch(rare());
  ASSERT_TRUE(becomes(Active::State::up));
  EXPECT_THAT(said_, IsEmpty());
  EXPECT_EQ(history().last, "status 200");
  EXPECT_EQ(results(ProbeResult::passed), 1u);
  EXPECT_EQ(state().up_since_ms.load(), 0u);
}

TEST_F(ProberTest, AServerThatIsDownFromTheBeginningIsSaidToBe) {
  close_port();
  watch(rare());
  ASSERT_TRUE(becomes(Active::State::down));
  EXPECT_THAT(said_, ElementsAre("server app/one is down: connection refused (1 check)"));
}

TEST_F(ProberTest, AServerFallsAndRises) {
  watch(quick());
  ASSERT_TRUE(becomes(Active::State::up));
  answer_.status = 500;
  ASSERT_TRUE(becomes(Active::State::down));
  EXPECT_EQ(results(ProbeResult::bad_status), 3u);
  EXPECT_THAT(said_, ElementsAre("server app/one is down: status 500 (3 checks)"));
  EXPECT_EQ(state().up_since_ms.load(), 0u);
  const std::uint64_t passed_before = results(ProbeResult::passed);
  answer_.status = 200;
  ASSERT_TRUE(becomes(Active::State::up));
  EXPECT_EQ(results(ProbeResult::passed), passed_before + 2);
  ASSERT_EQ(said_.size(), 2u);
  EXPECT_THAT(said_[1], StartsWith("server app/one is up again after "));
  EXPECT_EQ(state().up_since_ms.load(), history().changed_ms);
  EXPECT_EQ(history().changes, 3u);
}

TEST_F(ProberTest, AVerdictIsHeardByThoseWhoWait) {
  upstream::GatePlan plan;
  plan.servers.push_back({.state = &state(), .limit = 1});
  plan.servers.push_back({.state = &state("other"), .limit = 1});
  plan.queue_size = 1;
  state().active = static_cast<std::uint8_t>(Active::State::down);
  upstream::test::FakeWorker worker;
  upstream::test::Request holder(gate_, plan, worker);
  ASSERT_TRUE(holder.take(1, 0));
  upstream::test::Request waiter(gate_, plan, worker);
  ASSERT_EQ(waiter.enter(0), upstream::Gate::Admission::waiting) << "for a healthy server";
  watch(quick());
  ASSERT_TRUE(becomes(Active::State::up));
  worker.mailbox.deliver_all();
  ASSERT_TRUE(waiter.holding());
  EXPECT_EQ(waiter.server, 0u);
  waiter.release(0);
  holder.release(0);
}

TEST_F(ProberTest, WithoutASlowStartNoneBegins) {
  CheckedServer given = checked(quick());
  given.slow_start = config::Milliseconds(0);
  answer_.status = 500;
  prober_->watch({given});
  ASSERT_TRUE(becomes(Active::State::down));
  answer_.status = 200;
  ASSERT_TRUE(becomes(Active::State::up));
  EXPECT_EQ(state().up_since_ms.load(), 0u);
}

TEST_F(ProberTest, WhatWeirLacksItselfIsNoVerdict) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  watch(quick());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_TRUE(loop_.turn_until([&] { return results(ProbeResult::no_resources) >= 5; }));
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(verdict(), Active::State::unknown);
  EXPECT_THAT(said_, IsEmpty());
  EXPECT_TRUE(becomes(Active::State::up));
}

// --- Many servers --------------------------------------------------------------------------------

TEST_F(ProberTest, AThousandServersDoNotBurst) {
  HealthCheck check = quick();
  check.interval = config::Milliseconds(5'000);
  std::vector<CheckedServer> servers;
  for (int i = 0; i < 1'000; ++i) servers.push_back(checked(check, std::to_string(i)));
  prober_->watch(servers);
  std::map<std::uint64_t, int> per_tenth;
  const std::uint64_t first_ms = loop_.now_ms();
  for (const auto& [name, server] : states_) {
    ++per_tenth[(*prober_->next_check_ms(*server) - first_ms) / 100];
  }
  EXPECT_EQ(per_tenth.size(), 50u);
  for (const auto& [tenth, count] : per_tenth) EXPECT_EQ(count, 20) << tenth;
}

TEST_F(ProberTest, OnlySoManyProbesAreUnderWayAndAllGetTheirTurn) {
  const os::SocketResult mute = os::listen_on(os::test::loopback(0), os::Share::first, 1'024);
  port_ = os::bound_port(mute.fd);
  HealthCheck check = rare();
  check.interval = config::Milliseconds(1);
  check.fast_interval = kNever;
  check.timeout = config::Milliseconds(200);
  check.fall = 1;
  std::vector<CheckedServer> servers;
  for (int i = 0; i < 200; ++i) servers.push_back(checked(check, std::to_string(i)));
  prober_->watch(servers);
  std::size_t most = 0;
  ASSERT_TRUE(loop_.turn_until([&] {
    most = std::max(most, prober_->under_way());
    for (const auto& [name, server] : states_) {
      if (verdict(name) != Active::State::down) return false;
    }
    return true;
  }));
  EXPECT_EQ(most, Prober::kProbesMax);
  EXPECT_EQ(said_.size(), 200u);
}

TEST_F(ProberTest, TheEndOfAProbeMakesRoomForTheNext) {
  os::SocketResult mute = os::listen_on(os::test::loopback(0), os::Share::first, 1'024);
  port_ = os::bound_port(mute.fd);
  std::vector<CheckedServer> servers;
  for (std::size_t i = 0; i <= Prober::kProbesMax; ++i) {
    servers.push_back(checked(rare(), std::to_string(i)));
  }
  prober_->watch(servers);
  ASSERT_TRUE(loop_.turn_until([&] {
    const auto last_ms = prober_->next_check_ms(*servers.back().state);
    return prober_->under_way() == Prober::kProbesMax && last_ms < loop_.now_ms();
  }));
  EXPECT_EQ(prober_->waiting(), 1u);
  EXPECT_THAT(said_, IsEmpty());
  mute.fd.reset();  // Resets what it never accepted.
  EXPECT_TRUE(loop_.turn_until([&] { return said_.size() == servers.size(); }));
  EXPECT_EQ(prober_->waiting(), 0u);
}

// --- Reloads -------------------------------------------------------------------------------------

TEST_F(ProberTest, AServerThatStaysKeepsItsTurn) {
  watch(rare());
  ASSERT_TRUE(becomes(Active::State::up));
  const auto next_ms = prober_->next_check_ms(state());
  ASSERT_TRUE(next_ms);
  prober_->watch({checked(rare(), "two"), checked(rare())});
  EXPECT_EQ(prober_->next_check_ms(state()), next_ms);
  EXPECT_EQ(verdict(), Active::State::up);
  EXPECT_EQ(prober_->servers(), 2u);
}

TEST_F(ProberTest, AVerdictOutlivesAChangedCheck) {
  answer_.status = 500;
  watch(rare());
  ASSERT_TRUE(becomes(Active::State::down));
  HealthCheck other = rare();
  other.path = "/other";
  answer_.status = 200;
  watch(other);
  EXPECT_EQ(verdict(), Active::State::down);
  EXPECT_EQ(results(ProbeResult::bad_status), 1u) << "the history goes on";
  ASSERT_TRUE(passes(1));
  EXPECT_EQ(verdict(), Active::State::down) << "it takes two";
  prober_->asked(state());
  ASSERT_TRUE(becomes(Active::State::up));
  ASSERT_EQ(said_.size(), 2u);
  EXPECT_THAT(said_[1], StartsWith("server app/one is up again after "));
}

// A check that is lost in the moment of a reload is no reason to take a server out.
TEST_F(ProberTest, SoDoTheFailuresThatCountAgainstIt) {
  watch(rare());
  ASSERT_TRUE(becomes(Active::State::up));
  answer_.status = 500;
  for (std::uint64_t failed = 1; failed <= 3; ++failed) {
    HealthCheck other = rare();
    other.path = "/" + std::to_string(failed);
    EXPECT_EQ(verdict(), Active::State::up);
    watch(other);
    ASSERT_TRUE(loop_.turn_until([&] { return results(ProbeResult::bad_status) == failed; }));
  }
  EXPECT_THAT(said_, ElementsAre("server app/one is down: status 500 (3 checks)"));
}

TEST_F(ProberTest, ANewCheckThatAgreesIsNoNews) {
  answer_.status = 500;
  watch(rare());
  ASSERT_TRUE(becomes(Active::State::down));
  HealthCheck other = rare();
  other.path = "/other";
  watch(other);
  ASSERT_TRUE(loop_.turn_until([&] { return results(ProbeResult::bad_status) == 2; }));
  EXPECT_EQ(verdict(), Active::State::down);
  EXPECT_EQ(said_.size(), 1u);
}

TEST_F(ProberTest, WithoutACheckNothingIsHeldAgainstAServer) {
  HealthCheck check = rare();
  check.load_report = true;
  answer_.body = "drain 50% maxconn:9";
  watch(check);
  ASSERT_TRUE(becomes(Active::State::up));
  state().active = static_cast<std::uint8_t>(Active::State::down);
  prober_->watch({});
  EXPECT_EQ(verdict(), Active::State::unknown);
  EXPECT_EQ(wish(), Wish::none);
  EXPECT_EQ(state().agent_percent.load(), 100u);
  EXPECT_EQ(state().agent_limit.load(), 0u);
  EXPECT_EQ(prober_->history(state()), nullptr);
}

TEST_F(ProberTest, AServerThatGoesTakesItsProbeAlong) {
  const os::SocketResult mute = os::listen_on(os::test::loopback(0), os::Share::first, 16);
  port_ = os::bound_port(mute.fd);
  watch(rare());
  os::Peer peer;
  os::Fd far;
  ASSERT_TRUE(loop_.turn_until([&] {
    if (!far.valid()) far = os::accept_from(mute.fd, peer).fd;
    return far.valid();
  }));
  EXPECT_EQ(prober_->under_way(), 1u);
  prober_->watch({});
  states_.clear();
  loop_.turn_now();
  EXPECT_EQ(prober_->under_way(), 0u);
  char bytes[1'024];
  EXPECT_TRUE(os::test::eventually([&] {
    const os::IoStatus status = os::receive(far, bytes, sizeof bytes).status;
    return status == os::IoStatus::end || status == os::IoStatus::reset;
  }));
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(ProberTest, AProberMayEndWithProbesUnderWay) {
  const os::SocketResult mute = os::listen_on(os::test::loopback(0), os::Share::first, 16);
  port_ = os::bound_port(mute.fd);
  prober_->watch({checked(rare(), "one"), checked(rare(), "two")});
  ASSERT_TRUE(loop_.turn_until([&] { return prober_->under_way() == 2; }));
  prober_.reset();
  loop_.turn_now(2);
  EXPECT_THAT(said_, IsEmpty());
}

// --- Ejected servers -----------------------------------------------------------------------------

TEST_F(ProberTest, ChecksThatPassLetTheTrialComeAtOnce) {
  using health::Passive;
  watch(quick());
  ASSERT_TRUE(passes(10));
  const std::uint64_t far_ms = loop_.now_ms() + 3'600'000;
  const auto due = [&] { return health::takes_requests(state().passive.load(), loop_.now_ms()); };
  // Passes from before the ejection, that of a check under way included, do not count.
  health::apply(state().passive, Passive::Event::failed, far_ms, 0, {});
  const std::uint64_t passed_before = results(ProbeResult::passed);
  ASSERT_TRUE(loop_.turn_until(due));
  EXPECT_GE(results(ProbeResult::passed), passed_before + 2);
  EXPECT_FALSE(health::is_up(state().passive.load())) << "the trial decides";
  EXPECT_EQ(verdict(), Active::State::up);
}

TEST_F(ProberTest, ChecksThatFailSpeakForNobody) {
  watch(quick());
  ASSERT_TRUE(passes(1));
  answer_.status = 500;
  ASSERT_TRUE(becomes(Active::State::down));
  const std::uint64_t far_ms = loop_.now_ms() + 3'600'000;
  health::apply(state().passive, health::Passive::Event::failed, far_ms, 0, {});
  const std::uint64_t word = state().passive;
  const std::uint64_t failed = results(ProbeResult::bad_status);
  ASSERT_TRUE(loop_.turn_until([&] { return results(ProbeResult::bad_status) > failed + 5; }));
  EXPECT_EQ(state().passive.load(), word);
}

// --- Asked for -----------------------------------------------------------------------------------

TEST_F(ProberTest, IsAskedForByRequests) {
  watch(rare());
  ASSERT_TRUE(passes(1));
  prober_->asked(state());
  prober_->asked(state());
  ASSERT_TRUE(passes(2));
  // While one is under way: one more follows.
  on_request_ = [this] {
    if (asked_ == 3) prober_->asked(state());
  };
  prober_->asked(state());
  ASSERT_TRUE(passes(4));
  EXPECT_EQ(asked_, 4);
}

TEST_F(ProberTest, AnUnknownServerIsNotAskedFor) {
  prober_->asked(state());
  loop_.turn_now(3);
  EXPECT_EQ(asked_, 0);
}

// --- Load reports --------------------------------------------------------------------------------

HealthCheck reporting(HealthCheck check) {
  check.load_report = true;
  check.expect_status.clear();
  return check;
}

TEST_F(ProberTest, TakesALoadReport) {
  answer_.body = "3\n40\n";
  state().sent_since_report = 7;
  on_request_ = [this] { state().sent_since_report += 2; };
  watch(reporting(rare()));
  ASSERT_TRUE(passes(1));
  EXPECT_EQ(state().report.load(), (std::uint64_t{40} << 32) | 3);
  EXPECT_EQ(state().report_at_ms.load(), history().last_ms);
  EXPECT_EQ(state().sent_since_report.load(), 2u) << "those sent while it was under way";
  EXPECT_EQ(history().reports_taken, 1u);
}

TEST_F(ProberTest, APageThatIsNoReportIsIgnored) {
  answer_.status = 404;
  answer_.body = "<h1>Not found</h1>";
  state().sent_since_report = 7;
  watch(reporting(rare()));
  ASSERT_TRUE(becomes(Active::State::up));
  EXPECT_EQ(state().report_at_ms.load(), 0u);
  EXPECT_EQ(state().sent_since_report.load(), 0u) << "so that the next crossing is seen";
  EXPECT_EQ(history().reports_ignored, 1u);
}

TEST_F(ProberTest, ABodyIsNoReportUnlessTheCheckSaysSo) {
  answer_.body = "3\n40\n";
  watch(rare());
  ASSERT_TRUE(passes(1));
  EXPECT_EQ(state().report_at_ms.load(), 0u);
  EXPECT_EQ(history().reports_ignored, 0u);
}

TEST_F(ProberTest, TakesTheServersOwnWishes) {
  HealthCheck check = reporting(quick());
  check.interval = check.fast_interval = config::Milliseconds(2);
  answer_.body = "drain 50% maxconn:9\n";
  watch(check);
  ASSERT_TRUE(loop_.turn_until([&] { return wish() == Wish::drain; }));
  EXPECT_EQ(state().agent_percent.load(), 50u);
  EXPECT_EQ(state().agent_limit.load(), 9u);
  EXPECT_EQ(state().administrative.load(), 0u) << "that is the operator's";
  answer_.body = "maint\n";
  ASSERT_TRUE(loop_.turn_until([&] { return wish() == Wish::maintenance; }));
  EXPECT_EQ(state().up_since_ms.load(), 0u);
  answer_.body = "up 100%\n";
  ASSERT_TRUE(loop_.turn_until([&] { return wish() == Wish::none; }));
  EXPECT_NE(state().up_since_ms.load(), 0u);
  EXPECT_EQ(state().agent_percent.load(), 100u);
  EXPECT_THAT(said_,
              ElementsAre("server app/one asks for drain", "server app/one asks for maintenance",
                          "server app/one asks for requests again"));
}

TEST_F(ProberTest, AnOldReportAgesOut) {
  answer_.body = "3\n40\n";
  HealthCheck check = reporting(quick());
  watch(check);
  ASSERT_TRUE(loop_.turn_until([&] { return state().report_at_ms.load() != 0; }));
  answer_.body = "drain\n";
  ASSERT_TRUE(loop_.turn_until([&] { return wish() == Wish::drain; }));
  answer_.body = "gone\n";
  EXPECT_TRUE(loop_.turn_until([&] { return wish() == Wish::none; }));
  EXPECT_EQ(state().report_at_ms.load(), 0u);
  EXPECT_THAT(said_, ElementsAre("server app/one asks for drain",
                                 "server app/one asks no longer for drain"));
  EXPECT_EQ(state().wishes[static_cast<std::size_t>(Wish::drain)].read(), 1u);
  EXPECT_EQ(state().wishes[static_cast<std::size_t>(Wish::none)].read(), 1u);
  EXPECT_GE(history().reports_ignored, 1u);
}

// Whoever goes on reporting one thing says nothing of the others.
TEST_F(ProberTest, EachPartOfAReportAgesByItself) {
  answer_.body = R"({"errors": 3, "entries": 40, "weight": 50, "maxconn": 9, "state": "drain"})";
  watch(reporting(quick()));
  ASSERT_TRUE(loop_.turn_until([&] { return wish() == Wish::drain; }));
  EXPECT_EQ(state().agent_limit.load(), 9u);
  answer_.body = "50%\n";
  ASSERT_TRUE(loop_.turn_until(
      [&] { return state().report_at_ms.load() == 0 && state().agent_limit.load() == 0; }));
  EXPECT_EQ(state().agent_percent.load(), 50u);
  answer_.body = "maxconn:7\n";
  ASSERT_TRUE(loop_.turn_until([&] { return state().agent_percent.load() == 100; }));
  EXPECT_EQ(state().agent_limit.load(), 7u);
  EXPECT_EQ(wish(), Wish::drain) << "a word stands until another comes";
  EXPECT_THAT(said_, ElementsAre("server app/one asks for drain"));
}

TEST_F(ProberTest, AWordAloneKeepsWhatWasSentSinceTheLoad) {
  answer_.body = "3\n40\n";
  watch(reporting(rare()));
  ASSERT_TRUE(passes(1));
  state().sent_since_report = 5;
  answer_.body = "up\n";
  prober_->asked(state());
  ASSERT_TRUE(passes(2));
  EXPECT_EQ(history().reports_taken, 2u);
  EXPECT_EQ(state().sent_since_report.load(), 5u);
}

TEST_F(ProberTest, AFailedCheckKeepsTheReportAndWhatWasSentSince) {
  answer_.body = "3\n40\n";
  watch(reporting(rare()));
  ASSERT_TRUE(passes(1));
  state().sent_since_report = 5;
  close_port();
  prober_->asked(state());
  ASSERT_TRUE(loop_.turn_until([&] { return results(ProbeResult::refused) == 1; }));
  EXPECT_NE(state().report_at_ms.load(), 0u);
  EXPECT_EQ(state().sent_since_report.load(), 5u);
}

}  // namespace
}  // namespace weir::control
