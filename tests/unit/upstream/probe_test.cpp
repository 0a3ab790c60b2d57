#include "upstream/probe.h"

#include <gmock/gmock.h>

#include <memory>
#include <optional>

#include "../loop/probe.h"
#include "../os/sockets.h"
#include "checks.h"

namespace weir::upstream {
namespace {

using config::HealthCheck;
using test::http_check;
using test::server_at;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

HealthCheck tcp_check(std::string send, std::string expect) {
  HealthCheck check = http_check();
  check.type = HealthCheck::Type::tcp;
  check.send = std::move(send);
  check.expect = std::move(expect);
  return check;
}

// One probe on a loop, and the server it asks, played by the test.
class ProbeTest : public testing::TestWithParam<loop::Trigger>, public ProbeOwner {
 protected:
  ProbeTest() : listener_(os::listen_on(os::test::loopback(0), os::Share::first, 16)) {}
  ~ProbeTest() override {
    if (probe_ != nullptr && probe_->state() != Probe::State::done) probe_->cancel();
    loop_.reap_retired();
    EXPECT_EQ(buffers_.leased(), 0u);
  }

  void begin(const HealthCheck& check) { begin(check, server_at(os::bound_port(listener_.fd))); }
  void begin(const HealthCheck& check, const config::Server& server) {
    plan_ = make_probe_plan(check, server, 0, "weir/1 (health check)");
    probe_ = std::make_unique<Probe>(*this, plan_, loop_, buffers_, traffic_);
    probe_->start();
  }
  void accept() {
    os::Peer peer;
    far_ = os::test::accept_within_deadline(listener_.fd, peer).fd;
    ASSERT_TRUE(far_.valid());
  }
  // Takes the connection and what the probe sends until it has sent `end`.
  std::string request(std::string_view end = "\r\n\r\n") {
    accept();
    std::string all;
    char piece[4096];
    EXPECT_TRUE(loop_.turn_until([&] {
      const os::IoResult result = os::receive(far_, piece, sizeof piece);
      if (result.status == os::IoStatus::done) all.append(piece, result.bytes);
      return all.ends_with(end);
    }));
    return all;
  }
  // All of it, or as much as goes before the probe has seen enough.
  void answer(std::string_view bytes) {
    EXPECT_TRUE(loop_.turn_until([&] {
      const os::IoResult result = os::send(far_, bytes);
      if (result.status == os::IoStatus::done) bytes.remove_prefix(result.bytes);
      return bytes.empty() || outcome_;
    }));
  }
  // Until the probe has read it.
  void answer_and_wait(std::string_view bytes) {
    const std::uint64_t all = traffic_.own.bytes_received.read() + bytes.size();
    answer(bytes);
    EXPECT_TRUE(loop_.turn_until([&] { return traffic_.own.bytes_received.read() == all; }));
  }
  void answer_and_close(std::string_view bytes) {
    answer(bytes);
    far_.reset();
  }
  void time_is_over() { loop_.set_deadline(*probe_, loop_.now_ms()); }
  const ProbeOutcome& outcome() {
    EXPECT_TRUE(loop_.turn_until([&] { return outcome_.has_value(); }));
    if (!outcome_) outcome_.emplace();
    return *outcome_;
  }
  // The whole check of a server that answers with `bytes` and closes.
  std::string verdict(const HealthCheck& check, std::string_view bytes) {
    begin(check);
    (void)request();
    answer_and_close(bytes);
    return describe(outcome(), plan_);
  }

  void probed(Probe& probe) override {
    EXPECT_EQ(&probe, probe_.get());
    EXPECT_FALSE(outcome_) << "told twice";
    outcome_ = std::move(probe.outcome());
    probe_.reset();
  }

  loop::test::DrivenLoop loop_{GetParam()};
  net::BufferPool buffers_;
  net::Traffic traffic_;
  os::SocketResult listener_;
  os::Fd far_;
  ProbePlan plan_;
  std::unique_ptr<Probe> probe_;
  std::optional<ProbeOutcome> outcome_;
};

INSTANTIATE_TEST_SUITE_P(Triggers, ProbeTest,
                         testing::Values(loop::Trigger::edge, loop::Trigger::level,
                                         loop::Trigger::oneshot),
                         [](const auto& tested) {
                           switch (tested.param) {
                             case loop::Trigger::edge: return "edge";
                             case loop::Trigger::level: return "level";
                             default: return "oneshot";
                           }
                         });

// --- What is asked -------------------------------------------------------------------------------

TEST_P(ProbeTest, AsksAsConfigured) {
  HealthCheck check = http_check();
  check.path = "/ready?deep=1";
  check.headers = {{"X-Probe", "yes"}};
  begin(check);
  EXPECT_EQ(request(), "GET /ready?deep=1 HTTP/1.1\r\nHost: " + plan_.address_text +
                           "\r\nUser-Agent: weir/1 (health check)\r\nX-Probe: yes\r\n"
                           "Connection: close\r\n\r\n");
}

// --- Good answers --------------------------------------------------------------------------------

TEST_P(ProbeTest, PassesAnAnswer) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "status 200");
  EXPECT_EQ(outcome_->body, "ok");
  EXPECT_TRUE(outcome_->body_complete);
}

TEST_P(ProbeTest, DoesNotWaitForTheCloseOfACompleteAnswer) {
  begin(http_check());
  (void)request();
  answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_TRUE(outcome().passed());
}

TEST_P(ProbeTest, TakesAnAnswerByteByByte) {
  HealthCheck check = http_check();
  check.expect_body = "ready";
  begin(check);
  (void)request();
  const std::string_view bytes =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n re\r\n4;x=y\r\nady!\r\n0\r\n"
      "T: 1\r\n\r\n";
  for (const char& byte : bytes) {
    EXPECT_FALSE(outcome_);
    answer_and_wait({&byte, 1});
  }
  EXPECT_TRUE(outcome().passed());
  EXPECT_EQ(outcome_->body, " ready!");
}

TEST_P(ProbeTest, AnAnswerMayHaveNoBody) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
            "status 204");
}

TEST_P(ProbeTest, AnAnswerToHeadHasNoBody) {
  HealthCheck check = http_check();
  check.method = "HEAD";
  EXPECT_EQ(verdict(check, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), "status 200");
}

TEST_P(ProbeTest, InterimAnswersAreNotTheAnswer) {
  EXPECT_EQ(verdict(http_check(),
                    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "status 200");
}

TEST_P(ProbeTest, AnAnswerOfHttp10EndsWithItsConnection) {
  HealthCheck check = http_check();
  check.expect_body = "ready";
  EXPECT_EQ(verdict(check, "HTTP/1.0 200 OK\r\n\r\nall is ready"), "status 200");
}

TEST_P(ProbeTest, AnyStatusWillDo) {
  HealthCheck check = http_check();
  check.expect_status.clear();
  EXPECT_EQ(verdict(check, "HTTP/1.0 404 File not found\r\nContent-Length: 3\r\n\r\nno!"),
            "status 404");
  EXPECT_TRUE(outcome_->passed());
}

// --- Bad answers ---------------------------------------------------------------------------------

TEST_P(ProbeTest, TheStatusMustBeExpected) {
  HealthCheck check = http_check();
  check.expect_status = {{200, 204}, {301, 301}};
  EXPECT_EQ(verdict(check, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), "status 500");
  EXPECT_EQ(outcome_->result, ProbeResult::bad_status);
}

TEST_P(ProbeTest, TheBodyMustHaveTheText) {
  HealthCheck check = http_check();
  check.expect_body = "ready\n";
  EXPECT_EQ(verdict(check, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready"),
            "body lacks `ready?`");
}

TEST_P(ProbeTest, GarbageIsNoAnswer) {
  EXPECT_EQ(verdict(http_check(), "SSH-2.0-OpenSSH_9.2\r\n"), "broken answer: bad_version");
}

TEST_P(ProbeTest, AnAnswerMustHaveOneLength) {
  EXPECT_EQ(
      verdict(http_check(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
      "broken answer: content_length_conflict");
}

TEST_P(ProbeTest, ChunksMustBeChunks) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
            "broken answer: bad_chunk_size");
}

TEST_P(ProbeTest, TrailersMustBeFields) {
  EXPECT_EQ(verdict(http_check(),
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nb@d: 1\r\n\r\n"),
            "broken answer: bad_field_name");
}

TEST_P(ProbeTest, NobodySwitchesProtocols) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
            "broken answer: unexpected_upgrade");
}

TEST_P(ProbeTest, AHugeHeadIsRefused) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x')),
            "broken answer: head_too_large");
}

// --- Endless, cut short, late --------------------------------------------------------------------

TEST_P(ProbeTest, OfAnEndlessBodyTheStatusDecides) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" +
                                      std::string(kProbeBodyMax + 1, 'x')),
            "status 200");
  EXPECT_FALSE(outcome_->body_complete);
  EXPECT_EQ(outcome_->body.size(), kProbeBodyMax);
}

TEST_P(ProbeTest, OfEndlessChunksTheFirstBytesAreSearched) {
  HealthCheck check = http_check();
  check.expect_body = "needle";
  std::string bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  while (bytes.size() < 2 * kProbeBodyMax) bytes += "a\r\nxxxxxxxxxx\r\n";
  EXPECT_EQ(verdict(check, bytes), "body too large, without `needle`");
}

TEST_P(ProbeTest, ATextAtTheVeryEndOfWhatIsReadIsFound) {
  HealthCheck check = http_check();
  check.expect_body = "needle";
  EXPECT_EQ(verdict(check, "HTTP/1.0 200 OK\r\n\r\n" + std::string(kProbeBodyMax - 6, 'x') +
                               "needle, and more"),
            "status 200");
}

TEST_P(ProbeTest, ABodyOfExactlyTheMostIsComplete) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.0 200 OK\r\n\r\n" + std::string(kProbeBodyMax, 'x')),
            "status 200");
  EXPECT_TRUE(outcome_->body_complete);
}

TEST_P(ProbeTest, ACutBodyIsNoAnswer) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"),
            "answer cut short");
}

TEST_P(ProbeTest, ACutChunkIsNoAnswer) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc"),
            "answer cut short");
}

TEST_P(ProbeTest, ACutHeadIsNoAnswer) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 200 OK\r\nContent-Le"), "answer cut short");
}

TEST_P(ProbeTest, ACloseIsNoAnswer) {
  EXPECT_EQ(verdict(http_check(), ""), "closed without an answer");
}

TEST_P(ProbeTest, ACloseAfterAnInterimAnswerIsNoAnswer) {
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 100 Continue\r\n\r\n"), "closed without an answer");
}

TEST_P(ProbeTest, AResetEndsTheCheck) {
  begin(http_check());
  (void)request();
  answer("HTTP/1.0 200 OK\r\n\r\nab");
  ASSERT_TRUE(loop_.turn_until([&] { return probe_->state() == Probe::State::body; }));
  os::close_with_reset(far_);
  far_.reset();
  EXPECT_EQ(describe(outcome(), plan_), "connection reset");
}

TEST_P(ProbeTest, AServerThatNeverAnswersIsLate) {
  HealthCheck check = http_check();
  check.timeout = config::Milliseconds(20);
  begin(check);
  accept();
  EXPECT_EQ(describe(outcome(), plan_), "no answer within 20 ms");
}

TEST_P(ProbeTest, AServerThatNeverAcceptsIsLate) {
  HealthCheck check = http_check();
  check.timeout = config::Milliseconds(20);
  begin(check);
  EXPECT_EQ(describe(outcome(), plan_), "no answer within 20 ms");
}

TEST_P(ProbeTest, ABodyWithoutEndIsLate) {
  begin(http_check());
  (void)request();
  answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
  ASSERT_TRUE(loop_.turn_until([&] { return probe_->state() == Probe::State::body; }));
  time_is_over();
  EXPECT_EQ(describe(outcome(), plan_), "no end of the answer within 60 s");
}

TEST_P(ProbeTest, AFullBacklogIsNoConnection) {
  listener_ = os::listen_on(os::test::loopback(0), os::Share::first, 0);
  const os::Address address = os::test::loopback(os::bound_port(listener_.fd));
  std::vector<os::SocketResult> crowd;
  for (int i = 0; i < 4; ++i) crowd.push_back(os::connect_to(address));
  HealthCheck check = http_check();
  check.timeout = config::Milliseconds(20);
  begin(check);
  EXPECT_EQ(describe(outcome(), plan_), "no connection within 20 ms");
}

TEST_P(ProbeTest, ARefusedConnectionIsTold) {
  config::Server server = server_at(os::bound_port(listener_.fd));
  listener_.fd.reset();
  begin(http_check(), server);
  EXPECT_EQ(describe(outcome(), plan_), "connection refused");
}

TEST_P(ProbeTest, AMissingSocketFileRefusesAndIsToldLater) {
  config::Server server;
  server.address = {config::Endpoint::Family::unix_path, "/nonexistent/app.sock", 0};
  begin(http_check(), server);
  EXPECT_FALSE(outcome_);
  EXPECT_EQ(describe(outcome(), plan_), "connection refused");
}

TEST_P(ProbeTest, AsksOverAUnixSocket) {
  os::test::TemporaryDirectory directory;
  const std::string path = directory.at("app.sock");
  listener_ = os::listen_on(*os::Address::unix_path(path), os::Share::first, 4);
  ASSERT_EQ(listener_.status, os::IoStatus::done);
  config::Server server;
  server.address = {config::Endpoint::Family::unix_path, path, 0};
  begin(http_check(), server);
  EXPECT_THAT(request(), HasSubstr("Host: localhost\r\n"));
  answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(outcome().passed());
}

TEST_P(ProbeTest, TheMemoryOfAllProbesIsNoVerdictOnTheServer) {
  buffers_.~BufferPool();
  new (&buffers_) net::BufferPool(0);
  EXPECT_EQ(verdict(http_check(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "no descriptor or memory for the check");
}

TEST_P(ProbeTest, ACancelledProbeIsHandedBack) {
  begin(http_check());
  (void)request();
  probe_->cancel();
  EXPECT_EQ(outcome().result, ProbeResult::no_resources);
  EXPECT_EQ(probe_, nullptr);
}

// --- Bare TCP ------------------------------------------------------------------------------------

TEST_P(ProbeTest, AConnectionMayBeAllThatIsAsked) {
  begin(tcp_check("", ""));
  EXPECT_EQ(describe(outcome(), plan_), "ok");
}

TEST_P(ProbeTest, SendsAndExpectsNothing) {
  begin(tcp_check("QUIT\r\n", ""));
  EXPECT_EQ(request("QUIT\r\n"), "QUIT\r\n");
  EXPECT_TRUE(outcome().passed());
}

TEST_P(ProbeTest, FindsWhatIsExpectedAcrossPieces) {
  begin(tcp_check("PING\r\n", "+PONG"));
  EXPECT_EQ(request("\r\n"), "PING\r\n");
  for (const std::string_view piece : {"-LOADING\r\n+P", "O", "NG\r\n"}) {
    EXPECT_FALSE(outcome_);
    answer_and_wait(piece);
  }
  EXPECT_TRUE(outcome().passed());
}

TEST_P(ProbeTest, ABannerNeedsNoQuestion) {
  begin(tcp_check("", "SSH-"));
  accept();
  answer("SSH-2.0-x\r\n");
  EXPECT_TRUE(outcome().passed());
}

TEST_P(ProbeTest, WhatIsExpectedNeverComes) {
  begin(tcp_check("PING\r\n", "+PONG"));
  (void)request("\r\n");
  answer_and_close("-LOADING\r\n");
  EXPECT_EQ(describe(outcome(), plan_), "answer lacks `+PONG`");
}

TEST_P(ProbeTest, ACloseIsNotWhatIsExpected) {
  begin(tcp_check("", "+PONG"));
  accept();
  far_.reset();
  EXPECT_EQ(describe(outcome(), plan_), "closed without an answer");
}

TEST_P(ProbeTest, WhatIsExpectedDoesNotComeInTime) {
  begin(tcp_check("", "+PONG"));
  accept();
  answer("+PON");
  ASSERT_TRUE(loop_.turn_until([&] { return probe_->state() == Probe::State::expecting; }));
  time_is_over();
  EXPECT_EQ(describe(outcome(), plan_), "no answer within 60 s");
}

TEST_P(ProbeTest, AFloodWithoutWhatIsExpectedEnds) {
  begin(tcp_check("", "+PONG"));
  accept();
  answer(std::string(4 * kProbeBodyMax, '.'));
  EXPECT_EQ(describe(outcome(), plan_), "answer too large, without `+PONG`");
}

}  // namespace
}  // namespace weir::upstream
