#include "proxy/http_session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "proxy/exchange.h"
#include "proxy/worker.h"

namespace weir::proxy {

HttpSession::HttpSession(Worker& worker, std::uint32_t listener, os::Fd socket,
                         const os::Peer& peer)
    : Connection(loop::SourceKind::downstream, worker.loop(), worker.buffers(),
                 worker.counters().downstream),
      worker_(worker),
      peer_(peer),
      listener_(listener),
      idle_since_ms_(worker.loop().now_ms()) {
  fd = std::move(socket);
  ready.reset(loop::Readiness::kUnknown);
}

void HttpSession::enter(State next) {
  CHECK(kHttpSessionNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)],
        to_string(next));
  os::trace_transition(os::Machine::session, state_, next);
  state_ = next;
}

void HttpSession::start() { loop().schedule(*this); }

void HttpSession::run() {
  switch (state_) {
    case State::idle:
      if (in.empty() && !ready.may_receive()) return;  // An OUT edge, most likely.
      exchange_begin();
      break;
    case State::exchanging: exchange_outcome(exchange_->step()); break;
    case State::lingering: linger_step(); break;
    case State::closed: break;
  }
}

void HttpSession::expire() {
  switch (state_) {
    case State::idle: close_begin(CloseReason::idle_timeout); break;
    case State::exchanging: exchange_outcome(exchange_->expire()); break;
    case State::lingering: close_begin(close_reason_); break;
    case State::closed: break;
  }
}

void HttpSession::exchange_begin() {
  loop().cancel_deadline(*this);
  exchange_ = worker_.create_exchange(*this);
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
      if (ensure_watched()) loop().set_deadline(*this, exchange_->deadline_ms());
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
      served_ = true;
      idle_since_ms_ = loop().now_ms();
      worker_.session_idle(*this);
      wait_idle();
      // What is here already is served next, after the others had their turn.
      if (state_ == State::idle && (!in.empty() || ready.may_receive())) loop().schedule(*this);
      return;
    case ClientFate::close: close_begin(reason); return;
    case ClientFate::close_staged: close_staged(reason); return;
    case ClientFate::close_as_broken:
      if (ends_by_close) os::close_with_reset(fd);
      close_begin(reason);
      return;
  }
}

void HttpSession::exchange_destroy() {
  worker_.destroy_exchange(*std::exchange(exchange_, nullptr));
  out.release();
  run_as_interactive();
}

// Between two requests: no exchange, no buffer unless a next request is in it already.
void HttpSession::wait_idle() {
  enter(State::idle);
  if (in.empty()) in.release();
  if (worker_.draining() && served_ && in.empty() && !ready.may_receive()) {
    close_begin(CloseReason::draining);
    return;
  }
  if (!ensure_watched()) return;
  const ListenerPlan& plan = worker_.listener_plan(listener_);
  // A new client owes its first request sooner than a known one its next.
  std::uint64_t patience_ms =
      served_ ? plan.client_idle_timeout_ms
              : std::min(plan.client_idle_timeout_ms, plan.client_head_timeout_ms);
  if (worker_.draining()) patience_ms = std::min(patience_ms, kDrainPatienceMs);
  loop().set_deadline(*this, loop().now_ms() + patience_ms);
}

bool HttpSession::ensure_watched() {
  if (watched() || loop().watch(*this)) return true;
  abort(CloseReason::no_memory);
  return false;
}

void HttpSession::drain() {
  if (state_ != State::idle || !in.empty() || !ask_quiet()) return;
  if (served_) {
    close_begin(CloseReason::draining);
  } else {
    // It has not been heard yet and may have its request on the way.
    loop().set_deadline(*this, std::min(deadline_ms(), loop().now_ms() + kDrainPatienceMs));
  }
}

void HttpSession::head_arrived() {
  steady_ = served_ && loop().now_ms() - idle_since_ms_ < kSteadyMs;
  worker_.session_busy(*this);
}

bool HttpSession::make_room() {
  if (state_ == State::lingering) {
    close_begin(close_reason_);
    return true;
  }
  const std::uint64_t idle_ms = loop().now_ms() - idle_since_ms_;
  if (idle_ms < (steady_ ? kSteadyMs : served_ ? 0 : kArrivalMs)) return false;
  if (!ask_quiet()) return false;
  close_begin(CloseReason::crowded);
  return true;
}

void HttpSession::abort(CloseReason reason) {
  if (state_ == State::closed) return;
  const bool memory = reason == CloseReason::no_memory;
  const ProxyError error = memory ? ProxyError::buffers_exhausted : ProxyError::shutting_down;
  if (state_ == State::exchanging) exchange_->abandon(error);
  close_begin(reason);
}

void HttpSession::close_begin(CloseReason reason) {
  if (exchange_ != nullptr) exchange_destroy();
  enter(State::closed);
  worker_.counters().closes[static_cast<std::size_t>(reason)].add();
  in.release();
  out.release();
  worker_.session_ended(*this);
}

// RFC 9112 9.6: closing with unread bytes resets the connection, and the client may lose the
// answer. So: FIN, read on for a while, close.
void HttpSession::close_staged(CloseReason reason) {
  close_reason_ = reason;
  enter(State::lingering);
  worker_.session_lingers(*this);
  os::shutdown_send(fd);
  if (!ensure_watched()) return;
  loop().set_deadline(*this, loop().now_ms() + kLingerMs);
  linger_step();
}

void HttpSession::linger_step() {
  in.clear();
  for (std::size_t dropped = 0; ready.may_receive();) {
    const os::IoResult result = fill();
    if (result.status == os::IoStatus::again) break;
    if (result.status != os::IoStatus::done) return close_begin(close_reason_);
    in.clear();
    dropped += result.bytes;
    if (dropped >= kLingerStepBytes) return loop().schedule(*this, loop::RunClass::bulk);
  }
  in.release();
}

void HttpSession::reap() { worker_.destroy_session(*this); }

const char* to_string(HttpSession::State state) {
  switch (state) {
    case HttpSession::State::idle: return "idle";
    case HttpSession::State::exchanging: return "exchanging";
    case HttpSession::State::lingering: return "lingering";
    case HttpSession::State::closed: return "closed";
  }
  return "?";
}

}  // namespace weir::proxy
