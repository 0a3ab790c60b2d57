#include "proxy/tcp_session.h"

#include <utility>

#include "balance/hash_key.h"
#include "base/check.h"
#include "proxy/access_log.h"
#include "proxy/request_key.h"
#include "proxy/server_report.h"
#include "proxy/worker.h"

namespace weir::proxy {

static_assert(wire::kClientHelloMax + 8 < net::kBlockBytes, "a hello is read into one block");

TcpSession::TcpSession(Worker& worker, std::uint32_t listener, os::Fd socket, const os::Peer& peer)
    : Session(worker, listener, std::move(socket), peer),
      choice_(worker.tickets(), worker.loop(), *this),
      accepted_us_(worker.loop().now_us()),
      state_(State::greeting) {}

TcpSession::~TcpSession() { CHECK(state_ == State::closed, to_string(state_)); }

void TcpSession::enter(State next) {
  CHECK(kTcpSessionNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)],
        to_string(next));
  os::trace_transition(os::Machine::tcp_session, state_, next);
  state_ = next;
}

void TcpSession::run() {
  while (state_ != State::closed) {
    switch (step()) {
      case Progress::moved: break;
      case Progress::blocked:
        if (ensure_watched()) loop().set_deadline(*this, deadline_ms());
        return;
      case Progress::budget:
        if (!ensure_watched()) return;
        loop().set_deadline(*this, deadline_ms());
        loop().schedule(*this, relay_.bulk() ? loop::RunClass::bulk : loop::RunClass::interactive);
        return;
    }
  }
}

TcpSession::Progress TcpSession::step() {
  switch (state_) {
    case State::greeting: return greeting_step();
    case State::hello: return hello_step();
    case State::seeking: return seek();
    case State::relaying: return relay_step();
    case State::lingering:
      if (linger_step()) return Progress::blocked;
      close(CloseReason::refused);
      return Progress::moved;
    case State::closed: break;
  }
  return Progress::blocked;
}

void TcpSession::expire() {
  if (deadline_ms() <= now_ms()) {
    switch (state_) {
      case State::greeting:
        greeting_cut_short();
        refuse(ProxyError::bad_proxy_header);
        break;
      // One that waits for the server to speak first has no name.
      case State::hello:
        if (!in.empty() || !worker().draining()) hello_unusable("hello_late");
        if (worker().draining()) return close(CloseReason::draining);
        route_to(worker().router().match_name(listener(), {}));
        break;
      case State::seeking:
        if (attempt_.connection != nullptr) connect_failed(os::IoStatus::timed_out);
        if (choice_.waiting()) give_up(ProxyError::queue_timeout);
        break;
      case State::lingering: close(CloseReason::refused); break;
      case State::relaying:
        // These bytes may begin a header that it must not send. Passed on, the rest would follow.
        if (to_be_greeted() && !in.empty()) return refuse(ProxyError::untrusted_proxy_header);
        relay_concluded(relay_.expired(now_ms(), plan().tunnel_idle_timeout_ms));
        break;
      case State::closed: break;
    }
  }
  run();
}

std::uint64_t TcpSession::deadline_ms() const {
  switch (state_) {
    case State::greeting:
    case State::hello: return idle_since_ms() + greeting_patience_ms();
    case State::seeking:
      if (choice_.waiting()) return choice_.waiting_since_ms() + plan_->queue_timeout_ms;
      if (attempt_.connection == nullptr) return retry_at_ms_;
      return attempt_.started_ms + plan_->connect_timeout_ms;
    case State::relaying:
      if (to_be_greeted() && !in.empty()) return idle_since_ms() + plan().client_head_timeout_ms;
      return relay_.deadline_ms(plan().tunnel_idle_timeout_ms);
    case State::lingering: return linger_deadline_ms_;
    case State::closed: break;
  }
  return loop::Timer::kNever;
}

// --- Who the client is, and where it wants to go -------------------------------------------------

TcpSession::Progress TcpSession::greeting_step() {
  switch (greet()) {
    case Greeting::waiting:
      // One who may not send a header need not send anything before the server has spoken.
      if (owes_greeting()) return Progress::blocked;
      break;
    case Greeting::complete: break;
    case Greeting::bad: refuse(ProxyError::bad_proxy_header); return Progress::moved;
    case Greeting::untrusted: refuse(ProxyError::untrusted_proxy_header); return Progress::moved;
    case Greeting::over_limit: refuse(ProxyError::rate_limited); return Progress::moved;
    case Greeting::left: close(CloseReason::client_gone); return Progress::moved;
    case Greeting::broken: client_broken(); return Progress::moved;
    case Greeting::no_memory: close(CloseReason::no_memory); return Progress::moved;
  }
  if (worker().router().by_name(listener())) {
    enter(State::hello);
  } else {
    route_to(worker().router().match_name(listener(), {}));
  }
  return Progress::moved;
}

TcpSession::Progress TcpSession::hello_step() {
  using Status = wire::ClientHelloPeek::Status;
  Status status = Status::need_more;
  bool ended = false;
  while (!ended) {
    if (!in.empty()) status = peek_.parse(in.readable(), server_name_);
    if (status != Status::need_more) break;
    if (!ready.may_receive()) return Progress::blocked;
    const os::IoResult result = fill();
    switch (result.status) {
      case os::IoStatus::done: break;
      case os::IoStatus::again: return Progress::blocked;
      case os::IoStatus::end: ended = true; break;
      case os::IoStatus::no_memory: close(CloseReason::no_memory); return Progress::moved;
      default: client_broken(); return Progress::moved;
    }
  }
  if (status != Status::found && suspected()) return Progress::moved;
  const bool found = status == Status::found;
  if (!found) server_name_ = {};
  const bool cut_short = ended && status == Status::need_more && !in.empty();
  if (cut_short) hello_unusable("hello_truncated");
  if (status == Status::malformed) hello_unusable("hello_malformed");
  if (status == Status::too_large) hello_unusable("hello_too_large");
  const Route* route = worker().router().match_name(listener(), server_name_.view());
  // Who leaves without a word has looked whether the port is open.
  if (route == nullptr && in.empty()) {
    close(CloseReason::client_gone);
    return Progress::moved;
  }
  // The beginning of a header that it may not send, so far. What it is does not depend on how its
  // bytes are cut.
  if (route == nullptr && !found && to_be_greeted() && !ended) return Progress::blocked;
  route_to(route);
  return Progress::moved;
}

// The log keeps the rule even where another route takes it: why it has come there.
void TcpSession::hello_unusable(std::string_view rule) {
  hello_rule_ = rule;
  if (!in.empty()) error_ = ProxyError::bad_client_hello;
  worker().listener_counters(listener()).hellos_unusable.add();
}

// `route`: null when no route takes it, which is a close in order: nothing went wrong.
void TcpSession::route_to(const Route* route) {
  if (route == nullptr) {
    return turn_away(error_ == ProxyError::none ? ProxyError::no_route : error_);
  }
  error_ = ProxyError::none;
  enter(State::seeking);
  worker().session_busy(*this);
  use_ = &worker().exchange_begun();
  route_ = route;
  const std::uint32_t index =
      route->backends.pick(route->backends.single() ? 0 : worker().random());
  plan_ = &use_->snapshot->backends()[index];
  backend_ = use_->backends[index];
  choice_.aim(*plan_, *backend_);
  choice_.priority = route->priority;
  if (plan_->hash_source != upstream::HashSource::none) {
    const std::string_view address = address_bytes(peer());
    choice_.tried =
        balance::Attempt(address.empty() ? worker().random() : balance::hash_key(address));
  }
}

// --- The server ----------------------------------------------------------------------------------

TcpSession::Progress TcpSession::seek() {
  if (ready.error()) {
    client_broken();
    return Progress::moved;
  }
  if (attempt_.connection != nullptr) {
    const os::IoStatus status = attempt_.pick->pool->connect_finish(*attempt_.connection);
    if (status == os::IoStatus::again) return Progress::blocked;
    if (status == os::IoStatus::done) {
      connected();
    } else {
      connect_failed(status);
    }
    return Progress::moved;
  }
  if (choice_.waiting() || now_ms() < retry_at_ms_) return Progress::blocked;
  if (choose()) connect();
  return choice_.waiting() ? Progress::blocked : Progress::moved;
}

// False: it waits in the queue, or nobody is left to be asked.
bool TcpSession::choose() {
  using Chosen = upstream::ServerChoice::Outcome;
  attempt_ = ServerAttempt{};
  follow_plan();
  const Chosen outcome = choice_.find(false, attempt_.pick);
  if (outcome == Chosen::chosen) return true;
  if (outcome == Chosen::queued) return false;
  // A server that was asked says more about it.
  give_up(attempts_ == 0 ? obstacle(outcome, last_failure_) : last_failure_);
  return false;
}

void TcpSession::follow_plan() { worker().follow(choice_, plan_, backend_, followed_); }

void TcpSession::follow() {
  if (!choice_.waiting()) return;
  follow_plan();
  loop().schedule(*this);
}

void TcpSession::connect() {
  attempt_.started_ms = now_ms();
  attempt_.started_us = now_us();
  server_ = &attempt_.pick->pool->state();
  if (attempts_++ > 0) worker().counters().retries_other_server.add();
  const upstream::ServerPool::Connecting connecting =
      attempt_.pick->pool->connect(nullptr, plan_->congestion);
  if (connecting.connection == nullptr) return connect_failed(connecting.status);
  attempt_.connection = connecting.connection;
  loop().redirect(*attempt_.connection, this);
  if (connecting.status == os::IoStatus::done) return connected();
  attempt_.opening();
}

void TcpSession::connected() {
  attempt_.opened();
  connect_us_ = now_us() - attempt_.started_us;
  report(health::Passive::Event::succeeded);
  note_request(worker(), *plan_, *attempt_.pick);
  backend_->observe(*attempt_.pick, now_us(), false);
  if (plan_->tcp_keepalive_s > 0) {
    os::keep_alive(attempt_.connection->fd, plan_->tcp_keepalive_s);
  }
  if (plan_->send_proxy != 0 && !write_proxy_header(plan_->send_proxy, attempt_.connection->out)) {
    return give_up(ProxyError::buffers_exhausted);
  }
  worker().counters().relays.add();
  worker().counters().relays_open.add();
  enter(State::relaying);
  relay_.begin(*this, *attempt_.connection, worker().pipes(), now_ms());
  // Until a byte moves it is as good as a client without a request.
  silent_ = true;
  begin_idle();
  worker().session_idle(*this);
}

void TcpSession::connect_failed(os::IoStatus status) {
  last_failure_ = connect_error(status);
  if (is_local(last_failure_)) {
    --attempts_;
    choice_.not_asked();
    attempt_end();
    if (worker().make_room(listener())) return;
    if (!shortage_.wait(now_ms(), retry_at_ms_)) give_up(last_failure_);
    return;
  }
  const std::uint32_t server = attempt_.pick->server;
  attempt_.pick->pool->counters().connects_failed.add();
  conclude(health::Passive::Event::failed);
  attempt_end();
  if (last_failure_ == ProxyError::connect_timeout) ++silent_servers_;
  const bool again = silent_servers_ < kSilentServersMax && choice_.tried.exclude(server);
  if (!again) give_up(last_failure_);
}

// No server: that is no end of a conversation, and must not look like one.
void TcpSession::give_up(ProxyError error) {
  if (error == ProxyError::queue_timeout) choice_.leave(upstream::Gate::Leaving::timed_out);
  os::close_with_reset(fd);
  refuse(error);
}

void TcpSession::report(health::Passive::Event event) {
  report_outcome(worker(), *plan_, *backend_, *attempt_.pick, event,
                 event == health::Passive::Event::failed ? refusal(last_failure_).word
                                                         : "connections are reset unanswered");
}

// Its first byte is a server's answer, and a reset before that is an error.
void TcpSession::conclude(health::Passive::Event event) {
  using Event = health::Passive::Event;
  if (std::exchange(attempt_.reported, true)) return;
  if (event == Event::answered || event == Event::erred) {
    note_answer(worker(), *backend_, *attempt_.pick, event == Event::erred);
  }
  report(event);
}

// --- The relay -----------------------------------------------------------------------------------

// Somebody who may not send a PROXY header might begin with one. True: that was it, or the client
// was reset meanwhile.
bool TcpSession::suspected() {
  if (!to_be_greeted()) return false;
  const bool silent = in.empty();
  const Greeting greeting = greet();
  if (greeting == Greeting::left) stop_greeting();
  if (silent && !in.empty()) begin_idle();  // It has as long as if it had come just now.
  if (greeting == Greeting::broken) {
    client_broken();
    return true;
  }
  if (greeting != Greeting::untrusted) return false;
  refuse(ProxyError::untrusted_proxy_header);
  return true;
}

TcpSession::Progress TcpSession::relay_step() {
  if (suspected()) return Progress::moved;
  relay_.hold_client(to_be_greeted() && !in.empty());
  const Relay::Outcome outcome = relay_.step(now_ms());
  if (relay_.from_server() > 0) conclude(health::Passive::Event::answered);
  if (silent_ && relay_.from_client() + relay_.from_server() > 0) {
    silent_ = false;
    worker().session_busy(*this);
  }
  return relay_concluded(outcome);
}

TcpSession::Progress TcpSession::relay_concluded(Relay::Outcome outcome) {
  switch (outcome) {
    case Relay::Outcome::wait: return Progress::blocked;
    case Relay::Outcome::again: return Progress::budget;
    case Relay::Outcome::finished: close(CloseReason::relay_finished); break;
    case Relay::Outcome::client_broken: client_broken(); break;
    case Relay::Outcome::server_broken:
      conclude(health::Passive::Event::erred);
      os::close_with_reset(fd);
      error_ = ProxyError::upstream_reset;
      close(CloseReason::server_broken);
      break;
    case Relay::Outcome::idle:
      error_ = ProxyError::tunnel_idle_timeout;
      cut();
      close(CloseReason::idle_timeout);
      break;
    case Relay::Outcome::no_buffer: refuse(ProxyError::buffers_exhausted); break;
  }
  return Progress::moved;
}

// --- The end -------------------------------------------------------------------------------------

// A reset is passed on as one. A probe, for which no byte has gone either way and that has not had
// to wait, may end as it likes. What it said before is still there.
void TcpSession::client_broken() {
  char byte;
  const bool spoke = !in.empty() || relay_.from_client() + relay_.from_server() > 0 ||
                     os::peek(fd, &byte, 1).status == os::IoStatus::done;
  const bool probe = !spoke && !choice_.waiting();
  if (!probe) error_ = ProxyError::client_closed;
  if (attempt_.connection != nullptr) os::close_with_reset(attempt_.connection->fd);
  close(CloseReason::client_gone);
}

void TcpSession::drain() {
  if (state_ != State::greeting && state_ != State::hello) return;
  begin_idle();
  loop().set_deadline(*this, deadline_ms());
}

bool TcpSession::make_room() {
  if (state_ == State::lingering) {
    close(CloseReason::refused);
    return true;
  }
  const bool waits = state_ == State::greeting || state_ == State::hello || silent_;
  if (!waits || now_ms() - idle_since_ms() < kArrivalMs || !ask_quiet()) return false;
  if (silent_) {
    error_ = ProxyError::made_room;
    cut();
  }
  close(CloseReason::crowded);
  return true;
}

void TcpSession::abort(CloseReason reason) {
  if (state_ == State::closed) return;
  if (state_ == State::seeking || state_ == State::relaying) {
    error_ = reason == CloseReason::no_memory ? ProxyError::buffers_exhausted
                                              : ProxyError::shutting_down;
    cut();
  }
  close(reason);
}

// What weir ends itself must look so to both sides.
void TcpSession::cut() {
  os::close_with_reset(fd);
  if (attempt_.connection != nullptr) os::close_with_reset(attempt_.connection->fd);
}

void TcpSession::refuse(ProxyError error) {
  if (state_ == State::relaying) cut();
  error_ = error;
  close(CloseReason::refused);
}

// In order: nothing is wrong with the client, there is only nobody for it.
void TcpSession::turn_away(ProxyError error) {
  error_ = error;
  count_and_log();
  enter(State::lingering);
  linger_deadline_ms_ = now_ms() + kLingerMs;
  if (linger_begin() && !linger_step()) close(CloseReason::refused);
}

void TcpSession::close(CloseReason reason) {
  if (state_ == State::relaying) worker().counters().relays_open.subtract();
  if (state_ != State::lingering) count_and_log();
  attempt_end();
  relay_.end();
  silent_ = false;
  for (SnapshotUse* use : std::exchange(followed_, {})) worker().exchange_ended(*use);
  if (use_ != nullptr) worker().exchange_ended(*std::exchange(use_, nullptr));
  enter(State::closed);
  end(reason);
}

// Safe to call at any time.
void TcpSession::attempt_end() {
  choice_.leave(upstream::Gate::Leaving::abandoned);
  if (!attempt_.pick) return;
  conclude(health::Passive::Event::abandoned);
  attempt_.opened();
  if (attempt_.connection != nullptr) attempt_.pick->pool->close(*attempt_.connection);
  backend_->release(*plan_, *attempt_.pick, now_us());
  attempt_ = ServerAttempt{};
}

void TcpSession::count_and_log() {
  if (error_ != ProxyError::none) worker().counters().errors[refusal(error_).index].add();
  LoggedOutcome outcome;
  outcome.error = refusal(error_).word;
  outcome.rule = hello_rule_;
  if (route_ != nullptr) outcome.route = route_->label;
  if (plan_ != nullptr) outcome.backend = plan_->name;
  if (server_ != nullptr) outcome.server = server_->name();
  outcome.queue_us = choice_.waited_us();
  outcome.connect_us = connect_us_;
  outcome.bytes_received = relay_.from_client();
  outcome.bytes_sent = relay_.from_server();
  outcome.attempts = attempts_;
  log_connection(accepted_us_, server_name_.view(), outcome);
}

void TcpSession::reap() { worker().destroy_session(*this); }

const char* to_string(TcpSession::State state) {
  switch (state) {
    case TcpSession::State::greeting: return "greeting";
    case TcpSession::State::hello: return "hello";
    case TcpSession::State::seeking: return "seeking";
    case TcpSession::State::relaying: return "relaying";
    case TcpSession::State::lingering: return "lingering";
    case TcpSession::State::closed: return "closed";
  }
  return "?";
}

}  // namespace weir::proxy
