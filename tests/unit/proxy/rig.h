// Rig: one worker on the test's own thread, in front of servers that the test plays itself, over
// real sockets on loopback. Nothing blocks: turns return at once, and waiting means turning until a
// condition holds.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../loop/probe.h"
#include "../os/sockets.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"

namespace weir::proxy::test {

inline constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
inline constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

// The test's end of a connection, a client's or a server's. Keeps what has come and not been taken.
class Peer {
 public:
  explicit Peer(os::Fd socket) : fd_(std::move(socket)) {}

  // Sends as much of `bytes` as the kernel takes and returns the rest.
  std::string_view send(std::string_view bytes) {
    while (!bytes.empty()) {
      const os::IoResult result = os::send(fd_, bytes);
      if (result.status != os::IoStatus::done) break;
      bytes.remove_prefix(result.bytes);
    }
    return bytes;
  }
  // Takes in at most `most` bytes of what is there.
  void receive(std::size_t most = SIZE_MAX) {
    char piece[65536];
    while (most > 0 && !ended_) {
      const os::IoResult result = os::receive(fd_, piece, std::min(most, sizeof piece));
      if (result.status == os::IoStatus::again) return;
      if (result.status == os::IoStatus::done) {
        received_.append(piece, result.bytes);
        most -= result.bytes;
        continue;
      }
      ended_ = true;
      reset_ = result.status != os::IoStatus::end;
    }
  }
  [[nodiscard]] const std::string& received() {
    receive();
    return received_;
  }
  // The same without looking for more.
  [[nodiscard]] const std::string& kept() const { return received_; }
  void forget() {
    receive();
    received_.clear();
  }
  [[nodiscard]] bool has(std::string_view text) {
    return received().find(text) != std::string::npos;
  }
  // The other side will send no more, by FIN or by RST.
  [[nodiscard]] bool ended() {
    receive();
    return ended_;
  }
  [[nodiscard]] bool was_reset() {
    receive();
    return reset_;
  }
  void finish_sending() { os::shutdown_send(fd_); }
  void close() { fd_.reset(); }
  void reset() {
    os::close_with_reset(fd_);
    fd_.reset();
  }
  [[nodiscard]] const os::Fd& fd() const { return fd_; }

 private:
  os::Fd fd_;
  std::string received_;
  bool ended_ = false;
  bool reset_ = false;
};

[[nodiscard]] inline config::Endpoint endpoint(std::uint16_t port) {
  return {config::Endpoint::Family::ipv4, "127.0.0.1", port};
}

// A listening socket of the test, playing a server.
class Origin {
 public:
  explicit Origin(int backlog = 128)
      : listener_(os::listen_on(os::test::loopback(0), os::Share::first, backlog)) {
    EXPECT_EQ(listener_.status, os::IoStatus::done);
    port_ = os::bound_port(listener_.fd);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  // The next connection that has been made to it; null when there is none.
  [[nodiscard]] std::unique_ptr<Peer> accept() {
    os::Peer from;
    os::SocketResult result = os::accept_from(listener_.fd, from);
    if (result.status != os::IoStatus::done) return nullptr;
    return std::make_unique<Peer>(std::move(result.fd));
  }
  // From now on connections are refused.
  void close() { listener_.fd.reset(); }

 private:
  os::SocketResult listener_;
  std::uint16_t port_ = 0;
};

// One listener "web", one backend "app" with these servers, one route for everything.
[[nodiscard]] inline config::Config config_for(const std::vector<std::uint16_t>& ports) {
  config::Config config;
  config::Listener& listener = config.listeners.emplace_back();
  listener.name = "web";
  config::Backend& backend = config.backends.emplace_back();
  backend.name = "app";
  backend.balance = config::Balance::round_robin;
  for (const std::uint16_t port : ports) {
    config::Server& server = backend.servers.emplace_back();
    server.name = endpoint(port).text();
    server.address = endpoint(port);
  }
  config.routes.emplace_back().backends = {{"app"}};
  return config;
}

class Rig final : public SnapshotOwner {
 public:
  struct Options {
    loop::Trigger trigger = loop::Trigger::edge;
    std::uint32_t connections_max = 1000;
    LogRing* access_log = nullptr;
  };

  explicit Rig(const config::Config& config) : Rig(config, Options{}) {}
  Rig(const config::Config& config, const Options& options)
      : listener_("web", {}, options.connections_max, 1), shared_(1, 0) {
    WorkerSetup setup;
    setup.trigger = options.trigger;
    setup.control = &control_;
    setup.access_log = options.access_log;
    setup.listeners = {&listener_};
    worker_ = std::make_unique<Worker>(setup);
    os::SocketResult socket = os::listen_on(os::test::loopback(0), os::Share::first, 512);
    EXPECT_EQ(socket.status, os::IoStatus::done);
    port_ = os::bound_port(socket.fd);
    worker_->add_listener(0, std::move(socket.fd), false);
    publish(config);
    turn();
  }

  void publish(const config::Config& config) {
    snapshots_.push_back(std::make_unique<Snapshot>(config, ++generation_, names_, shared_, *this,
                                                    std::vector{worker_.get()}));
    snapshots_.back()->publish();
  }
  void adopted(Snapshot& snapshot) override { adopted_generation_ = snapshot.generation(); }
  void released(Snapshot& snapshot) override {
    if (snapshot.users() > 0) return;
    std::erase_if(snapshots_, [&](const auto& each) { return each.get() == &snapshot; });
  }

  // One turn that does not block.
  void turn() {
    worker_->loop().schedule(nudge_);
    worker_->turn();
    control_.deliver_all();
  }
  template <typename Condition>
  [[nodiscard]] bool turn_until(Condition condition) {
    return os::test::eventually([&] {
      if (condition()) return true;
      turn();
      return false;
    });
  }
  // Turns on while nothing should happen any more.
  void settle() {
    for (int i = 0; i < 20; ++i) turn();
  }

  [[nodiscard]] std::unique_ptr<Peer> client() {
    os::SocketResult socket = os::connect_to(os::test::loopback(port_));
    EXPECT_TRUE(os::test::wait_for(socket.fd, POLLOUT));
    return std::make_unique<Peer>(std::move(socket.fd));
  }
  // The next connection that weir makes to `origin`.
  [[nodiscard]] std::unique_ptr<Peer> accepted(Origin& origin) {
    std::unique_ptr<Peer> peer;
    EXPECT_TRUE(turn_until([&] { return (peer = origin.accept()) != nullptr; }));
    return peer;
  }
  [[nodiscard]] bool receives(Peer& peer, std::string_view text) {
    return turn_until([&] { return peer.has(text); });
  }

  [[nodiscard]] Worker& worker() { return *worker_; }
  [[nodiscard]] ListenerState& listener() { return listener_; }
  [[nodiscard]] const Snapshot& snapshot() const { return *snapshots_.back(); }
  [[nodiscard]] upstream::ServerState& server(std::size_t index = 0) {
    return *snapshots_.back()->servers()[index];
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::size_t snapshots() const { return snapshots_.size(); }
  [[nodiscard]] std::uint64_t errors(ProxyError error) {
    return worker_->counters().errors[refusal(error).index].read();
  }

 private:
  const std::vector<std::string> names_{"web"};
  loop::Mailbox control_;
  ListenerState listener_;
  SharedState shared_;
  std::vector<std::unique_ptr<Snapshot>> snapshots_;
  std::unique_ptr<Worker> worker_;
  loop::test::Probe nudge_{loop::SourceKind::none};
  std::uint64_t generation_ = 0;
  std::uint64_t adopted_generation_ = 0;
  std::uint16_t port_ = 0;
};

}  // namespace weir::proxy::test
