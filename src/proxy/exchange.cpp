// The step of an exchange: what runs when, deadlines, and the end.

#include "proxy/exchange.h"

#include <algorithm>

#include "http/scan.h"
#include "os/os.h"
#include "proxy/worker.h"

namespace weir::proxy {

Exchange::Exchange(Worker& worker, HttpSession& session)
    : worker_(worker),
      loop_(worker.loop()),
      client_(session),
      use_(worker.exchange_begun()),
      choice_(worker.tickets(), loop_, session),
      started_us_(now_us()),
      started_ms_(now_ms()) {
  request_parser_.begin(http::HeadParser::Mode::request, {});
}

Exchange::~Exchange() {
  attempt_end();
  if (tunnel_ != nullptr) worker_.counters().relays_open.subtract();
  if (head_read_) worker_.counters().requests_in_flight.subtract();
  for (SnapshotUse* use : followed_) worker_.exchange_ended(*use);
  worker_.exchange_ended(use_);
}

Exchange::Outcome Exchange::step() {
  interim_heads_ = 0;
  // Before the head is complete there is no exchange to fail: read_head() finds the end. A tunnel
  // delivers what was sent before.
  const bool under_way = core_.request() != RequestState::head &&
                         core_.response() != ResponseState::complete &&
                         core_.response() != ResponseState::tunnel;
  if (client_.ready.error() && under_way) client_lost(ProxyError::client_closed);
  if (core_.request() == RequestState::head) {
    if (const std::optional<Outcome> outcome = read_head()) return *outcome;
  }
  while (!core_.finished()) {
    switch (advance()) {
      case Progress::moved: break;
      case Progress::blocked:
        if (flush_interim()) return Outcome::wait;
        break;
      case Progress::budget:
        if (flush_interim()) return Outcome::again;
        break;
    }
  }
  count_and_log();
  attempt_end();
  return Outcome::finished;
}

// The interim heads of a step leave together. What the socket does not take goes out with what
// follows. False: the client is lost.
bool Exchange::flush_interim() {
  if (core_.response() != ResponseState::none || client_.out.empty()) return true;
  const os::IoResult result = client_.flush();
  if (client_.out.empty()) client_.out.clear();
  if (result.status == os::IoStatus::done || result.status == os::IoStatus::again) return true;
  client_lost(ProxyError::client_closed);
  return false;
}

// Both directions get their chance; either may block while the other goes on.
Exchange::Progress Exchange::advance() {
  Progress request = Progress::blocked;
  switch (core_.request()) {
    case RequestState::ready: request = attempt_server(); break;
    case RequestState::sending: request = send_request(); break;
    case RequestState::discarding: request = discard_request(); break;
    case RequestState::head:
    case RequestState::complete:
    case RequestState::ended: break;
  }
  Progress response = Progress::blocked;
  switch (core_.response()) {
    case ResponseState::none: response = read_response(); break;
    case ResponseState::relaying: response = send_response(); break;
    case ResponseState::tunnel: response = relay_tunnel(); break;
    case ResponseState::local: response = send_local(); break;
    case ResponseState::complete:
    case ResponseState::broken: break;
  }
  return std::max(request, response);
}

Exchange::Outcome Exchange::expire() {
  if (deadline_ms() > now_ms()) return Outcome::wait;
  const bool request_is_due = request_deadline_ms() <= now_ms();
  if (!request_is_due) {
    if (core_.response() == ResponseState::tunnel) {
      tunnel_expired();
    } else if (response_stall_.client) {
      client_lost(ProxyError::client_write_timeout);
    } else {
      cut_short(ProxyError::response_body_timeout);
    }
    return step();
  }
  if (request_timeout_ms() <= now_ms()) {
    const bool for_client = core_.request() == RequestState::sending && request_stall_.client;
    if (attempt_.connected && !for_client) attempt_erred(ProxyError::request_timeout);
    answer(refusal(ProxyError::request_timeout));
    return step();
  }
  switch (core_.request()) {
    case RequestState::head:
      if (request_parser_.untouched()) return Outcome::gone;
      head_ended();
      log_head();
      answer(refusal(ProxyError::client_head_timeout));
      break;
    case RequestState::ready:
      if (attempt_.connection != nullptr) attempt_connect_failed(os::IoStatus::timed_out);
      if (choice_.waiting()) {
        choice_.leave(upstream::Gate::Leaving::timed_out);
        if (attempts_ == 0) last_failure_ = ProxyError::queue_timeout;
        answer_no_server();
      }
      break;
    case RequestState::sending:
      if (!request_stall_.client) {
        attempt_failed(ProxyError::request_write_timeout, true);
      } else {
        client_persists_ = false;
        answer(refusal(ProxyError::client_body_timeout));
      }
      break;
    case RequestState::complete: attempt_failed(ProxyError::response_timeout, true); break;
    case RequestState::discarding: discard_limit_hit(); break;
    case RequestState::ended: break;
  }
  return step();
}

void Exchange::stop_discarding() {
  core_.enter(RequestState::ended);
  (void)step();
}

void Exchange::abandon(ProxyError error) {
  if (core_.response() == ResponseState::tunnel) tunnel_cut();
  client_lost(error);
  count_and_log();
  attempt_end();
}

std::uint64_t Exchange::deadline_ms() const {
  return std::min(request_deadline_ms(), response_deadline_ms());
}

std::uint64_t Exchange::request_deadline_ms() const {
  return std::min(step_deadline_ms(), request_timeout_ms());
}

// Of the whole request, until its answer begins.
std::uint64_t Exchange::request_timeout_ms() const {
  const bool limited = plan_ != nullptr && plan_->request_timeout_ms > 0;
  if (!limited || core_.response() != ResponseState::none) return loop::Timer::kNever;
  return started_ms_ + plan_->request_timeout_ms;
}

// Of one attempt, until its answer begins.
std::uint64_t Exchange::try_timeout_ms() const {
  if (plan_->retry.try_timeout_ms == 0) return loop::Timer::kNever;
  return attempt_.started_ms + plan_->retry.try_timeout_ms;
}

// Of what is waited for now.
std::uint64_t Exchange::step_deadline_ms() const {
  switch (core_.request()) {
    case RequestState::head: return started_ms_ + listener_plan().client_head_timeout_ms;
    case RequestState::ready:
      if (choice_.waiting()) return choice_.waiting_since_ms() + plan_->queue_timeout_ms;
      if (attempt_.connection == nullptr) return retry_at_ms_;
      return std::min(attempt_.started_ms + plan_->connect_timeout_ms, try_timeout_ms());
    case RequestState::sending:
      // A server that takes no more is only listened to; the response has its own deadline.
      if (attempt_.write_broken && core_.response() != ResponseState::none) {
        return loop::Timer::kNever;
      }
      if (!request_stall_.client && core_.response() == ResponseState::none) {
        return std::min(stall_deadline_ms(request_stall_), try_timeout_ms());
      }
      [[fallthrough]];
    case RequestState::discarding: return stall_deadline_ms(request_stall_);
    case RequestState::complete:
      if (core_.response() != ResponseState::none) return loop::Timer::kNever;
      return std::min(request_sent_us_ / 1000 + plan_->response_head_timeout_ms, try_timeout_ms());
    case RequestState::ended: return loop::Timer::kNever;
  }
  return loop::Timer::kNever;
}

std::uint64_t Exchange::response_deadline_ms() const {
  if (core_.response() == ResponseState::tunnel) {
    return tunnel_->relay.deadline_ms(listener_plan().tunnel_idle_timeout_ms);
  }
  const bool sending =
      core_.response() == ResponseState::relaying || core_.response() == ResponseState::local;
  return sending ? stall_deadline_ms(response_stall_) : loop::Timer::kNever;
}

std::uint64_t Exchange::stall_deadline_ms(const Stall& stall) const {
  const bool server = !stall.client && plan_ != nullptr;
  return stall.since_ms +
         (server ? plan_->response_body_timeout_ms : listener_plan().client_body_timeout_ms);
}

void Exchange::touch(Stall& stall, bool client, bool progressed, std::uint64_t now_ms) {
  if (progressed || client != stall.client || stall.since_ms == 0) stall.since_ms = now_ms;
  stall.client = client;
}

// The client's connection broke, or it stopped taking bytes: nobody is left to be answered.
void Exchange::client_lost(ProxyError error) {
  close_reason_ = error == ProxyError::client_write_timeout ? CloseReason::client_stalled
                  : error == ProxyError::shutting_down      ? CloseReason::draining
                                                            : CloseReason::client_gone;
  note_error(refusal(error));
  if (core_.response() == ResponseState::none && error == ProxyError::client_closed) {
    status_ = 499;  // As operators know it from nginx; nothing was sent.
  }
  if (core_.request() != RequestState::ended) core_.enter(RequestState::ended);
  if (core_.response() != ResponseState::complete && core_.response() != ResponseState::broken) {
    core_.enter(ResponseState::broken);
  }
}

void Exchange::note_error(const Refusal& cause) {
  if (!error_.word.empty()) return;  // The first cause is the one to show.
  error_ = cause;
  worker_.counters().errors[cause.index].add();
}

ClientFate Exchange::fate() const {
  // One that has not said that this request is its last may have sent the next one.
  const bool unread = request_.keep_alive || !client_.in.empty() || client_.ready.may_receive();
  return core_.client_fate(client_persists_, unread);
}

void Exchange::count_and_log() {
  if (!head_read_) return;
  WorkerCounters& counters = worker_.counters();
  const std::size_t digit = status_ / 100;
  const bool answered = core_.response() == ResponseState::complete || status_ != 499;
  counters.responses[answered && digit < counters.responses.size() ? digit : 0].add();
  const std::uint64_t duration_us = now_us() - started_us_;
  counters.request_us.record(duration_us);
  if (tunnel_ != nullptr && !tunnel_->log_line.empty() && log_line_.lease(worker_.buffers())) {
    log_line_.append(tunnel_->log_line);
  }
  if (log_line_.leased()) log_end(duration_us);
}

void Exchange::log_end(std::uint64_t duration_us) {
  LoggedOutcome outcome;
  outcome.status = status_;
  outcome.error = error_.word;
  outcome.rule = error_.rule;
  if (route_ != nullptr) outcome.route = route_->label;
  if (plan_ != nullptr) outcome.backend = plan_->name;
  if (last_server_ != nullptr) outcome.server = last_server_->name();
  outcome.duration_us = duration_us;
  outcome.connect_us = connect_us_;
  outcome.first_byte_us = first_byte_us_;
  outcome.bytes_received = tunnel_ ? tunnel_->relay.from_client() : request_flow_.body_bytes();
  outcome.bytes_sent = tunnel_ ? tunnel_->relay.from_server() : response_flow_.body_bytes();
  outcome.queue_us = choice_.waited_us();
  outcome.attempts = attempts_;
  outcome.reused = attempt_.reused;
  log_outcome(log_line_, outcome);
  if (!worker_.access_log()->push(log_line_.readable())) {
    worker_.counters().log_lines_dropped.add();
  }
  log_line_.release();
}

void Exchange::log_head() {
  if (worker_.access_log() != nullptr && log_line_.lease(worker_.buffers())) write_log_head();
}

// Only what was understood may be shown: of a head that broke a rule, the start line at most.
void Exchange::write_log_head() {
  char client_text[os::Peer::kTextMax];
  LoggedRequest logged;
  logged.wall_clock_ns = os::wall_clock_ns();
  logged.client = client_.peer().text(client_text);
  logged.client_port = client_.peer().port;
  logged.listener = worker_.listener_state(client_.listener()).name;
  const http::HeadParser& head = request_parser_;
  if (head.fields_at() > 0) {  // The start line is complete.
    logged.method = head.method();
    logged.path = head.target();
    logged.proto = head.minor_version() == 0 ? "1.0" : "1.1";
  }
  if (head.status() == http::ParseStatus::complete) {
    const bool understood = request_.target.size > 0 || request_.slash_first;
    logged.host = head.view(request_.host);
    logged.path = understood ? request_.path(head) : head.target();
    if (understood) logged.query = request_.query(head);
    for (const http::Field& field : head.fields()) {
      if (http::scan::equals_lower(head.name(field), "user-agent"))
        logged.user_agent = head.value(field);
    }
  }
  log_request(log_line_, logged);
}

const ListenerPlan& Exchange::listener_plan() const {
  return use_.snapshot->listeners()[client_.listener()];
}

}  // namespace weir::proxy
