#include "upstream/server_pool.h"

#include <utility>

namespace weir::upstream {

ServerPool::ServerPool(ServerState& state, UpstreamResources resources)
    : state_(state), counters_(state.counters(resources.worker)), resources_(resources) {
  counters_.traffic.whole = &resources.traffic;
}

ServerPool::~ServerPool() { CHECK(connections_ == 0, "server pool destroyed with connections"); }

// Of nobody's it is the first, unless a reload has just changed what the server is told.
ServerConnection* ServerPool::idle_of(ConnectionOwner* owner) {
  ServerConnection* found = nullptr;
  const auto fits = [&](ServerConnection& connection) {
    if (connection.owner_ == owner && &connection.server_ == this) found = &connection;
    return found != nullptr;
  };
  (void)(owner != nullptr ? owner->idle_.visit_until(fits) : idle_.visit_until(fits));
  return found;
}

ServerConnection* ServerPool::take_idle(ConnectionOwner* owner, bool careful) {
  while (ServerConnection* connection = idle_of(owner)) {
    // The latch is the check before reuse: whatever an idle server sends means it is leaving.
    const bool ask = careful || resources_.loop.now_ms() - connection->idle_since_ms_ > kQuietMs;
    const bool alive = !connection->ready.may_receive() && (!ask || connection->ask_quiet());
    if (!alive) {
      close_unquiet(*connection);
      continue;
    }
    leave_idle(*connection);
    counters_.connections_active.add();
    resources_.loop.set_deadline(*connection, loop::Timer::kNever);  // Put back before long.
    connection->enter(ServerConnection::State::active);
    ++connection->requests_;
    counters_.reuses.add();
    return connection;
  }
  return nullptr;
}

ServerPool::Connecting ServerPool::connect(ConnectionOwner* owner, std::string_view congestion) {
  counters_.connects.add();
  os::SocketResult socket = os::connect_to(state_.address(), congestion);
  if (socket.status != os::IoStatus::done && socket.status != os::IoStatus::again) {
    return {socket.status, nullptr};
  }
  ServerConnection* connection =
      resources_.connections.create(*this, resources_.buffers, counters_.traffic);
  if (connection == nullptr) return {os::IoStatus::no_memory, nullptr};
  connection->owner_ = owner;
  ++connections_;
  counters_.connections_active.add();
  connection->fd = std::move(socket.fd);
  if (socket.status == os::IoStatus::done) {
    connection->ready.reset(loop::Readiness::kUnknown);
    connection->enter(ServerConnection::State::active);
  }
  if (!resources_.loop.watch(*connection)) {
    close(*connection);
    return {os::IoStatus::no_memory, nullptr};
  }
  return {socket.status, connection};
}

os::IoStatus ServerPool::connect_finish(ServerConnection& connection) {
  if (!connection.ready.may_send()) return os::IoStatus::again;
  const os::IoStatus status = os::connect_outcome(connection.fd);
  if (status == os::IoStatus::done) connection.enter(ServerConnection::State::active);
  return status;
}

void ServerPool::put_back(ServerConnection& connection, std::uint64_t idle_ms) {
  resources_.loop.redirect(connection, nullptr);
  if (!retired_ && idle_count_ >= kIdleMax) counters_.idle_max_hit.add();
  if (retired_ || idle_count_ >= kIdleMax || idle_ms == 0 || !connection.out.empty()) {
    return close(connection);
  }
  // Bytes behind the end of the answer are nobody's: the connection is poisoned.
  if (!connection.in.empty() || !connection.quiet()) return close_unquiet(connection);
  connection.in.release();
  connection.out.release();
  connection.enter(ServerConnection::State::idle);
  connection.idle_since_ms_ = resources_.loop.now_ms();
  idle_.push_front(connection);
  if (connection.owner_ != nullptr) connection.owner_->idle_.push_front(connection);
  ++idle_count_;
  counters_.connections_active.subtract();
  counters_.connections_idle.add();
  resources_.loop.set_deadline(connection, resources_.loop.now_ms() + idle_ms);
}

void ServerPool::leave_idle(ServerConnection& connection) {
  static_cast<ListLink<IdleTag>&>(connection).unlink();
  if (connection.owner_ != nullptr) static_cast<ListLink<OwnerTag>&>(connection).unlink();
  --idle_count_;
  counters_.connections_idle.subtract();
}

void ServerPool::close_unquiet(ServerConnection& connection) {
  char byte;
  const bool bytes =
      !connection.in.empty() || os::peek(connection.fd, &byte, 1).status == os::IoStatus::done;
  if (bytes) counters_.idle_poisoned.add();
  close(connection);
}

void ServerPool::close(ServerConnection& connection) {
  if (connection.state() == ServerConnection::State::idle) {
    leave_idle(connection);
  } else {
    counters_.connections_active.subtract();
  }
  connection.enter(ServerConnection::State::closed);
  connection.in.release();
  connection.out.release();
  resources_.loop.redirect(connection, nullptr);
  resources_.loop.retire(connection);
}

void ServerPool::retire() {
  retired_ = true;
  while (ServerConnection* connection = idle_.front()) close(*connection);
}

}  // namespace weir::upstream
