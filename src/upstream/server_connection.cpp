#include "upstream/server_connection.h"

#include <algorithm>

#include "upstream/server_pool.h"

namespace weir::upstream {

ServerConnection::ServerConnection(ServerPool& pool, net::BufferPool& buffers,
                                   net::Traffic& traffic)
    : Connection(loop::SourceKind::upstream, pool.resources_.loop, buffers, traffic),
      server_(pool) {}

void ServerConnection::enter(State next) {
  CHECK(kServerConnectionNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)],
        "illegal state of a server connection");
  os::trace_transition(os::Machine::server_connection, state_, next);
  state_ = next;
}

// Heads of one server differ by the digits of a length and the like. The first bytes of the body
// leave with the head: behind them, one of 64 KiB fits a segment of the loopback (65,483 bytes).
void ServerConnection::expect_large(std::size_t head_bytes) {
  constexpr std::size_t kDiffers = 128;
  first_receive_ =
      static_cast<std::uint32_t>(std::min<std::size_t>(head_bytes + kDiffers, net::kBlockBytes));
}

// Runs by itself only while idle; otherwise events go to the session.
void ServerConnection::run() {
  if (state_ != State::idle || !ready.may_receive()) return;
  server_.close_unquiet(*this);
}

void ServerConnection::expire() {
  if (state_ == State::idle) server_.close(*this);
}

void ServerConnection::reap() {
  --server_.connections_;
  server_.resources_.connections.destroy(*this);
}

const char* to_string(ServerConnection::State state) {
  switch (state) {
    case ServerConnection::State::connecting: return "connecting";
    case ServerConnection::State::active: return "active";
    case ServerConnection::State::idle: return "idle";
    case ServerConnection::State::closed: return "closed";
  }
  return "?";
}

}  // namespace weir::upstream
