#include "proxy/relay.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace weir::proxy {

void Relay::begin(net::Connection& client, net::Connection& server, net::PipePool& pipes,
                  std::uint64_t now_ms) {
  to_server_.from = to_client_.to = &client;
  to_server_.to = to_client_.from = &server;
  to_server_.flow.begin(pipes);
  to_client_.flow.begin(pipes);
  moved(now_ms);
}

void Relay::moved(std::uint64_t now_ms) {
  quiet_since_ms_ = looked_ms_ = now_ms;
  delivered_ = false;
  to_server_.held_by_kernel = to_client_.held_by_kernel = 0;
}

Relay::Outcome Relay::step(std::uint64_t now_ms) {
  const Status up = to_server_.step();
  if (up == Status::sink_broken) to_server_.give_up();
  const Status down = to_client_.step();
  if (down == Status::sink_broken) to_client_.give_up();
  if (to_server_.progressed || to_client_.progressed) moved(now_ms);
  return conclude(up, down);
}

void Relay::end() {
  to_server_.flow.drop();
  to_client_.flow.drop();
}

// A side that was reset may have sent something before, which is delivered first.
Relay::Outcome Relay::conclude(Status up, Status down) const {
  if (up == Status::source_broken) return Outcome::client_broken;
  if (down == Status::source_broken) return Outcome::server_broken;
  if (up == Status::no_buffer || down == Status::no_buffer) return Outcome::no_buffer;
  if (to_server_.state == State::shut && to_client_.state == State::shut) {
    if (to_client_.from->broken()) return Outcome::server_broken;
    return to_server_.from->broken() ? Outcome::client_broken : Outcome::finished;
  }
  // One that has just learned of the other's reset looks once more.
  const bool again = up == Status::working || down == Status::working ||
                     up == Status::sink_broken || down == Status::sink_broken;
  return again ? Outcome::again : Outcome::wait;
}

// The reset of a side whose bytes the other does not take; `wait`: of none. Both directions that
// have ended in order look like a reset as well; then one of them is shut.
Relay::Outcome Relay::left_behind() const {
  if (to_server_.state == State::shut || to_client_.state == State::shut) return Outcome::wait;
  if (to_client_.left_behind()) return Outcome::server_broken;
  return to_server_.left_behind() ? Outcome::client_broken : Outcome::wait;
}

std::uint64_t Relay::patience_ms(std::uint64_t idle_timeout_ms) const {
  return left_behind() == Outcome::wait ? idle_timeout_ms
                                        : std::min(kLeftBehindMs, idle_timeout_ms);
}

std::uint64_t Relay::deadline_ms(std::uint64_t idle_timeout_ms) const {
  const std::uint64_t patience = patience_ms(idle_timeout_ms);
  const std::uint64_t over = quiet_since_ms_ + patience;
  if (delivered_) return over;
  return std::min(over, looked_ms_ + std::max<std::uint64_t>(patience / kLooks, 1));
}

Relay::Outcome Relay::expired(std::uint64_t now_ms, std::uint64_t idle_timeout_ms) {
  const bool by_server = to_server_.taken();
  const bool by_client = to_client_.taken();
  looked_ms_ = now_ms;
  if (by_server || by_client) quiet_since_ms_ = now_ms;
  delivered_ = to_server_.held_by_kernel == 0 && to_client_.held_by_kernel == 0;
  if (now_ms < quiet_since_ms_ + patience_ms(idle_timeout_ms)) return Outcome::wait;
  const Outcome broken = left_behind();
  return broken == Outcome::wait ? Outcome::idle : broken;
}

bool Relay::Direction::left_behind() const { return from->ready.error() && holding(); }

bool Relay::Direction::holding() const {
  return !from->in.empty() || !to->out.empty() || flow.held() > 0;
}

// Whether the sink has taken something since the last look.
bool Relay::Direction::taken() {
  const std::size_t before = std::exchange(held_by_kernel, os::unacknowledged(to->fd));
  return held_by_kernel < before;
}

void Relay::Direction::enter(State next) {
  CHECK(kRelayNext[static_cast<std::size_t>(state)][static_cast<std::size_t>(next)],
        to_string(next));
  os::trace_transition(os::Machine::relay, state, next);
  state = next;
  progressed = true;
}

Relay::Status Relay::Direction::step() {
  spent = 0;
  progressed = false;
  if (held) return Status::need_input;
  while (state != State::shut) {
    Status status = send();
    if (status == Status::moved_on) {
      if (state == State::draining) {
        os::shutdown_send(to->fd);
        enter(State::shut);
        break;
      }
      status = spent >= kStepBytes ? Status::working : bulk ? splice() : receive();
    }
    if (status == Status::moved_on) continue;
    rest();
    return status;
  }
  rest();
  return Status::shut;
}

// What was received, behind what the owner left to be sent.
Relay::Status Relay::Direction::send() {
  while (!from->in.empty() || !to->out.empty()) {
    const os::IoResult result = to->flush(from->in.readable());
    if (result.status == os::IoStatus::again) return Status::blocked_output;
    if (result.status != os::IoStatus::done) return Status::sink_broken;
    from->in.consume(result.bytes);
    bytes += result.bytes;
    progressed = true;
  }
  return Status::moved_on;
}

Relay::Status Relay::Direction::receive() {
  if (!from->ready.may_receive()) {
    fell_silent();
    return Status::need_input;
  }
  const os::IoResult result = from->fill();
  switch (result.status) {
    case os::IoStatus::done:
      spent += result.bytes;
      progressed = true;
      bulk = bulk || from->in.room() == 0;
      return Status::moved_on;
    case os::IoStatus::again: fell_silent(); return Status::need_input;
    case os::IoStatus::end: enter(State::draining); return Status::moved_on;
    case os::IoStatus::no_memory: return Status::no_buffer;
    default: return Status::source_broken;
  }
}

Relay::Status Relay::Direction::splice() {
  std::uint64_t left = UINT64_MAX;
  const SpliceFlow::Status status = flow.pump(*from, *to, left);
  bytes += UINT64_MAX - left;
  progressed = progressed || flow.progressed();
  switch (status) {
    case SpliceFlow::Status::need_input: fell_silent(); return Status::need_input;
    case SpliceFlow::Status::blocked_output: return Status::blocked_output;
    case SpliceFlow::Status::working: return Status::working;
    case SpliceFlow::Status::must_copy: return receive();
    case SpliceFlow::Status::source_ended: enter(State::draining); return Status::moved_on;
    case SpliceFlow::Status::source_failed: return Status::source_broken;
    case SpliceFlow::Status::sink_failed: return Status::sink_broken;
    case SpliceFlow::Status::complete: break;
  }
  CHECK(false, "a relay has no length");
  return Status::need_input;
}

// Everything it said is across.
void Relay::Direction::fell_silent() {
  if (bytes == silent_at) return;
  bulk = bytes - silent_at >= kBulkBytes;
  silent_at = bytes;
}

// The sink takes no more. The other direction looks for its end, or for how it broke, without an
// event.
void Relay::Direction::give_up() {
  enter(State::shut);
  from->in.clear();
  to->out.clear();
  flow.drop();
  to->ready.latch(os::kReadable);
  rest();
}

// Whoever waits holds no block.
void Relay::Direction::rest() {
  if (from->in.empty()) from->in.release();
  if (to->out.empty()) to->out.release();
}

const char* to_string(Relay::State state) {
  switch (state) {
    case Relay::State::open: return "open";
    case Relay::State::draining: return "draining";
    case Relay::State::shut: return "shut";
  }
  return "?";
}

}  // namespace weir::proxy
