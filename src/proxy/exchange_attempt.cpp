// Attempts: choosing a server, getting a connection, and what follows when it fails.

#include "proxy/exchange.h"
#include "proxy/worker.h"

#include <algorithm>
#include <utility>

#include "proxy/server_report.h"

namespace weir::proxy {
namespace {

// No server can be asked: the backend may name another status for that.
bool is_about_servers(ProxyError error) {
  return error == ProxyError::no_healthy_server || error == ProxyError::connect_refused ||
         error == ProxyError::connect_unreachable;
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
  if (choice_.waiting()) {
    ask_who_hung_up();
    return Progress::blocked;
  }
  if (now_ms() < retry_at_ms_) return Progress::blocked;
  switch (attempt_begin()) {
    case Found::server: break;
    case Found::place_in_queue: ask_who_hung_up(); return Progress::blocked;
    case Found::nothing: answer_no_server(); return Progress::moved;
  }
  upstream::ServerPool& pool = *attempt_.pick->pool;
  const bool fresh = fresh_only_ || request_.method == http::MethodId::connect;
  upstream::ServerConnection* kept =
      fresh ? nullptr : pool.take_idle(connection_owner(), !http::is_idempotent(request_.method));
  if (kept != nullptr) {
    attempt_.reused = true;
    attempt_adopt(*kept, true);
    return send_request();
  }
  const upstream::ServerPool::Connecting connecting =
      pool.connect(connection_owner(), plan_->congestion);
  if (connecting.connection == nullptr) {
    attempt_connect_failed(connecting.status);
    return Progress::moved;
  }
  attempt_adopt(*connecting.connection, connecting.status == os::IoStatus::done);
  return attempt_.connected ? Progress::moved : Progress::blocked;
}

// A FIN may be a half-close or all that is ever heard of a client that has left, and then the slot
// it waits for would be wasted. An interim response tells them apart: who still reads skips it (RFC
// 9110 15.2.1), and for a socket that is closed the kernel answers with RST.
void Exchange::ask_who_hung_up() {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  if (!client_.ready.hangup() || asked_who_hung_up_ || request_.http10) return;
  if (!client_.out.lease(worker_.buffers()) || client_.out.room() < kContinue.size()) return;
  asked_who_hung_up_ = true;
  client_.out.append(kContinue);
}

Exchange::Found Exchange::attempt_begin() {
  attempt_ = Attempt{};
  follow();
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

void Exchange::follow() { worker_.follow(choice_, plan_, backend_, followed_); }

bool Exchange::follow_waiting() {
  if (!choice_.waiting()) return false;
  follow();
  return true;
}

Exchange::Found Exchange::find_server() {
  using Chosen = upstream::ServerChoice::Outcome;
  const Chosen outcome = choice_.find(is_retry(), attempt_.pick);
  if (outcome == Chosen::chosen) return Found::server;
  if (outcome == Chosen::queued) return Found::place_in_queue;
  // Where a server was asked, what became of that matters more than why nobody else was.
  if (attempts_ == 0) last_failure_ = obstacle(outcome, last_failure_);
  return Found::nothing;
}

// --- Trying again --------------------------------------------------------------------------------

// Counts the retry that this attempt is, now that there is a server for it. False when it is
// beyond the budget.
bool Exchange::retry_charge() {
  WorkerCounters& counters = worker_.counters();
  switch (std::exchange(retry_, Retry::none)) {
    case Retry::none: return true;
    case Retry::fresh_connection: counters.retries_fresh_connection.add(); return true;
    case Retry::other_server: counters.retries_other_server.add(); return true;
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
  if (!backend_->has_other(*plan_, choice_.tried, now_us())) return;
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
  if (!std::ranges::binary_search(statuses, status)) return false;
  const AttemptFacts facts = attempt_facts();
  if (!facts.whole || !facts.idempotent || !retries_left()) return false;
  balance::Attempt others = choice_.tried;
  if (!others.exclude(attempt_.pick->server)) return false;
  if (!backend_->has_other(*plan_, others, now_us())) return false;
  last_failure_ = ProxyError::upstream_status;
  if (!retry_withdraw()) return false;
  attempt_answered(status);
  choice_.tried = others;
  retry_ = Retry::other_within_budget;
  retry_paid_ = true;
  retry_backoff();
  attempt_end();
  core_.enter(RequestState::ready);
  return true;
}

// A connection that says who the client is carries nobody else's requests.
upstream::ConnectionOwner* Exchange::connection_owner() {
  return plan_->send_proxy == 0 ? nullptr : &client_.connection_owner();
}

void Exchange::attempt_adopt(upstream::ServerConnection& connection, bool connected) {
  attempt_.connection = &connection;
  loop_.redirect(connection, &client_);
  connection.out = std::move(outgoing_);
  if (attempt_.reused) connection.out.consume(introduction_bytes_);
  response_parser_.begin(http::HeadParser::Mode::response, {});
  if (connected) return attempt_connected();
  attempt_.opening();
}

void Exchange::attempt_connected() {
  attempt_.connected = true;
  attempt_.opened();
  if (!attempt_.reused) {
    connect_us_ = now_us() - attempt_.started_us;
    attempt_report(health::Passive::Event::succeeded);
  }
  note_request(worker_, *plan_, *attempt_.pick);
  request_stall_ = {};
  core_.enter(RequestState::sending);
}

void Exchange::attempt_connect_failed(os::IoStatus status) {
  last_failure_ = connect_error(status);
  const std::uint32_t server = attempt_.pick->server;
  if (is_local(last_failure_)) {
    --attempts_;
    choice_.not_asked();
    attempt_end();
    if (worker_.make_room(client_.listener())) return;
    if (!shortage_.wait(now_ms(), retry_at_ms_)) answer_no_server();
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
// request may bother. The configuration is about requests that a server has seen: where none has,
// to go on is no second attempt.
Retry Exchange::retry_within_bounds(Retry retry, std::uint32_t failed_server) {
  if (silent_servers_ >= kSilentServersMax) return Retry::none;
  if (retry == Retry::none || retry == Retry::fresh_connection) return retry;
  if (retry == Retry::other_within_budget && !retries_left()) return Retry::none;
  return choice_.tried.exclude(failed_server) ? retry : Retry::none;
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
    cut_short(error, broken_rule_);
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
  const std::size_t consumed = attempt_.connection->out.consumed();
  return consumed > introduction_bytes_ || !request_flow_.repeatable();
}

// --- What is told about the server ---------------------------------------------------------------

void Exchange::attempt_answered(std::uint16_t status) {
  const bool bad = is_bad_status(status);
  attempt_note_answer(bad);
  attempt_conclude(bad ? health::Passive::Event::erred : health::Passive::Event::answered);
}

void Exchange::attempt_erred(ProxyError error) {
  attempt_note_answer(true);
  last_failure_ = error;
  attempt_conclude(health::Passive::Event::erred);
}

void Exchange::attempt_note_answer(bool bad) {
  if (!attempt_.reported) note_answer(worker_, *backend_, *attempt_.pick, bad);
}

void Exchange::attempt_conclude(health::Passive::Event event) {
  if (std::exchange(attempt_.reported, true)) return;
  attempt_report(event);
}

void Exchange::attempt_report(health::Passive::Event event) {
  const bool failed = event == health::Passive::Event::failed;
  report_outcome(worker_, *plan_, *backend_, *attempt_.pick, event,
                 failed ? refusal(last_failure_).word : "errors in a row");
}

void Exchange::attempt_give_back() {
  attempt_conclude(health::Passive::Event::abandoned);
  attempt_.opened();
  upstream::ServerPool& pool = *attempt_.pick->pool;
  if (upstream::ServerConnection* connection = attempt_.connection) {
    outgoing_ = std::move(connection->out);
    outgoing_.rewind();
    if (core_.server_reusable()) {
      outgoing_.release();
      if (response_flow_.body_bytes() >= BodyFlow::kSpliceBytesMin) {
        connection->expect_large(attempt_.head_bytes);
      } else {
        connection->expect_small();
      }
      pool.put_back(*connection, server_idle_ms_);
    } else {
      pool.close(*connection);
    }
  }
  backend_->release(*plan_, *attempt_.pick, now_us());
  attempt_.pick.reset();
  attempt_.connection = nullptr;
}

}  // namespace weir::proxy
