#include "control/local_http.h"

#include <utility>

#include "base/check.h"

namespace weir::control {

LocalHttpServer::LocalHttpServer(loop::Loop& loop, os::Fd listening_socket, Handler handler,
                                 LocalHttpLimits limits)
    : loop_(loop),
      handler_(std::move(handler)),
      limits_(limits),
      listener_(loop, *this, counters_.listener, std::move(listening_socket), false) {}

// Nothing is retired here, because the loop would reap it when the slab is gone: what is unlinked
// from the loop can be destroyed at once. Elements leave the loop's lists with their links.
LocalHttpServer::~LocalHttpServer() {
  const auto destroy = [this](LocalConnection& connection) {
    if (!connection.retired()) loop_.unwatch(connection);
    connections_.destroy(connection);
  };
  spare_.for_each(destroy);
  busy_.for_each(destroy);
  if (!listener_.retired()) loop_.unwatch(listener_);
}

bool LocalHttpServer::start() { return listener_.start(); }

std::uint16_t LocalHttpServer::port() const { return os::bound_port(listener_.fd); }

void LocalHttpServer::drain() {
  if (draining_) return;
  draining_ = true;
  listener_.drain_and_close();
  spare_.for_each([](LocalConnection& connection) { connection.drain(); });
  busy_.for_each([](LocalConnection& connection) { connection.drain(); });
}

// At the limit a client without a request makes room for one that may have one, so that neither
// idle clients nor half heads keep a health check out. Who has just sent something is heard first.
LocalConnection* LocalHttpServer::longest_spare() {
  LocalConnection* found = nullptr;
  (void)spare_.visit_until([&](LocalConnection& connection) {
    if (connection.quiet()) found = &connection;
    return found != nullptr;
  });
  return found;
}

net::Acceptor::Verdict LocalHttpServer::may_accept(bool) {
  const bool room = open_ < limits_.connections_max || longest_spare() != nullptr;
  return room ? Verdict::go_on : Verdict::full;
}

void LocalHttpServer::accepted(os::Fd fd, const os::Peer&) {
  // may_accept() has asked the kernel about it just now, and only an event could change its mind.
  if (open_ >= limits_.connections_max) longest_spare()->close();
  LocalConnection* connection = connections_.create(*this, std::move(fd));
  CHECK(connection != nullptr, "the slab has no limit");
  if (!connection->start()) return connections_.destroy(*connection);
  spare_.push_back(*connection);
  ++open_;
}

void LocalHttpServer::reaped(LocalConnection& connection) {
  connections_.destroy(connection);
  made_room();
}

void LocalHttpServer::made_room() {
  if (!listener_.retired()) listener_.resume();
}

}  // namespace weir::control
