#include "proxy/http_session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "proxy/access_log.h"
#include "proxy/exchange.h"
#include "proxy/hand_over.h"
#include "proxy/worker.h"

namespace weir::proxy {

HttpSession::HttpSession(Worker& worker, std::uint32_t listener, os::Fd socket,
                         const os::Peer& peer)
    : Session(worker, listener, std::move(socket), peer),
      state_(to_be_greeted() ? State::greeting : State::idle),
      here_since_ms_(static_cast<std::uint32_t>(now_ms())) {}

HttpSession::HttpSession(Worker& worker, MovingClient& client)
    : Session(worker, client),
      state_(State::idle),
      served_(true),
      here_since_ms_(static_cast<std::uint32_t>(now_ms())) {}

void HttpSession::enter(State next) {
  CHECK(kHttpSessionNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)],
        to_string(next));
  os::trace_transition(os::Machine::session, state_, next);
  state_ = next;
}

void HttpSession::run() {
  switch (state_) {
    case State::greeting: greeting_step(); break;
    case State::idle:
      if (!in.empty() || ready.may_receive()) {
        exchange_begin();
      } else {
        // An OUT edge, most likely. Or drain() has asked the socket of one that never ran.
        (void)ensure_watched();
      }
      break;
    case State::exchanging: exchange_outcome(exchange_->step()); break;
    case State::lingering:
      if (!linger_step()) close_begin(close_reason_);
      break;
    case State::closed: break;
  }
}

void HttpSession::expire() {
  switch (state_) {
    case State::greeting: greeting_expired(); break;
    case State::idle: close_begin(CloseReason::idle_timeout); break;
    case State::exchanging: exchange_outcome(exchange_->expire()); break;
    case State::lingering: close_begin(close_reason_); break;
    case State::closed: break;
  }
}

void HttpSession::greeting_step() {
  switch (greet()) {
    case Greeting::waiting:
      if (!ensure_watched()) return;
      loop().set_deadline(*this, idle_since_ms() + greeting_patience_ms());
      return;
    case Greeting::complete: serve_next(); return;
    case Greeting::bad: refuse(ProxyError::bad_proxy_header); return;
    case Greeting::untrusted: refuse(ProxyError::untrusted_proxy_header); return;
    case Greeting::over_limit: refuse(ProxyError::rate_limited); return;
    case Greeting::left: close_begin(CloseReason::client_finished); return;
    case Greeting::broken: close_begin(CloseReason::client_gone); return;
    case Greeting::no_memory: close_begin(CloseReason::no_memory); return;
  }
}

void HttpSession::greeting_expired() {
  if (owes_greeting()) {
    greeting_cut_short();
    return refuse(ProxyError::bad_proxy_header);
  }
  if (in.empty()) return close_begin(CloseReason::idle_timeout);
  stop_greeting();
  serve_next();
}

// Without a word: nobody knows yet what is spoken here.
void HttpSession::refuse(ProxyError error) {
  worker().counters().errors[refusal(error).index].add();
  LoggedOutcome outcome;
  outcome.error = refusal(error).word;
  log_connection(idle_since_ms() * 1000, {}, outcome);
  close_begin(CloseReason::refused);
}

void HttpSession::exchange_begin() {
  loop().set_deadline(*this, loop::Timer::kNever);
  exchange_ = worker().create_exchange(*this);
  if (exchange_ == nullptr) {
    close_begin(CloseReason::no_memory);
    return;
  }
  enter(State::exchanging);
  exchange_outcome(exchange_->step());
}

void HttpSession::exchange_outcome(Exchange::Outcome outcome) {
  switch (outcome) {
    case Exchange::Outcome::wait:
      if (!(exchange_->waits_for_answer() ? ensure_watched_soon() : ensure_watched())) return;
      if (exchange_->only_discards()) worker().session_lingers(*this);
      loop().set_deadline(*this, exchange_->deadline_ms());
      return;
    case Exchange::Outcome::again:
      if (!ensure_watched()) return;
      loop().set_deadline(*this, exchange_->deadline_ms());
      loop().schedule(*this,
                      exchange_->bulk() ? loop::RunClass::bulk : loop::RunClass::interactive);
      return;
    case Exchange::Outcome::untouched:
      exchange_destroy();
      wait_idle();
      return;
    case Exchange::Outcome::gone: close_begin(exchange_->close_reason()); return;
    case Exchange::Outcome::finished: exchange_finished(); return;
  }
}

void HttpSession::exchange_finished() {
  const ClientFate fate = exchange_->fate();
  const CloseReason reason = exchange_->close_reason();
  const bool ends_by_close = exchange_->ends_by_close();
  exchange_destroy();
  switch (fate) {
    case ClientFate::keep:
      if (in_steady_use()) worker().hand_over().note_steady(counted_);
      if (worker().hand_over().gives_clients() && handed_over()) return;
      served_ = true;
      begin_idle();
      worker().session_idle(*this);
      serve_next();
      return;
    case ClientFate::close: close_begin(reason); return;
    case ClientFate::close_staged: close_staged(reason); return;
    case ClientFate::close_as_broken:
      if (ends_by_close) os::close_with_reset(fd);
      close_begin(reason);
      return;
  }
}

// To a worker with less to do, if it can and has been here for long enough.
bool HttpSession::handed_over() {
  HandOver& hand_over = worker().hand_over();
  const std::uint32_t here_ms = static_cast<std::uint32_t>(now_ms()) - here_since_ms_;
  if (!may_leave() || here_ms < hand_over.stay_ms() || !hand_over.begin_client()) return false;
  hand_over.send(leave());
  enter(State::closed);
  worker().session_left(*this);
  return true;
}

// What is here already is served after the others had their turn.
void HttpSession::serve_next() {
  wait_idle();
  if (state_ == State::idle && (!in.empty() || ready.may_receive())) loop().schedule(*this);
}

void HttpSession::exchange_destroy() {
  worker().destroy_exchange(*std::exchange(exchange_, nullptr));
  out.release();
  run_as_interactive();
}

// Between two requests: no exchange, no buffer unless a next request is in it already.
void HttpSession::wait_idle() {
  enter(State::idle);
  if (in.empty()) in.release();
  if (worker().draining() && served_ && in.empty() && !ready.may_receive()) {
    close_begin(CloseReason::draining);
    return;
  }
  if (!ensure_watched()) return;
  const ListenerPlan& timeouts = plan();
  // A new client owes its first request sooner than a known one its next.
  std::uint64_t patience_ms =
      served_ ? timeouts.client_idle_timeout_ms
              : std::min(timeouts.client_idle_timeout_ms, timeouts.client_head_timeout_ms);
  if (worker().draining()) patience_ms = std::min(patience_ms, kDrainPatienceMs);
  loop().set_deadline(*this, loop().now_ms() + patience_ms);
}

void HttpSession::drain() {
  if (state_ == State::greeting) {
    begin_idle();
    return loop().set_deadline(*this, idle_since_ms() + greeting_patience_ms());
  }
  if (state_ != State::idle || !in.empty() || !ask_quiet()) return;
  if (served_) {
    close_begin(CloseReason::draining);
  } else {
    // It has not been heard yet and may have its request on the way.
    loop().set_deadline(*this, std::min(deadline_ms(), loop().now_ms() + kDrainPatienceMs));
  }
}

void HttpSession::head_arrived() {
  set_steady(served_ && loop().now_ms() - idle_since_ms() < kSteadyMs);
  worker().session_busy(*this);
}

bool HttpSession::make_room() {
  if (state_ == State::lingering) {
    close_begin(close_reason_);
    return true;
  }
  if (state_ == State::exchanging && exchange_->only_discards()) {
    exchange_->stop_discarding();
    close_begin(CloseReason::crowded);
    return true;
  }
  const std::uint64_t idle_ms = loop().now_ms() - idle_since_ms();
  if (idle_ms < (in_steady_use() ? kSteadyMs : served_ ? 0 : kArrivalMs)) return false;
  if (!ask_quiet()) return false;
  close_begin(CloseReason::crowded);
  return true;
}

void HttpSession::follow() {
  if (exchange_ != nullptr && exchange_->follow_waiting()) loop().schedule(*this);
}

void HttpSession::abort(CloseReason reason) {
  if (state_ == State::closed) return;
  const bool memory = reason == CloseReason::no_memory;
  const ProxyError error = memory ? ProxyError::buffers_exhausted : ProxyError::shutting_down;
  if (state_ == State::exchanging) {
    exchange_->abandon(error);
    if (exchange_->ends_by_close()) os::close_with_reset(fd);
  }
  close_begin(reason);
}

void HttpSession::close_begin(CloseReason reason) {
  if (exchange_ != nullptr) exchange_destroy();
  enter(State::closed);
  end(reason);
}

void HttpSession::close_staged(CloseReason reason) {
  close_reason_ = reason;
  enter(State::lingering);
  if (linger_begin() && !linger_step()) close_begin(close_reason_);
}

void HttpSession::reap() { worker().destroy_session(*this); }

const char* to_string(HttpSession::State state) {
  switch (state) {
    case HttpSession::State::greeting: return "greeting";
    case HttpSession::State::idle: return "idle";
    case HttpSession::State::exchanging: return "exchanging";
    case HttpSession::State::lingering: return "lingering";
    case HttpSession::State::closed: return "closed";
  }
  return "?";
}

}  // namespace weir::proxy
