#include "net/listener.h"

#include <utility>

namespace weir::net {

Listener::Listener(loop::Loop& loop, Acceptor& acceptor, ListenerCounters& counters, os::Fd socket,
                   bool shared_socket)
    : Source(loop::SourceKind::listener),
      loop_(loop),
      acceptor_(acceptor),
      counters_(counters),
      shared_socket_(shared_socket) {
  fd = std::move(socket);
}

bool Listener::start() {
  paused_ = true;
  resume();
  return !paused_;
}

void Listener::run() {
  // The others wait in the backlog rather than make those wait that are here: they are told again.
  const int most = loop_.saturated() ? 1 : kAcceptsPerStep;
  if (most == 1) counters_.accepts_deferred.add();
  for (int i = 0; i < most; ++i) {
    const Outcome outcome = accept_one(i == 0);
    if (outcome == Outcome::empty || outcome == Outcome::paused) return;
  }
}

Listener::Outcome Listener::accept_one(bool waiting) {
  if (acceptor_.may_accept(waiting) == Acceptor::Verdict::full) {
    if (!waiting) return Outcome::empty;  // Whoever waits is told again.
    pause(counters_.connections_max_hit);
    return Outcome::paused;
  }
  os::Peer peer;
  os::SocketResult result = os::accept_from(fd, peer);
  if (result.status != os::IoStatus::done) acceptor_.nobody_accepted();
  switch (result.status) {
    case os::IoStatus::done:
      counters_.accepted.add();
      limited_ = false;
      acceptor_.accepted(std::move(result.fd), peer);
      return Outcome::accepted;
    case os::IoStatus::again: return Outcome::empty;
    case os::IoStatus::no_descriptors:
      // Said before it is looked whether somebody waits: if so, it is said again.
      if (!waiting) return Outcome::empty;
      if (acceptor_.descriptors_exhausted()) return Outcome::skipped;
      pause(counters_.descriptors_exhausted);
      return Outcome::paused;
    case os::IoStatus::aborted:
    case os::IoStatus::reset:
    case os::IoStatus::unreachable:
    case os::IoStatus::timed_out:
    case os::IoStatus::denied:
      // accept(2): errors of the network that the connection met already are reported here.
      counters_.accept_errors.add();
      return Outcome::skipped;
    default: pause(counters_.accept_errors); return Outcome::paused;
  }
}

// Counts once, however often it tries in vain before the next connection is accepted.
void Listener::pause(Counter& reason) {
  if (!std::exchange(limited_, true)) reason.add();
  if (draining_) return;  // Soon closed.
  loop_.unwatch(*this);
  paused_ = true;
  loop_.set_deadline(*this, loop_.now_ms() + kRetryMs);
}

void Listener::resume() {
  if (!paused_) return;
  loop_.cancel_deadline(*this);
  paused_ = !loop_.watch_level(*this, shared_socket_);
  if (paused_) loop_.set_deadline(*this, loop_.now_ms() + kRetryMs);
}

void Listener::drain() {
  os::refuse_handshakes(fd);
  resume();
  if (paused_) return drain_and_close();
  draining_ = true;
  loop_.set_deadline(*this, loop_.now_ms() + kHandshakeMs);
}

void Listener::drain_and_close() {
  os::refuse_handshakes(fd);
  while (true) {
    const Outcome outcome = accept_one(false);
    if (outcome == Outcome::empty || outcome == Outcome::paused) break;
  }
  loop_.unwatch(*this);
  paused_ = false;  // There is nothing left to resume.
  loop_.retire(*this);
}

}  // namespace weir::net
