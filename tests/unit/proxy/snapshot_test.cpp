#include "proxy/snapshot.h"

#include <gtest/gtest.h>
#include <sys/time.h>

#include <atomic>
#include <thread>

#include "os/process.h"
#include "rig.h"

namespace weir::proxy {
namespace {

using test::config_for;

TEST(Snapshot, CompilesTheConfiguration) {
  config::Config config = config_for({9001, 9002});
  config.listeners[0].timeouts = {config::Milliseconds(1), config::Milliseconds(2),
                                  config::Milliseconds(3)};
  config.listeners[0].forwarded.via = true;
  config::Backend& backend = config.backends[0];
  backend.timeouts = {config::Milliseconds(4), config::Milliseconds(5), config::Milliseconds(6),
                      config::Milliseconds(7)};
  backend.servers[1].weight = 9;
  backend.balance = config::Balance::p2c;
  backend.unavailable_status = 500;
  SharedState shared(1, 0);
  struct Owner final : SnapshotOwner {
    void adopted(Snapshot&) override {}
    void released(Snapshot&) override {}
  } owner;
  const Snapshot snapshot(config, 3, {"web"}, shared, owner, {});
  EXPECT_EQ(snapshot.generation(), 3u);
  ASSERT_EQ(snapshot.listeners().size(), 1u);
  EXPECT_EQ(snapshot.listeners()[0].client_head_timeout_ms, 1u);
  EXPECT_EQ(snapshot.listeners()[0].client_idle_timeout_ms, 2u);
  EXPECT_EQ(snapshot.listeners()[0].client_body_timeout_ms, 3u);
  EXPECT_TRUE(snapshot.listeners()[0].forwarded.via);
  const upstream::BackendPlan& plan = snapshot.backends().at(0);
  EXPECT_EQ(plan.name, "app");
  EXPECT_EQ(plan.connect_timeout_ms, 4u);
  EXPECT_EQ(plan.response_head_timeout_ms, 5u);
  EXPECT_EQ(plan.response_body_timeout_ms, 6u);
  EXPECT_EQ(plan.idle_timeout_ms, 7u);
  EXPECT_EQ(plan.balance.algorithm, balance::Algorithm::p2c);
  EXPECT_EQ(plan.unavailable_status, 500u);
  ASSERT_EQ(plan.gate.servers.size(), 2u);
  EXPECT_EQ(plan.gate.servers[0].weight, 1u);
  EXPECT_EQ(plan.gate.servers[1].weight, 9u);
  EXPECT_EQ(plan.gate.servers[1].state, snapshot.servers()[1]);
  EXPECT_EQ(plan.gate.servers[1].state->address_text(), "127.0.0.1:9002");
}

TEST(Snapshot, ServersKeepTheirStateAcrossSnapshots) {
  SharedState shared(1, 0);
  struct Owner final : SnapshotOwner {
    void adopted(Snapshot&) override {}
    void released(Snapshot&) override {}
  } owner;
  const Snapshot before(config_for({9001, 9002}), 1, {"web"}, shared, owner, {});
  const Snapshot after(config_for({9002, 9003}), 2, {"web"}, shared, owner, {});
  EXPECT_EQ(before.servers()[1], after.servers()[0]);
  EXPECT_EQ(shared.server_count(), 3u);
}

// --- Real workers on threads ---------------------------------------------------------------------

// Answers every request head with "ok", on a thread of its own.
class EchoOrigin {
 public:
  EchoOrigin() : listener_(os::listen_on(os::test::loopback(0), os::Share::first, 256)) {
    thread_ = os::start_thread("test-origin", -1, [this] { serve(); });
  }
  ~EchoOrigin() { stopping_ = true; }
  [[nodiscard]] std::uint16_t port() const { return os::bound_port(listener_.fd); }

 private:
  void serve() {
    std::vector<std::unique_ptr<test::Peer>> peers;
    while (!stopping_) {
      std::vector<pollfd> waiting{{listener_.fd.get(), POLLIN, 0}};
      for (const auto& peer : peers) waiting.push_back({peer->fd().get(), POLLIN, 0});
      ::poll(waiting.data(), waiting.size(), 20);
      os::Peer from;
      os::SocketResult fresh = os::accept_from(listener_.fd, from);
      if (fresh.fd.valid()) peers.push_back(std::make_unique<test::Peer>(std::move(fresh.fd)));
      for (const auto& peer : peers) {
        if (!peer->received().ends_with("\r\n\r\n")) continue;
        peer->forget();
        peer->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      }
      std::erase_if(peers, [](const auto& peer) { return peer->ended(); });
    }
  }
  os::SocketResult listener_;
  std::atomic<bool> stopping_{false};
  std::jthread thread_;
};

// The control thread's part: makes snapshots, frees them when all workers have let go.
class Control final : public SnapshotOwner {
 public:
  explicit Control(unsigned count) : shared(count, 0), listener_("web", {}, 1'000, count) {
    os::Share share = os::Share::first;
    std::uint16_t port_of_all = 0;
    for (unsigned i = 0; i < count; ++i) {
      WorkerSetup setup;
      setup.index = i;
      setup.control = &mailbox;
      setup.listeners = {&listener_};
      workers.push_back(std::make_unique<Worker>(setup));
      pointers_.push_back(workers.back().get());
      os::SocketResult socket = os::listen_on(os::test::loopback(port_of_all), share, 256);
      EXPECT_EQ(socket.status, os::IoStatus::done);
      port_of_all = os::bound_port(socket.fd);
      share = os::Share::another;
      workers.back()->add_listener(0, std::move(socket.fd), false);
      stops_.emplace_back().worker = workers.back().get();
    }
    port = port_of_all;
  }

  void publish(const config::Config& config) {
    snapshots.push_back(
        std::make_unique<Snapshot>(config, ++generation_, names_, shared, *this, pointers_));
    snapshots.back()->publish();
  }
  void start() {
    for (const auto& worker : workers) {
      threads_.push_back(os::start_thread("test-worker", -1, [each = worker.get()] {
        while (each->running()) each->turn();
      }));
    }
  }
  void stop() {
    for (std::size_t i = 0; i < workers.size(); ++i) {
      workers[i]->loop().mailbox().post(stops_[i]);
    }
    threads_.clear();
    mailbox.deliver_all();
  }

  void adopted(Snapshot& snapshot) override {
    EXPECT_GT(snapshot.generation(), adopted_generation) << "workers take them in order";
    adopted_generation = snapshot.generation();
  }
  void released(Snapshot& snapshot) override {
    if (snapshot.users() > 0) return;
    std::erase_if(snapshots, [&](const auto& each) { return each.get() == &snapshot; });
    SharedParts used;
    for (const auto& each : snapshots) used.add(each->parts());
    shared.keep_only(used);
  }

  loop::Mailbox mailbox;
  SharedState shared;
  std::vector<std::unique_ptr<Snapshot>> snapshots;
  std::vector<std::unique_ptr<Worker>> workers;
  std::uint64_t adopted_generation = 0;
  std::uint16_t port = 0;

 private:
  struct Stop final : loop::Message {
    void deliver() override { worker->stop(); }
    Worker* worker = nullptr;
  };
  const std::vector<std::string> names_{"web"};
  ListenerState listener_;
  std::vector<Worker*> pointers_;
  std::deque<Stop> stops_;
  std::vector<std::jthread> threads_;
  std::uint64_t generation_ = 0;
};

// Sends requests one after the other until told to stop, over kept connections of which it drops
// one now and then, and counts the answers.
class Visitor {
 public:
  explicit Visitor(std::uint16_t port) : port_(port) {
    thread_ = os::start_thread("test-visitor", -1, [this] { visit(); });
  }
  void stop() {
    stopping_ = true;
    thread_.join();
  }
  std::atomic<unsigned> good{0};
  std::atomic<unsigned> bad{0};

 private:
  void visit() {
    while (!stopping_) {
      os::SocketResult socket = os::connect_to(os::test::loopback(port_));
      if (!os::test::wait_for(socket.fd, POLLOUT)) return;
      test::Peer peer(std::move(socket.fd));
      for (int i = 0; i < 50 && !stopping_; ++i) {
        peer.forget();
        peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        while (!peer.has("\r\n\r\nok") && !peer.ended()) {
          if (!os::test::wait_for(peer.fd(), POLLIN)) break;
        }
        const bool success = peer.received().starts_with("HTTP/1.1 200") && !peer.ended();
        ++(success ? good : bad);
        if (!success) break;
      }
    }
  }
  std::uint16_t port_;
  std::atomic<bool> stopping_{false};
  std::jthread thread_;
};

TEST(SnapshotMultiThread, AThousandPublishedUnderTrafficAreAllReleased) {
  constexpr unsigned kSnapshots = 1'000;
  EchoOrigin a;
  EchoOrigin b;
  EchoOrigin c;
  const std::vector<config::Config> variants = {
      config_for({a.port(), b.port()}), config_for({b.port(), c.port()}), config_for({b.port()}),
      config_for({c.port(), a.port(), b.port()})};
  Control control(2);
  control.publish(variants[0]);
  control.start();
  Visitor one(control.port);
  Visitor two(control.port);
  std::size_t most = 0;
  for (unsigned i = 1; i < kSnapshots; ++i) {
    control.publish(variants[i % variants.size()]);
    control.mailbox.deliver_all();
    most = std::max(most, control.snapshots.size());
    // A few may be on their way at once, as with an impatient operator, but not all of them.
    ASSERT_TRUE(os::test::eventually([&] {
      control.mailbox.deliver_all();
      return control.snapshots.size() < 8;
    })) << i;
  }
  const unsigned seen = one.good + two.good;
  ASSERT_TRUE(os::test::eventually([&] { return one.good + two.good > seen + 100; }));
  one.stop();
  two.stop();
  ASSERT_TRUE(os::test::eventually([&] {
    control.mailbox.deliver_all();
    return control.snapshots.size() == 1;
  }));
  EXPECT_EQ(control.adopted_generation, kSnapshots);
  EXPECT_EQ(control.snapshots[0]->generation(), kSnapshots);
  EXPECT_EQ(control.shared.server_count(), control.snapshots[0]->servers().size());
  EXPECT_GT(most, 1u);
  EXPECT_GT(one.good, 0u);
  EXPECT_GT(two.good, 0u);
  EXPECT_EQ(one.bad + two.bad, 0u) << "a reload costs no request";
  control.stop();
  for (const auto& worker : control.workers) {
    EXPECT_EQ(worker->counters().requests_in_flight.read(), 0u);
    EXPECT_EQ(worker->buffers().leased(), 0u);
  }
}

}  // namespace
}  // namespace weir::proxy
