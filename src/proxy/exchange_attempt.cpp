// Attempts: choosing a server, getting a connection, and what follows when it fails.

#include "proxy/exchange.h"
#include "proxy/worker.h"

#include <string>
#include <utility>

namespace weir::proxy {
namespace {

ProxyError connect_error(os::IoStatus status) {
  switch (status) {
    case os::IoStatus::refused:
    case os::IoStatus::reset: return ProxyError::connect_refused;  // It left during the handshake.
    case os::IoStatus::timed_out: return ProxyError::connect_timeout;
    case os::IoStatus::no_descriptors: return ProxyError::descriptors_exhausted;
    case os::IoStatus::no_memory: return ProxyError::buffers_exhausted;
    default: return ProxyError::connect_unreachable;
  }
}

// Descriptors come back as other connections end, usually within milliseconds: an
// exchange that is short of one looks again this often, for this long.
constexpr std::uint64_t kDescriptorRetryMs = 10;
constexpr std::uint64_t kDescriptorWaitMs = 1'000;

// A client is not kept waiting for more silent servers than this: each costs a whole timeout.
constexpr std::uint8_t kSilentServersMax = 2;

// Ours to solve, not the server's fault.
bool is_local(ProxyError error) {
  return error == ProxyError::descriptors_exhausted || error == ProxyError::buffers_exhausted;
}

}  // namespace

// In state ready: chooses a server, or goes on connecting.
Exchange::Progress Exchange::attempt_server() {
  if (attempt_.connection != nullptr) {
    const os::IoStatus status = attempt_.pick->pool->connect_finish(*attempt_.connection);
    if (status == os::IoStatus::again) return Progress::blocked;
    if (status == os::IoStatus::done) {
      attempt_connected();
    } else {
      attempt_connect_failed(status);
    }
    return Progress::moved;
  }
  if (now_ms() < retry_at_ms_) return Progress::blocked;
  if (!attempt_begin()) {
    answer_no_server();
    return Progress::moved;
  }
  upstream::ServerPool& pool = *attempt_.pick->pool;
  upstream::ServerConnection* kept =
      fresh_only_ ? nullptr : pool.take_idle(!http::is_idempotent(request_.method));
  if (kept != nullptr) {
    attempt_.reused = true;
    attempt_adopt(*kept, true);
    return Progress::moved;
  }
  const upstream::ServerPool::Connecting connecting = pool.connect();
  if (connecting.connection == nullptr) {
    attempt_connect_failed(connecting.status);
    return Progress::moved;
  }
  attempt_adopt(*connecting.connection, connecting.status == os::IoStatus::done);
  return attempt_.connected ? Progress::moved : Progress::blocked;
}

// False when no server may be asked.
bool Exchange::attempt_begin() {
  attempt_ = ServerAttempt{};
  attempt_.pick = backend_->pick(tried_, now_ms());
  if (!attempt_.pick) return false;
  upstream::ServerState& server = attempt_.pick->pool->state();
  server.in_flight.fetch_add(1, std::memory_order_relaxed);
  attempt_.started_ms = now_ms();
  attempt_.started_us = now_us();
  if (!retry_charge()) return false;
  ++attempts_;
  last_server_ = &server;
  return true;
}

// Counts the retry that this attempt is, now that there is a server for it. False when it is
// beyond the budget.
bool Exchange::retry_charge() {
  WorkerCounters& counters = worker_.counters();
  switch (std::exchange(retry_, Retry::none)) {
    case Retry::none: return true;
    case Retry::other_server: counters.retries_other_server.add(); return true;
    case Retry::fresh_connection: counters.retries_fresh_connection.add(); return true;
    case Retry::other_within_budget: break;
  }
  if (!backend_->retry_budget().withdraw(now_ms())) {
    counters.retry_budget_exhausted.add();
    return false;
  }
  counters.retries_budgeted.add();
  return true;
}

void Exchange::attempt_adopt(upstream::ServerConnection& connection, bool connected) {
  attempt_.connection = &connection;
  worker_.loop().redirect(connection, &client_);
  connection.out = std::move(outgoing_);
  response_parser_.begin(http::HeadParser::Mode::response, {});
  if (connected) attempt_connected();
}

void Exchange::attempt_connected() {
  attempt_.connected = true;
  if (!attempt_.reused) {
    connect_us_ = now_us() - attempt_.started_us;
    attempt_report(health::Passive::Event::succeeded);
  }
  attempt_.pick->pool->counters().requests.add();
  request_stall_ = {};
  core_.enter(RequestState::sending);
}

void Exchange::attempt_connect_failed(os::IoStatus status) {
  last_failure_ = connect_error(status);
  const std::uint32_t server = attempt_.pick->server;
  if (is_local(last_failure_)) {
    --attempts_;  // No server was asked.
    attempt_end();
    if (worker_.make_room(client_.listener())) return;
    if (descriptors_waited_ms_ >= kDescriptorWaitMs) return answer_no_server();
    descriptors_waited_ms_ += kDescriptorRetryMs;
    retry_at_ms_ = now_ms() + kDescriptorRetryMs;
    return;
  }
  attempt_.pick->pool->counters().connects_failed.add();
  attempt_report(health::Passive::Event::failed);
  attempt_end();
  if (last_failure_ == ProxyError::connect_timeout) ++silent_servers_;
  retry_ = retry_within_bounds(retry_after(AttemptFacts{}), server);
  if (retry_ == Retry::none) answer_no_server();
}

// What the table allows, within what one client may wait for and how many servers it may bother.
Retry Exchange::retry_within_bounds(Retry retry, std::uint32_t failed_server) {
  if (silent_servers_ >= kSilentServersMax) return Retry::none;
  const bool elsewhere = retry == Retry::other_server || retry == Retry::other_within_budget;
  return elsewhere && !tried_.exclude(failed_server) ? Retry::none : retry;
}

// No server is left to be asked: the last failure tells why.
void Exchange::answer_no_server() {
  Refusal cause = refusal(last_failure_, broken_rule_);
  if (cause.status == 503 && !is_local(last_failure_)) {
    cause.status = plan_->unavailable_status;
    cause.retry_after_s = 1;
  }
  answer(cause);
}

// The attempt has a connection, and it or the server's answer is of no use.
void Exchange::attempt_failed(ProxyError error, bool timed_out) {
  if (core_.response() != ResponseState::none) {
    break_response(refusal(error, broken_rule_));
    return;
  }
  AttemptFacts facts;
  facts.connected = true;
  facts.reused = attempt_.reused;
  facts.sent = sent_to_server();
  facts.answer_begun = attempt_.answer_begun;
  facts.held = request_flow_.repeatable();
  facts.whole = facts.held && request_flow_.decoded();
  facts.idempotent = http::is_idempotent(request_.method);
  facts.timed_out = timed_out;
  attempt_.pick->pool->counters().errors.add();
  if (timed_out) ++silent_servers_;
  retry_ = retry_within_bounds(retry_after(facts), attempt_.pick->server);
  if (retry_ == Retry::none) {
    answer(refusal(error, broken_rule_));
    return;
  }
  last_failure_ = error;
  fresh_only_ = true;
  attempt_end();
  core_.enter(RequestState::ready);
}

bool Exchange::sent_to_server() const {
  return attempt_.connection->out.consumed() > 0 || !request_flow_.repeatable();
}

void Exchange::attempt_report(health::Passive::Event event) {
  if (attempt_.reported) return;
  attempt_.reported = true;
  if (!backend_->report(*attempt_.pick, event, now_ms())) return;
  const upstream::ServerState& server = attempt_.pick->pool->state();
  std::string text = "server " + server.backend() + "/" + server.name();
  if (event == health::Passive::Event::failed) {
    text += " is avoided for a while: ";
    text += refusal(last_failure_).word;
  } else {
    text += " takes connections again";
  }
  worker_.log_event(text);
}

// Safe to call at any time. The outgoing bytes come back for the next attempt.
void Exchange::attempt_end() {
  if (!attempt_.pick) return;
  if (!attempt_.reported) attempt_report(health::Passive::Event::abandoned);
  upstream::ServerPool& pool = *attempt_.pick->pool;
  pool.state().in_flight.fetch_sub(1, std::memory_order_relaxed);
  if (upstream::ServerConnection* connection = attempt_.connection) {
    outgoing_ = std::move(connection->out);
    outgoing_.rewind();
    if (core_.server_reusable()) {
      outgoing_.release();
      pool.put_back(*connection, server_idle_ms_);
    } else {
      pool.close(*connection);
    }
  }
  attempt_.pick.reset();
  attempt_.connection = nullptr;
}

}  // namespace weir::proxy
