#include "proxy/backend_compiler.h"

#include <algorithm>
#include <string>
#include <vector>

#include "balance/maglev.h"
#include "config/text.h"
#include "upstream/sticky_plan.h"

namespace weir::proxy {
namespace {

using config::Balance;
using upstream::HashSource;

std::uint64_t ms(config::Milliseconds duration) {
  return static_cast<std::uint64_t>(duration.count());
}

std::uint64_t us(config::Milliseconds duration) { return ms(duration) * 1000; }

std::uint32_t ms32(config::Milliseconds duration) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(ms(duration), UINT32_MAX));
}

balance::Algorithm algorithm_of(Balance balance) {
  switch (balance) {
    case Balance::round_robin: return balance::Algorithm::round_robin;
    case Balance::least_connections: return balance::Algorithm::least_connections;
    case Balance::p2c: return balance::Algorithm::p2c;
    case Balance::ewma: return balance::Algorithm::ewma;
    case Balance::least_load: return balance::Algorithm::least_load;
    case Balance::random: return balance::Algorithm::random;
    case Balance::first: return balance::Algorithm::first;
    case Balance::ip_hash:
    case Balance::uri_hash:
    case Balance::header_hash:
    case Balance::cookie_hash:
    case Balance::query_hash: return balance::Algorithm::maglev;
  }
  return balance::Algorithm::p2c;
}

HashSource hash_source_of(Balance balance) {
  switch (balance) {
    case Balance::ip_hash: return HashSource::address;
    case Balance::uri_hash: return HashSource::uri;
    case Balance::header_hash: return HashSource::header;
    case Balance::cookie_hash: return HashSource::cookie;
    case Balance::query_hash: return HashSource::query;
    default: return HashSource::none;
  }
}

void compile_servers(const config::Backend& from, SharedState& shared,
                     upstream::BackendPlan& plan) {
  plan.limited = from.limit.has_value() || from.health.load_report;
  for (const config::Server& server : from.servers) {
    const std::uint32_t limit = server.limit.value_or(from.server_limit.value_or(0));
    plan.gate.servers.push_back(
        {&shared.server(from.name, server), server.weight, server.priority, limit});
    plan.limited = plan.limited || limit > 0;
    plan.tiered = plan.tiered || server.priority != from.servers.front().priority;
  }
  plan.gate.limit_of_all = from.limit.value_or(0);
  plan.gate.queue_size = from.queue.size;
  plan.gate.codel = {us(from.queue.target), us(from.queue.target_interval)};
}

// Tables are alike on every node: made of names, and of addresses where a name has several.
balance::SharedMaglev maglev_of(const config::Backend& from) {
  std::vector<std::string_view> names;
  std::vector<std::uint32_t> weights;
  for (const config::Server& server : from.servers) {
    names.push_back(server.name);
    weights.push_back(server.weight);
  }
  return balance::Maglev::make(names, weights);
}

void compile_balance(const config::Backend& from, upstream::BackendPlan& plan) {
  plan.balance.algorithm = algorithm_of(from.balance);
  plan.balance.hash_load_percent = from.hash_load_percent;
  if (plan.balance.algorithm == balance::Algorithm::maglev) plan.balance.maglev = maglev_of(from);
  plan.hash_source = hash_source_of(from.balance);
  plan.hash_key =
      plan.hash_source == HashSource::header ? config::lower(from.hash_key) : from.hash_key;
  plan.reports_load = from.balance == Balance::least_load;
  plan.probe_every =
      from.health.type == config::HealthCheck::Type::none ? 0 : from.health.every_requests;
}

void compile_failures(const config::Backend& from, upstream::BackendPlan& plan) {
  plan.ejects = from.ejection.enabled;
  plan.max_ejected_percent = from.ejection.max_ejected_percent;
  health::PassiveSettings& passive = plan.passive;
  passive.consecutive_errors =
      static_cast<std::uint8_t>(std::min(from.ejection.consecutive_errors, 255U));
  passive.ejection_ms = ms32(from.ejection.time);
  passive.ejection_ms_max = ms32(from.ejection.time_max);
  // Above the timeouts, so that a trial which is only slow is not doubled.
  passive.trial_ms_max = ms32(from.timeouts.connect) + 1'000;
  passive.answer_trial_ms_max =
      ms32(from.timeouts.connect) + ms32(from.timeouts.response_head) + 1'000;
  upstream::RetryPlan& retry = plan.retry;
  retry.enabled = from.retry.enabled;
  retry.max = from.retry.max;
  retry.statuses = from.retry.statuses;
  std::ranges::sort(retry.statuses);
  retry.backoff_ms = ms(from.retry.backoff);
  retry.backoff_max_ms = ms(from.retry.backoff_max);
  retry.budget_percent = from.retry.budget_percent;
  retry.try_timeout_ms = ms(from.retry.try_timeout.value_or(config::Milliseconds{0}));
  plan.gate.pending_limit = from.server_pending_limit;
  plan.gate.retry_limit = from.server_retry_limit;
  plan.gate.fail_open = from.panic_percent > 0;
  plan.slow_start_ms = ms(from.slow_start);
}

void compile_timeouts(const config::Backend& from, upstream::BackendPlan& plan) {
  plan.connect_timeout_ms = ms(from.timeouts.connect);
  plan.response_head_timeout_ms = ms(from.timeouts.response_head);
  plan.response_body_timeout_ms = ms(from.timeouts.response_body);
  plan.idle_timeout_ms = ms(from.timeouts.idle);
  plan.request_timeout_ms = ms(from.request_timeout.value_or(config::Milliseconds{0}));
  plan.queue_timeout_ms = ms(from.queue.timeout);
}

}  // namespace

upstream::BackendPlan compile_backend(const config::Backend& from, SharedState& shared,
                                      upstream::BackendState& state) {
  upstream::BackendPlan plan;
  plan.name = from.name;
  plan.state = &state;
  plan.unavailable_status = from.unavailable_status;
  plan.send_proxy = from.send_proxy;
  plan.congestion = from.congestion;
  plan.tcp_keepalive_s = static_cast<unsigned>(from.tcp_keepalive.count() / 1000);
  plan.priority_header = config::lower(from.queue.priority_header);
  compile_servers(from, shared, plan);
  compile_balance(from, plan);
  compile_failures(from, plan);
  compile_timeouts(from, plan);
  if (!from.sticky.cookie.empty()) {
    std::vector<upstream::ServerState*> states;
    for (const upstream::GatePlan::Server& server : plan.gate.servers) {
      states.push_back(server.state);
    }
    plan.sticky = std::make_unique<const upstream::StickyPlan>(from.sticky, states);
  }
  return plan;
}

}  // namespace weir::proxy
