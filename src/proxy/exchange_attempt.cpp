// Attempts: choosing a server, getting a connection, and what follows when it fails.

#include "proxy/exchange.h"
#include "proxy/worker.h"

#include <algorithm>
#include <string>
#include <utility>

#include "upstream/backend_state.h"

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

// No server can be asked: the backend may name another status for that.
bool is_about_servers(ProxyError error) {
  return error == ProxyError::no_healthy_server || error == ProxyError::connect_refused ||
         error == ProxyError::connect_unreachable;
}

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
  if (ticket_ != nullptr || now_ms() < retry_at_ms_) return Progress::blocked;
  switch (attempt_begin()) {
    case Found::server: break;
    case Found::place_in_queue: return Progress::blocked;
    case Found::nothing: answer_no_server(); return Progress::moved;
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

Exchange::Found Exchange::attempt_begin() {
  attempt_ = ServerAttempt{};
  const Found found = find_server();
  if (found != Found::server) return found;
  attempt_.started_ms = now_ms();
  attempt_.started_us = now_us();
  if (!retry_charge()) return Found::nothing;
  last_attempt_us_ = now_us();
  ++attempts_;
  last_server_ = &attempt_.pick->pool->state();
  return Found::server;
}

Exchange::Found Exchange::find_server() {
  if (dropped_) return Found::nothing;
  if (granted_) {
    attempt_.pick = std::exchange(granted_, std::nullopt);
    return Found::server;
  }
  const upstream::Backend::Picked picked =
      backend_->pick(*plan_, {tried_, bound_server_, is_retry()}, now_us());
  switch (picked.outcome) {
    case upstream::Backend::Outcome::picked: attempt_.pick = picked.pick; return Found::server;
    case upstream::Backend::Outcome::full: return enter_queue();
    case upstream::Backend::Outcome::broken: last_failure_ = ProxyError::circuit_open; break;
    case upstream::Backend::Outcome::none: break;
  }
  return Found::nothing;
}

// --- The queue -----------------------------------------------------------------------------------

Exchange::Found Exchange::enter_queue() {
  const upstream::Gate::Entry entry =
      plan_->state->gate.enter(worker_.tickets(), *this, plan_->gate, tried_, priority_, now_us());
  switch (entry.admission) {
    case upstream::Gate::Admission::granted:
      attempt_.pick = backend_->adopt(*plan_, entry.server, is_retry(), now_us());
      return Found::server;
    case upstream::Gate::Admission::waiting:
      ticket_ = entry.ticket;
      queue_since_us_ = now_us();
      return Found::place_in_queue;
    case upstream::Gate::Admission::refused: break;
  }
  if (attempts_ == 0) last_failure_ = ProxyError::queue_full;
  return Found::nothing;
}

void Exchange::granted(std::uint32_t server, std::uint64_t waited_us) {
  ticket_ = nullptr;
  queued_us_ += waited_us;
  granted_ = backend_->adopt(*plan_, server, is_retry(), now_us());
  worker_.loop().schedule(client_);
}

void Exchange::dropped(upstream::DropReason reason) {
  ticket_ = nullptr;
  queued_us_ += now_us() - queue_since_us_;
  dropped_ = true;
  last_failure_ = reason == upstream::DropReason::displaced ? ProxyError::queue_full
                                                            : ProxyError::queue_dropped;
  worker_.loop().schedule(client_);
}

// Safe to call at any time. A slot that was handed over in the meantime goes on.
void Exchange::leave_queue(upstream::Gate::Leaving why) {
  if (ticket_ != nullptr) {
    queued_us_ += now_us() - queue_since_us_;
    plan_->state->gate.leave(*std::exchange(ticket_, nullptr), why, now_us());
  }
  if (!granted_) return;
  (void)backend_->report(*plan_, *granted_, health::Passive::Event::abandoned, now_us());
  backend_->release(*plan_, *granted_, now_us());
  granted_.reset();
}

// --- Trying again --------------------------------------------------------------------------------

// Counts the retry that this attempt is, now that there is a server for it. False when it is
// beyond the budget.
bool Exchange::retry_charge() {
  WorkerCounters& counters = worker_.counters();
  switch (std::exchange(retry_, Retry::none)) {
    case Retry::none: return true;
    case Retry::fresh_connection: counters.retries_fresh_connection.add(); return true;
    case Retry::other_server:
      ++retries_;
      counters.retries_other_server.add();
      return true;
    case Retry::other_within_budget: break;
  }
  ++retries_;
  return std::exchange(retry_paid_, false) || retry_withdraw();
}

bool Exchange::retry_withdraw() {
  WorkerCounters& counters = worker_.counters();
  const bool others_do_well = backend_->did_well_since(last_attempt_us_);
  if (plan_->retry.budget_percent == 0 ||
      !backend_->retry_budget().withdraw(now_ms(), others_do_well)) {
    counters.retry_budget_exhausted.add();
    return false;
  }
  counters.retries_budgeted.add();
  return true;
}

// The first retry goes elsewhere at once. Further ones wait, and what waits is charged already, so
// that a crowd of them cannot gather.
void Exchange::retry_later() {
  if (retry_ != Retry::other_within_budget || retries_ == 0) return;
  if (!backend_->has_other(*plan_, tried_, now_us())) return;
  retry_paid_ = retry_withdraw();
  if (retry_paid_) return retry_backoff();
  retry_ = Retry::none;
}

void Exchange::retry_backoff() {
  if (retries_ == 0) return;
  const upstream::RetryPlan& plan = plan_->retry;
  const std::uint32_t doublings = std::min(retries_ - 1, 16U);
  const std::uint64_t wait_ms = std::min(plan.backoff_ms << doublings, plan.backoff_max_ms);
  retry_at_ms_ = now_ms() + wait_ms - (wait_ms / 2 * backend_->random() >> 32);
}

// An answer that the configuration would rather have from another server, if the request can go
// there. Otherwise it is the client's.
bool Exchange::retry_for_status(std::uint16_t status) {
  const std::vector<std::uint16_t>& statuses = plan_->retry.statuses;
  if (statuses.empty() || !std::ranges::binary_search(statuses, status)) return false;
  const AttemptFacts facts = attempt_facts();
  if (!facts.whole || !facts.idempotent || !retries_left()) return false;
  balance::Attempt others = tried_;
  if (!others.exclude(attempt_.pick->server)) return false;
  if (!backend_->has_other(*plan_, others, now_us())) return false;
  last_failure_ = ProxyError::upstream_status;
  if (!retry_withdraw()) return false;
  attempt_answered(status);
  tried_ = others;
  retry_ = Retry::other_within_budget;
  retry_paid_ = true;
  retry_backoff();
  attempt_end();
  core_.enter(RequestState::ready);
  return true;
}

void Exchange::attempt_adopt(upstream::ServerConnection& connection, bool connected) {
  attempt_.connection = &connection;
  worker_.loop().redirect(connection, &client_);
  connection.out = std::move(outgoing_);
  response_parser_.begin(http::HeadParser::Mode::response, {});
  if (connected) return attempt_connected();
  attempt_.pending = true;
  attempt_.pick->pool->state().pending.fetch_add(1, std::memory_order_relaxed);
}

void Exchange::attempt_connected() {
  attempt_.connected = true;
  attempt_not_pending();
  if (!attempt_.reused) {
    connect_us_ = now_us() - attempt_.started_us;
    attempt_report(health::Passive::Event::succeeded);
  }
  attempt_.pick->pool->counters().requests.add();
  if (plan_->probe_every > 0) {
    attempt_.pick->pool->state().count_towards_probe(plan_->probe_every, worker_.control());
  }
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
  attempt_conclude(health::Passive::Event::failed);
  attempt_end();
  if (last_failure_ == ProxyError::connect_timeout) ++silent_servers_;
  retry_ = retry_within_bounds(retry_after(AttemptFacts{}), server);
  if (retry_ == Retry::none) answer_no_server();
}

// What the table allows, within what the configuration allows, one client may wait for, and one
// request may bother.
Retry Exchange::retry_within_bounds(Retry retry, std::uint32_t failed_server) {
  if (silent_servers_ >= kSilentServersMax) return Retry::none;
  const bool elsewhere = retry == Retry::other_server || retry == Retry::other_within_budget;
  if (!elsewhere) return retry;
  return retries_left() && tried_.exclude(failed_server) ? retry : Retry::none;
}

bool Exchange::retries_left() const { return plan_->retry.enabled && retries_ < plan_->retry.max; }

// No server is left to be asked: the last failure tells why.
void Exchange::answer_no_server() {
  Refusal cause = refusal(last_failure_, broken_rule_);
  if (cause.status == 503) cause.retry_after_s = 1;
  if (cause.status == 503 && is_about_servers(last_failure_)) {
    cause.status = plan_->unavailable_status;
  }
  answer(cause);
}

// The attempt has a connection, and it or the server's answer is of no use.
void Exchange::attempt_failed(ProxyError error, bool timed_out) {
  if (core_.response() != ResponseState::none) {
    break_response(refusal(error, broken_rule_));
    return;
  }
  AttemptFacts facts = attempt_facts();
  facts.timed_out = timed_out;
  facts.broken = !timed_out;
  attempt_.pick->pool->counters().errors.add();
  if (timed_out) ++silent_servers_;
  const bool stale = attempt_.reused && !attempt_.answer_begun && !timed_out;
  if (!stale) attempt_erred(error);
  retry_ = retry_within_bounds(retry_after(facts), attempt_.pick->server);
  last_failure_ = error;
  retry_later();
  if (retry_ == Retry::none) {
    answer(refusal(error, broken_rule_));
    return;
  }
  fresh_only_ = true;
  attempt_end();
  core_.enter(RequestState::ready);
}

AttemptFacts Exchange::attempt_facts() const {
  AttemptFacts facts;
  facts.connected = true;
  facts.reused = attempt_.reused;
  facts.sent = sent_to_server();
  facts.answer_begun = attempt_.answer_begun;
  facts.held = request_flow_.repeatable();
  facts.whole = facts.held && request_flow_.decoded();
  facts.idempotent = http::is_idempotent(request_.method);
  return facts;
}

bool Exchange::sent_to_server() const {
  return attempt_.connection->out.consumed() > 0 || !request_flow_.repeatable();
}

// --- What is told about the server ---------------------------------------------------------------

// Errors that say something about the server, not about the request.
void Exchange::attempt_answered(std::uint16_t status) {
  const bool bad = status == 500 || status == 502 || status == 503 || status == 504;
  note_answer(bad);
  attempt_conclude(bad ? health::Passive::Event::erred : health::Passive::Event::answered);
}

void Exchange::attempt_erred(ProxyError error) {
  note_answer(true);
  last_failure_ = error;
  attempt_conclude(health::Passive::Event::erred);
}

void Exchange::note_answer(bool bad) {
  if (attempt_.reported) return;
  upstream::ServerCounters& counters = attempt_.pick->pool->counters();
  counters.answers.add();
  if (bad) counters.answers_bad.add();
  backend_->observe(*attempt_.pick, now_us(), bad);
}

void Exchange::attempt_conclude(health::Passive::Event event) {
  if (std::exchange(attempt_.reported, true)) return;
  attempt_report(event);
}

void Exchange::attempt_report(health::Passive::Event event) {
  if (!backend_->report(*plan_, *attempt_.pick, event, now_us())) return;
  const upstream::ServerState& server = attempt_.pick->pool->state();
  std::string text = "server " + server.backend() + "/" + server.name();
  switch (event) {
    case health::Passive::Event::failed:
      text += " is ejected for a while: ";
      text += refusal(last_failure_).word;
      break;
    case health::Passive::Event::erred: text += " is ejected for a while: errors in a row"; break;
    default: text += " takes requests again"; break;
  }
  worker_.log_event(text);
}

// Safe to call at any time. The outgoing bytes come back for the next attempt.
void Exchange::attempt_end() {
  leave_queue(upstream::Gate::Leaving::abandoned);
  if (!attempt_.pick) return;
  attempt_conclude(health::Passive::Event::abandoned);
  attempt_not_pending();
  upstream::ServerPool& pool = *attempt_.pick->pool;
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
  backend_->release(*plan_, *attempt_.pick, now_us());
  attempt_.pick.reset();
  attempt_.connection = nullptr;
}

void Exchange::attempt_not_pending() {
  if (!std::exchange(attempt_.pending, false)) return;
  attempt_.pick->pool->state().pending.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace weir::proxy
