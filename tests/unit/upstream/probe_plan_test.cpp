#include "upstream/probe_plan.h"

#include <gmock/gmock.h>

#include "checks.h"
#include "upstream/probe_outcome.h"

namespace weir::upstream {
namespace {

using config::HealthCheck;
using test::http_check;
using test::server_at;
using testing::HasSubstr;

TEST(ProbePlanTest, AHostAndAUserAgentMayBeGiven) {
  HealthCheck check = http_check();
  check.method = "POST";
  check.host = "app.example";
  check.headers = {{"USER-agent", "me"}};
  const ProbePlan plan = make_probe_plan(check, server_at(80), 0, "weir");
  EXPECT_EQ(plan.send,
            "POST / HTTP/1.1\r\nHost: app.example\r\nUSER-agent: me\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n");
}

TEST(ProbePlanTest, TheHostIsTheAddressThatIsAsked) {
  HealthCheck check = http_check();
  config::Server server = server_at(80);
  EXPECT_THAT(make_probe_plan(check, server, 0, "weir").send, HasSubstr("Host: 127.0.0.1:80\r\n"));
  check.port = 8081;
  EXPECT_THAT(make_probe_plan(check, server, 0, "weir").send,
              HasSubstr("Host: 127.0.0.1:8081\r\n"));
  EXPECT_EQ(make_probe_plan(check, server, 0, "weir").address_text, "127.0.0.1:8081");
  server.host = config::HostName{"app.example", 80};
  EXPECT_THAT(make_probe_plan(check, server, 0, "weir").send,
              HasSubstr("Host: app.example:8081\r\n"));
  server.host = config::HostName{"_http._tcp.example", 0};
  EXPECT_THAT(make_probe_plan(check, server, 0, "weir").send,
              HasSubstr("Host: 127.0.0.1:8081\r\n"));
  server.host.reset();
  server.address = {config::Endpoint::Family::unix_path, "/run/app.sock", 0};
  const ProbePlan plan = make_probe_plan(check, server, 0, "weir");
  EXPECT_THAT(plan.send, HasSubstr("Host: localhost\r\n"));
  EXPECT_EQ(plan.address_text, "unix:/run/app.sock");
  server.address = {config::Endpoint::Family::ipv6, "::1", 80};
  EXPECT_THAT(make_probe_plan(check, server, 0, "weir").send, HasSubstr("Host: [::1]:8081\r\n"));
}

TEST(ProbePlanTest, RangesOfStatusesIncludeTheirEnds) {
  ProbePlan plan;
  plan.expect_status = {{200, 204}, {301, 301}};
  for (const int good : {200, 203, 204, 301}) {
    EXPECT_TRUE(plan.expects(static_cast<std::uint16_t>(good))) << good;
  }
  for (const int bad : {100, 199, 205, 300, 302, 599}) {
    EXPECT_FALSE(plan.expects(static_cast<std::uint16_t>(bad))) << bad;
  }
}

TEST(ProbeOutcomeTest, EveryResultHasItsWord) {
  std::vector<std::string_view> words;
  for (std::size_t i = 0; i < kProbeResultCount; ++i) {
    const auto result = static_cast<ProbeResult>(i);
    EXPECT_NE(to_string(result), "?");
    EXPECT_THAT(words, testing::Not(testing::Contains(to_string(result))));
    words.push_back(to_string(result));
    ProbeOutcome outcome;
    outcome.result = result;
    EXPECT_NE(describe(outcome, ProbePlan{}), "?");
  }
}

TEST(ProbePlanTest, BareTcpSendsItsOwnBytes) {
  HealthCheck check;
  check.type = HealthCheck::Type::tcp;
  check.path = "/unused";
  check.expect_body = "unused";
  check.send = "PING\r\n";
  check.expect = "+PONG";
  check.timeout = config::Milliseconds(1'500);
  const ProbePlan plan = make_probe_plan(check, server_at(6379), 0, "weir");
  EXPECT_FALSE(plan.http);
  EXPECT_EQ(plan.send, "PING\r\n");
  EXPECT_EQ(plan.expect, "+PONG");
  EXPECT_EQ(plan.timeout_ms, 1'500u);
}

TEST(ProbePlanTest, AServerThatWantsAnIntroductionGetsOneForNobody) {
  config::Server server = server_at(80);
  HealthCheck check = http_check();
  EXPECT_THAT(make_probe_plan(check, server, 1, "weir").send,
              testing::StartsWith("PROXY UNKNOWN\r\nGET "));
  const std::string v2 = make_probe_plan(check, server, 2, "weir").send;
  EXPECT_EQ(v2.substr(0, 13), std::string("\r\n\r\n\0\r\nQUIT\n\x20", 13));
  check.port = 8081;
  EXPECT_THAT(make_probe_plan(check, server, 1, "weir").send, testing::StartsWith("GET "));
}

TEST(ProbeOutcomeTest, AnOutcomeIsOneLineForPeople) {
  ProbePlan plan = make_probe_plan(http_check(), server_at(80), 0, "weir");
  plan.expect = std::string(50, 'x') + "\n";
  ProbeOutcome outcome;
  outcome.result = ProbeResult::lacks_text;
  EXPECT_EQ(describe(outcome, plan), "body lacks `" + std::string(40, 'x') + "...`");
  plan.expect = "a\nb";
  EXPECT_EQ(describe(outcome, plan), "body lacks `a?b`");
  plan.timeout_ms = 1'500;
  outcome.result = ProbeResult::answer_timeout;
  EXPECT_EQ(describe(outcome, plan), "no answer within 1500 ms");
}

}  // namespace
}  // namespace weir::upstream
