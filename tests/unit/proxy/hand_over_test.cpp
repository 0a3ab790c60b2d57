// Two workers on the test's thread. Only the first one listens, so that every client is its own at
// first; what the second one serves was handed over.
#include "proxy/hand_over.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "rig.h"

namespace weir::proxy {
namespace {

using test::config_for;
using test::kAnswer;
using test::kGet;
using test::Origin;
using test::Peer;

// Nothing moves but by give(), and at once.
constexpr WorkTuning kByHand{.interval_ms = 3'600'000, .stay_ms = 0};

class Two final : public SnapshotOwner {
 public:
  explicit Two(const config::Config& config, const WorkTuning& tuning = kByHand,
               loop::Trigger trigger = loop::Trigger::edge)
      : listener_("web", {}, config.listeners[0].max_connections.value_or(1000), 2) {
    for (unsigned i = 0; i < 2; ++i) {
      WorkerSetup setup;
      setup.index = i;
      setup.trigger = trigger;
      setup.work = tuning;
      setup.control = &control_;
      setup.listeners = {&listener_};
      setup.workers = &pointers_;
      workers_[i] = std::make_unique<Worker>(setup);
      pointers_.push_back(workers_[i].get());
    }
    os::SocketResult socket = os::listen_on(os::test::loopback(0), os::Share::first, 512);
    EXPECT_EQ(socket.status, os::IoStatus::done);
    port_ = os::bound_port(socket.fd);
    workers_[0]->add_listener(0, std::move(socket.fd), false);
    snapshot_ = std::make_unique<Snapshot>(config, 1, std::vector<std::string>{"web"}, shared_,
                                           *this, pointers_);
    snapshot_->publish();
    turn();
  }
  void adopted(Snapshot&) override {}
  void released(Snapshot&) override {}

  // One turn of one worker, which does not block.
  void turn(unsigned index) {
    workers_[index]->loop().schedule(nudges_[index]);
    workers_[index]->turn();
    control_.deliver_all();
  }
  void turn() {
    turn(0);
    turn(1);
  }
  template <typename Condition>
  [[nodiscard]] bool turn_until(Condition condition) {
    return os::test::eventually([&] {
      if (condition()) return true;
      turn();
      return false;
    });
  }

  [[nodiscard]] std::unique_ptr<Peer> client() {
    os::SocketResult socket = os::connect_to(os::test::loopback(port_));
    EXPECT_TRUE(os::test::wait_for(socket.fd, POLLOUT));
    return std::make_unique<Peer>(std::move(socket.fd));
  }
  [[nodiscard]] Worker& worker(unsigned index) { return *workers_[index]; }
  [[nodiscard]] std::uint32_t connections() const { return listener_.connections.load(); }
  // Since when the worker's client that goes first is idle, as the other worker is told.
  [[nodiscard]] std::uint64_t idle_since_ms(unsigned index) const {
    return listener_.idle_since[index].ms.load();
  }
  [[nodiscard]] std::size_t sessions(unsigned index) { return workers_[index]->census().sessions; }
  [[nodiscard]] std::uint64_t requests(unsigned index) {
    return workers_[index]->counters().requests.read();
  }
  [[nodiscard]] std::uint64_t closes(CloseReason reason) {
    std::uint64_t sum = 0;
    for (const auto& worker : workers_) {
      sum += worker->counters().closes[static_cast<std::size_t>(reason)].read();
    }
    return sum;
  }

 private:
  loop::Mailbox control_;
  ListenerState listener_;
  SharedState shared_{2, 0};
  std::vector<Worker*> pointers_;
  std::unique_ptr<Snapshot> snapshot_;
  std::array<std::unique_ptr<Worker>, 2> workers_;
  std::array<loop::test::Probe, 2> nudges_{loop::test::Probe{loop::SourceKind::none},
                                           loop::test::Probe{loop::SourceKind::none}};
  std::uint16_t port_ = 0;
};

class HandOverTest : public testing::Test {
 protected:
  // `change`: what the configuration has besides.
  void start(const std::function<void(config::Config&)>& change = {},
             const WorkTuning& tuning = kByHand, loop::Trigger trigger = loop::Trigger::edge) {
    config::Config config = config_for({origin_.port()});
    if (change) change(config);
    two_ = std::make_unique<Two>(config, tuning, trigger);
  }
  [[nodiscard]] Two& two() { return *two_; }

  // The server answers every request whose end has come.
  void serve() {
    while (auto server = origin_.accept()) servers_.push_back(std::move(server));
    for (const auto& server : servers_) {
      if (!server->has("\r\n\r\n")) continue;
      heard_ = server->kept();
      server->forget();
      server->send(kAnswer);
    }
  }
  template <typename Condition>
  [[nodiscard]] bool serve_until(Condition condition) {
    return two().turn_until([&] {
      serve();
      return condition();
    });
  }
  // A request of `client` and its answer.
  void exchange(Peer& client) {
    client.send(kGet);
    ASSERT_TRUE(serve_until([&] { return client.has("\r\n\r\nok"); }));
    client.forget();
  }
  // Exchanges until the first worker has given a client away.
  void exchange_until_moved(Peer& client) {
    const std::uint64_t before = moved();
    two().worker(0).hand_over().give({1, 1, 0});
    ASSERT_TRUE(os::test::eventually([&] {
      exchange(client);
      return moved() > before;
    }));
  }
  // The same, but the client is still on its way when this returns.
  void exchange_until_under_way(Peer& client) {
    two().worker(0).hand_over().give({1, 1, 0});
    ASSERT_TRUE(os::test::eventually([&] {
      client.send(kGet);
      const bool answered = os::test::eventually([&] {
        serve();
        two().turn(0);
        return client.has("\r\n\r\nok");
      });
      client.forget();
      return !answered || moved() > 0;
    }));
    ASSERT_TRUE(two().worker(1).hand_over().expects());
  }
  [[nodiscard]] std::uint64_t moved() {
    return two().worker(0).counters().clients_handed_over.read();
  }

  Origin origin_;
  std::unique_ptr<Two> two_;
  std::vector<std::unique_ptr<Peer>> servers_;
  std::string heard_;  // The newest head that has come to the server.
};

TEST_F(HandOverTest, AfterATurnTheOtherWorkerIsToldWhoIsIdleSinceWhen) {
  start();
  EXPECT_EQ(two().idle_since_ms(0), ListenerState::kNobodyIdle);
  auto client = two().client();
  exchange(*client);
  const std::uint64_t answered_ms = two().idle_since_ms(0);
  ASSERT_NE(answered_ms, ListenerState::kNobodyIdle);
  EXPECT_LE(answered_ms, two().worker(0).loop().now_ms());
  client->send(kGet);
  ASSERT_TRUE(two().turn_until([&] { return two().requests(0) == 2; }));
  EXPECT_EQ(two().idle_since_ms(0), ListenerState::kNobodyIdle) << "it is busy";
  ASSERT_TRUE(serve_until([&] { return client->has("\r\n\r\nok"); }));
  EXPECT_GE(two().idle_since_ms(0), answered_ms);
  EXPECT_LE(two().idle_since_ms(0), two().worker(0).loop().now_ms());
  client.reset();
  ASSERT_TRUE(two().turn_until([&] { return two().sessions(0) == 0; }));
  EXPECT_EQ(two().idle_since_ms(0), ListenerState::kNobodyIdle);
  EXPECT_EQ(two().idle_since_ms(1), ListenerState::kNobodyIdle);
}

TEST_F(HandOverTest, AClientGoesOnWithTheOtherWorker) {
  for (const auto trigger : {loop::Trigger::edge, loop::Trigger::level, loop::Trigger::oneshot}) {
    start({}, kByHand, trigger);
    const auto client = two().client();
    exchange_until_moved(*client);
    const std::uint64_t before = two().requests(0);
    for (int i = 0; i < 3; ++i) exchange(*client);
    EXPECT_EQ(two().requests(0), before);
    EXPECT_EQ(two().requests(1), 3u);
    EXPECT_EQ(two().sessions(0), 0u);
    EXPECT_EQ(two().sessions(1), 1u);
    EXPECT_EQ(two().connections(), 1u) << "its place goes with it";
    EXPECT_EQ(two().worker(0).loop_counters().stale_events.read(), 0u) << "nobody else hears of it";
    client->close();
    EXPECT_TRUE(two().turn_until([&] { return two().connections() == 0; }));
    EXPECT_EQ(two().closes(CloseReason::client_finished), 1u);
    servers_.clear();
  }
}

TEST_F(HandOverTest, ANewConnectionCanBeGivenAtOnce) {
  start();
  two().worker(0).hand_over().give({1, 0, 1});
  const auto given = two().client();
  exchange(*given);
  const auto kept = two().client();
  exchange(*kept);
  EXPECT_EQ(two().worker(0).counters().fresh_handed_over.read(), 1u);
  EXPECT_EQ(two().requests(0), 1u);
  EXPECT_EQ(two().requests(1), 1u);
  EXPECT_EQ(two().connections(), 2u);
}

// Its bytes are there before the other worker watches the socket.
TEST_F(HandOverTest, ARequestThatArrivesOnTheWayIsAnswered) {
  start();
  const auto client = two().client();
  exchange_until_under_way(*client);
  client->send(kGet);
  ASSERT_TRUE(serve_until([&] { return client->has("\r\n\r\nok"); }));
  EXPECT_EQ(two().requests(1), 1u);
}

TEST_F(HandOverTest, AClientThatLeavesOnTheWayIsClosed) {
  start();
  const auto client = two().client();
  exchange_until_under_way(*client);
  client->close();
  ASSERT_TRUE(two().turn_until([&] { return two().connections() == 0; }));
  EXPECT_EQ(two().closes(CloseReason::client_finished), 1u);
}

TEST_F(HandOverTest, AClientStaysForAWhile) {
  start({}, {.interval_ms = kByHand.interval_ms});
  const auto client = two().client();
  two().worker(0).hand_over().give({1, 1, 0});
  for (int i = 0; i < 5; ++i) exchange(*client);
  EXPECT_EQ(moved(), 0u) << "it has just come";
  exchange_until_moved(*client);
  two().worker(1).hand_over().give({0, 1, 0});
  for (int i = 0; i < 5; ++i) exchange(*client);
  EXPECT_EQ(two().worker(1).counters().clients_handed_over.read(), 0u) << "and so it has here";
}

// What was read already cannot be read by another worker.
TEST_F(HandOverTest, AClientWithTheNextRequestInTheBufferStays) {
  start();
  const auto client = two().client();
  exchange_until_moved(*client);
  two().worker(1).hand_over().give({0, 1, 0});
  const std::string two_requests = std::string(kGet) + std::string(kGet);
  ASSERT_TRUE(os::test::eventually([&] {
    const std::uint64_t before = two().requests(1) + two().requests(0);
    client->send(two_requests);
    EXPECT_TRUE(serve_until(
        [&] { return client->has("okHTTP/1.1 200 OK") && client->kept().ends_with("ok"); }));
    client->forget();
    EXPECT_EQ(two().requests(1) + two().requests(0), before + 2) << "none is lost";
    return two().worker(1).counters().clients_handed_over.read() == 1;
  })) << "it goes behind the second one";
}

TEST_F(HandOverTest, AClientWithAServerConnectionOfItsOwnStays) {
  start([](config::Config& config) { config.backends[0].send_proxy = 1; });
  const auto client = two().client();
  two().worker(0).hand_over().give({1, 1, 0});
  for (int i = 0; i < 5; ++i) exchange(*client);
  EXPECT_EQ(moved(), 0u);
}

TEST_F(HandOverTest, WhoAClientSaidToBeGoesWithIt) {
  start([](config::Config& config) { config.listeners[0].accept_proxy = {{{127}, false, 8}}; });
  const auto client = two().client();
  client->send("PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n");
  exchange_until_moved(*client);
  exchange(*client);
  EXPECT_EQ(two().requests(1), 1u);
  EXPECT_NE(heard_.find("X-Forwarded-For: 192.0.2.7\r\n"), std::string::npos) << heard_;
}

TEST_F(HandOverTest, AClientMakesRoomWhereverItIs) {
  start([](config::Config& config) { config.listeners[0].max_connections = 1; });
  const auto client = two().client();
  exchange_until_moved(*client);
  const auto next = two().client();
  exchange(*next);
  EXPECT_TRUE(client->ended());
  EXPECT_EQ(two().closes(CloseReason::crowded), 1u);
  EXPECT_EQ(two().requests(1), 0u) << "nor did it ask there";
  EXPECT_EQ(two().connections(), 1u);
}

TEST_F(HandOverTest, WhoDrainsTakesNobody) {
  start();
  const auto client = two().client();
  exchange(*client);
  two().worker(1).drain();
  EXPECT_EQ(two().worker(1).hand_over().load(0), kAway);
  EXPECT_FALSE(two().worker(1).hand_over().expect());
  two().worker(0).hand_over().give({1, 0, 1});
  const auto fresh = two().client();
  exchange(*fresh);
  EXPECT_EQ(two().sessions(0), 2u);
  EXPECT_FALSE(two().worker(0).hand_over().gives_fresh()) << "it need not be tried again";
}

// The client's next request is under way as well: it is answered, as a drain answers.
TEST_F(HandOverTest, WhoDrainsWaitsForAClientUnderWay) {
  start();
  const auto client = two().client();
  exchange_until_under_way(*client);
  client->send(kGet);
  two().worker(1).drain();
  ASSERT_TRUE(serve_until([&] { return client->ended(); }));
  EXPECT_TRUE(client->has("\r\n\r\nok"));
  EXPECT_TRUE(client->has("Connection: close\r\n"));
  client->close();
  ASSERT_TRUE(two().turn_until([&] { return !two().worker(1).running(); }));
  EXPECT_EQ(two().connections(), 0u);
}

TEST_F(HandOverTest, WhoStopsClosesAClientUnderWay) {
  start();
  const auto client = two().client();
  exchange_until_under_way(*client);
  two().worker(1).stop();
  EXPECT_FALSE(two().worker(1).running()) << "it was in the mailbox already";
  ASSERT_TRUE(two().turn_until([&] { return client->ended(); }));
  EXPECT_EQ(two().connections(), 0u);
  EXPECT_EQ(two().closes(CloseReason::draining), 1u);
}

// Announced before the stop, posted after it.
TEST_F(HandOverTest, WhoHasStoppedRunsUntilAClientUnderWayHasCome) {
  start();
  const auto client = two().client();
  exchange(*client);
  HandOver& here = two().worker(0).hand_over();
  here.give({1, 0, 1});
  ASSERT_TRUE(here.begin_fresh());
  two().worker(1).stop();
  EXPECT_TRUE(two().worker(1).running());
  os::SocketResult moving = os::connect_to(os::test::loopback(origin_.port()));
  here.send({std::move(moving.fd), {}, 0});
  two().turn(1);
  EXPECT_FALSE(two().worker(1).running());
  EXPECT_EQ(two().closes(CloseReason::draining), 1u);
}

// On threads of their own, and eight clients that never rest, all of one worker: by its own measure
// it gives some away.
TEST_F(HandOverTest, WorkEvensOut) {
  start({}, {.interval_ms = 20, .least = 1'000, .margin = 0, .stay_ms = 50});
  struct Stop final : loop::Message {
    void deliver() override { worker->stop(); }
    Worker* worker = nullptr;
  };
  std::array<Stop, 2> stops;
  std::array<std::thread, 2> threads;
  for (unsigned i = 0; i < 2; ++i) {
    stops[i].worker = &two().worker(i);
    threads[i] = std::thread([&worker = two().worker(i)] {
      while (worker.running()) worker.turn();
    });
  }
  std::vector<std::unique_ptr<Peer>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(two().client());
  EXPECT_TRUE(os::test::eventually([&] {
    for (const auto& client : clients) client->send(kGet);
    for (const auto& client : clients) {
      EXPECT_TRUE(os::test::eventually([&] {
        serve();
        return client->has("\r\n\r\nok");
      }));
      client->forget();
    }
    return two().requests(1) > 100;
  }));
  for (Stop& stop : stops) stop.worker->loop().mailbox().post(stop);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(two().connections(), 0u);
  EXPECT_EQ(two().closes(CloseReason::draining), 8u);
}

TEST_F(HandOverTest, AStaleMeasureIsNotBelieved) {
  start({}, {.interval_ms = 1});
  HandOver& other = two().worker(1).hand_over();
  const std::uint64_t now_ms = two().worker(1).loop().now_ms();
  EXPECT_EQ(other.load(now_ms + 1), 0u);
  // It has not finished a turn since, and does not sleep either: it is stuck in one.
  EXPECT_EQ(other.load(now_ms + 3), kAllWork);
  ASSERT_TRUE(two().worker(1).loop().mailbox().sleep_begin());
  EXPECT_EQ(other.load(now_ms + 3), 0u);
  two().worker(1).loop().mailbox().sleep_end();
}

TEST_F(HandOverTest, NothingMovesUnlessAsked) {
  start({}, {.interval_ms = 0});
  EXPECT_EQ(two().worker(1).hand_over().load(0), kAway);
  const auto client = two().client();
  exchange(*client);
  EXPECT_EQ(two().worker(0).loop_counters().busy_ns.read(), 0u) << "nor is the clock looked at";
}

}  // namespace
}  // namespace weir::proxy
