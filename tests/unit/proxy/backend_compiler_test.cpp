#include "proxy/backend_compiler.h"

#include <gtest/gtest.h>

#include "balance/maglev.h"

namespace weir::proxy {
namespace {

using config::Balance;
using config::Milliseconds;
using upstream::HashSource;

class BackendCompilerTest : public testing::Test {
 protected:
  BackendCompilerTest() {
    from.name = "app";
    for (const char* name : {"a", "b"}) {
      config::Server& server = from.servers.emplace_back();
      server.name = name;
      server.address = {config::Endpoint::Family::ipv4, "192.0.2.1", 80};
    }
  }
  upstream::BackendPlan compile() { return compile_backend(from, shared, shared.backend("app")); }

  config::Backend from;
  SharedState shared{1, 0};
};

TEST_F(BackendCompilerTest, TheServersAndTheirState) {
  from.servers[1].weight = 7;
  from.servers[1].priority = 2;
  from.unavailable_status = 500;
  const upstream::BackendPlan plan = compile();
  EXPECT_EQ(plan.name, "app");
  EXPECT_EQ(plan.state, &shared.backend("app"));
  EXPECT_EQ(plan.unavailable_status, 500u);
  ASSERT_EQ(plan.gate.servers.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(plan.gate.servers[i].state, &shared.server("app", from.servers[i]));
    EXPECT_EQ(plan.gate.servers[i].weight, from.servers[i].weight);
    EXPECT_EQ(plan.gate.servers[i].priority, from.servers[i].priority);
    EXPECT_EQ(plan.gate.servers[i].limit, 0u);
  }
}

TEST_F(BackendCompilerTest, TiersAreLookedAtWhenThereAreSeveral) {
  EXPECT_FALSE(compile().tiered);
  from.servers[0].priority = from.servers[1].priority = 4;
  EXPECT_FALSE(compile().tiered);
  from.servers[1].priority = 0;
  EXPECT_TRUE(compile().tiered);
}

TEST_F(BackendCompilerTest, TheGateIsAskedWhenSomethingMayBeLimited) {
  EXPECT_FALSE(compile().limited);
  from.server_limit = 9;
  from.servers[1].limit = 3;
  upstream::BackendPlan plan = compile();
  EXPECT_TRUE(plan.limited);
  EXPECT_EQ(plan.gate.servers[0].limit, 9u);
  EXPECT_EQ(plan.gate.servers[1].limit, 3u);
  EXPECT_EQ(plan.gate.limit_of_all, 0u);
  from.server_limit.reset();
  plan = compile();
  EXPECT_TRUE(plan.limited) << "by one server's own";
  EXPECT_EQ(plan.gate.servers[0].limit, 0u);
  from.servers[1].limit.reset();
  from.limit = 20;
  plan = compile();
  EXPECT_TRUE(plan.limited);
  EXPECT_EQ(plan.gate.limit_of_all, 20u);
  from.limit.reset();
  from.health.load_report = true;
  EXPECT_TRUE(compile().limited) << "a server may ask for a limit in its report";
}

TEST_F(BackendCompilerTest, Queue) {
  from.queue = {11, Milliseconds{12}, Milliseconds{13}, Milliseconds{14}, "X-Priority"};
  const upstream::BackendPlan plan = compile();
  EXPECT_EQ(plan.gate.queue_size, 11u);
  EXPECT_EQ(plan.queue_timeout_ms, 12u);
  EXPECT_EQ(plan.gate.codel.target_us, 13'000u);
  EXPECT_EQ(plan.gate.codel.interval_us, 14'000u);
  EXPECT_EQ(plan.priority_header, "x-priority") << "field names are compared in lower case";
}

TEST_F(BackendCompilerTest, EveryNameOfBalance) {
  using balance::Algorithm;
  const struct {
    Balance name;
    Algorithm algorithm;
    HashSource source;
  } cases[] = {
      {Balance::round_robin, Algorithm::round_robin, HashSource::none},
      {Balance::least_connections, Algorithm::least_connections, HashSource::none},
      {Balance::p2c, Algorithm::p2c, HashSource::none},
      {Balance::ewma, Algorithm::ewma, HashSource::none},
      {Balance::least_load, Algorithm::least_load, HashSource::none},
      {Balance::random, Algorithm::random, HashSource::none},
      {Balance::first, Algorithm::first, HashSource::none},
      {Balance::ip_hash, Algorithm::maglev, HashSource::address},
      {Balance::uri_hash, Algorithm::maglev, HashSource::uri},
      {Balance::header_hash, Algorithm::maglev, HashSource::header},
      {Balance::cookie_hash, Algorithm::maglev, HashSource::cookie},
      {Balance::query_hash, Algorithm::maglev, HashSource::query},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(static_cast<int>(each.name));
    from.balance = each.name;
    const upstream::BackendPlan plan = compile();
    EXPECT_EQ(plan.balance.algorithm, each.algorithm);
    EXPECT_EQ(plan.hash_source, each.source);
    EXPECT_EQ(plan.balance.maglev != nullptr, each.algorithm == Algorithm::maglev);
    EXPECT_EQ(plan.reports_load, each.name == Balance::least_load);
  }
}

TEST_F(BackendCompilerTest, HashKeys) {
  from.hash_key = "User-Id";
  from.hash_load_percent = 130;
  from.balance = Balance::header_hash;
  EXPECT_EQ(compile().hash_key, "user-id");
  EXPECT_EQ(compile().balance.hash_load_percent, 130u);
  from.balance = Balance::cookie_hash;
  EXPECT_EQ(compile().hash_key, "User-Id") << "cookies and parameters have case";
  from.balance = Balance::query_hash;
  EXPECT_EQ(compile().hash_key, "User-Id");
}

TEST_F(BackendCompilerTest, ProbesByRequestsNeedACheck) {
  from.health.every_requests = 50;
  EXPECT_EQ(compile().probe_every, 0u);
  from.health.type = config::HealthCheck::Type::tcp;
  EXPECT_EQ(compile().probe_every, 50u);
}

TEST_F(BackendCompilerTest, Ejection) {
  from.ejection = {.enabled = false,
                   .consecutive_errors = 9,
                   .time = Milliseconds{1'100},
                   .time_max = Milliseconds{2'200},
                   .max_ejected_percent = 33};
  from.timeouts.connect = Milliseconds{3'000};
  from.timeouts.response_head = Milliseconds{7'000};
  upstream::BackendPlan plan = compile();
  EXPECT_FALSE(plan.ejects);
  EXPECT_EQ(plan.max_ejected_percent, 33u);
  EXPECT_EQ(plan.passive.consecutive_errors, 9u);
  EXPECT_EQ(plan.passive.ejection_ms, 1'100u);
  EXPECT_EQ(plan.passive.ejection_ms_max, 2'200u);
  EXPECT_GT(plan.passive.trial_ms_max, 3'000u) << "a slow trial is not a lost one";
  EXPECT_GT(plan.passive.answer_trial_ms_max, 10'000u);
  from.ejection.consecutive_errors = 1'000;
  EXPECT_EQ(compile().passive.consecutive_errors, 255u) << "as far as it counts";
  from.ejection.consecutive_errors = 0;
  EXPECT_EQ(compile().passive.consecutive_errors, 0u) << "never for that";
}

TEST_F(BackendCompilerTest, Retry) {
  from.retry = {false, 6, {503, 500, 502}, Milliseconds{1}, Milliseconds{2}, 3, Milliseconds{4}};
  upstream::BackendPlan plan = compile();
  EXPECT_FALSE(plan.retry.enabled);
  EXPECT_EQ(plan.retry.max, 6u);
  EXPECT_EQ(plan.retry.statuses, (std::vector<std::uint16_t>{500, 502, 503})) << "to be searched";
  EXPECT_EQ(plan.retry.backoff_ms, 1u);
  EXPECT_EQ(plan.retry.backoff_max_ms, 2u);
  EXPECT_EQ(plan.retry.budget_percent, 3u);
  EXPECT_EQ(plan.retry.try_timeout_ms, 4u);
  from.retry.try_timeout.reset();
  EXPECT_EQ(compile().retry.try_timeout_ms, 0u);
}

TEST_F(BackendCompilerTest, BreakersSlowStartAndPanic) {
  from.server_pending_limit = 5;
  from.server_retry_limit = 6;
  from.slow_start = Milliseconds{7};
  upstream::BackendPlan plan = compile();
  EXPECT_EQ(plan.gate.pending_limit, 5u);
  EXPECT_EQ(plan.gate.retry_limit, 6u);
  EXPECT_EQ(plan.slow_start_ms, 7u);
  EXPECT_TRUE(plan.gate.fail_open);
  from.panic_percent = 0;
  EXPECT_FALSE(compile().gate.fail_open);
}

TEST_F(BackendCompilerTest, Timeouts) {
  from.timeouts = {Milliseconds{1}, Milliseconds{2}, Milliseconds{3}, Milliseconds{4}};
  upstream::BackendPlan plan = compile();
  EXPECT_EQ(plan.connect_timeout_ms, 1u);
  EXPECT_EQ(plan.response_head_timeout_ms, 2u);
  EXPECT_EQ(plan.response_body_timeout_ms, 3u);
  EXPECT_EQ(plan.idle_timeout_ms, 4u);
  EXPECT_EQ(plan.request_timeout_ms, 0u);
  from.request_timeout = Milliseconds{5};
  EXPECT_EQ(compile().request_timeout_ms, 5u);
}

TEST_F(BackendCompilerTest, StickyNamesTheServersOfThePlan) {
  EXPECT_EQ(compile().sticky, nullptr);
  from.sticky.cookie = "id";
  const upstream::BackendPlan plan = compile();
  ASSERT_NE(plan.sticky, nullptr);
  const std::string line(plan.sticky->set_cookie(1));
  EXPECT_TRUE(line.starts_with("Set-Cookie: id=")) << line;
  const std::string cookie = line.substr(12, line.find(';') - 12);
  EXPECT_EQ(plan.sticky->server_of(cookie), 1u);
}

}  // namespace
}  // namespace weir::proxy
