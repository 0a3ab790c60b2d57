#include "proxy/worker.h"

#include <gtest/gtest.h>

#include "rig.h"

namespace weir::proxy {
namespace {

using test::config_for;
using test::kAnswer;
using test::kGet;
using test::Origin;
using test::Peer;
using test::Rig;

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() : rig(config_for({origin.port()})) {}

  // The first request of a new client, answered over a new connection to the server.
  std::unique_ptr<Peer> first_exchange(Peer& client) {
    client.send(kGet);
    std::unique_ptr<Peer> server = rig.accepted(origin);
    EXPECT_TRUE(rig.receives(*server, "\r\n\r\n"));
    server->send(kAnswer);
    EXPECT_TRUE(rig.receives(client, "\r\n\r\nok"));
    rig.settle();
    return server;
  }
  // One request of `client`, answered by `server`.
  void exchange(Peer& client, Peer& server) {
    client.forget();
    server.forget();
    client.send(kGet);
    ASSERT_TRUE(rig.receives(server, "\r\n\r\n"));
    server.send(kAnswer);
    ASSERT_TRUE(rig.receives(client, "\r\n\r\nok"));
    rig.settle();
  }

  Origin origin;
  Rig rig;
};

TEST_F(WorkerTest, CarriesARequestAndItsAnswer) {
  const auto client = rig.client();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
  EXPECT_TRUE(server->has("GET / HTTP/1.1\r\nHost: a.example\r\n"));
  EXPECT_TRUE(server->has("X-Forwarded-For: 127.0.0.1\r\n"));
  EXPECT_EQ(rig.server().in_flight.load(), 1u);
  EXPECT_EQ(rig.worker().counters().requests_in_flight.read(), 1u);
  server->send(kAnswer);
  ASSERT_TRUE(rig.receives(*client, "\r\n\r\nok"));
  rig.settle();
  EXPECT_EQ(rig.server().in_flight.load(), 0u);
  EXPECT_EQ(rig.worker().counters().requests_in_flight.read(), 0u);
  EXPECT_EQ(rig.worker().counters().responses[2].read(), 1u);
  EXPECT_EQ(rig.worker().buffers().leased(), 0u) << "an idle client holds no buffer";
  EXPECT_EQ(rig.server().counters(0).connections_idle.read(), 1u);
}

TEST_F(WorkerTest, ReusesBothConnections) {
  const auto client = rig.client();
  const auto server = first_exchange(*client);
  for (int i = 0; i < 10; ++i) exchange(*client, *server);
  EXPECT_EQ(rig.server().counters(0).connects.read(), 1u);
  EXPECT_EQ(rig.server().counters(0).reuses.read(), 10u);
}

TEST_F(WorkerTest, DrainClosesTheIdleAndFinishesTheBusy) {
  const auto idle = rig.client();
  const auto first = first_exchange(*idle);
  first->forget();
  const auto busy = rig.client();
  busy->send(kGet);
  ASSERT_TRUE(rig.receives(*first, "\r\n\r\n"));
  const auto queued = rig.client();
  queued->send(kGet);

  rig.worker().drain();
  ASSERT_TRUE(rig.turn_until([&] { return idle->ended(); }));
  EXPECT_FALSE(idle->was_reset());
  const auto second = rig.accepted(origin);
  EXPECT_TRUE(rig.worker().running());
  ASSERT_TRUE(rig.receives(*second, "\r\n\r\n"));
  for (Peer* server : {first.get(), second.get()}) server->send(kAnswer);
  for (Peer* client : {busy.get(), queued.get()}) {
    ASSERT_TRUE(rig.turn_until([&] { return client->ended(); }));
    EXPECT_TRUE(client->has("Connection: close\r\n"));
    EXPECT_TRUE(client->has("\r\n\r\nok")) << "waiting in the queue is no reason to lose";
  }
  ASSERT_TRUE(rig.turn_until([&] { return !rig.worker().running(); }));
  EXPECT_EQ(rig.listener().connections.load(), 0u);
  const os::SocketResult late = os::connect_to(os::test::loopback(rig.port()));
  EXPECT_TRUE(late.status == os::IoStatus::refused ||
              os::connect_outcome(late.fd) == os::IoStatus::refused);
}

// The drain asks the socket whether something has come, before the session has looked itself.
TEST_F(WorkerTest, DrainHearsAClientThatHasJustBeenAccepted) {
  const auto client = rig.client();
  ASSERT_TRUE(rig.turn_until([&] { return rig.listener().counters[0].accepted.read() > 0; }));
  rig.worker().drain();
  rig.turn();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  ASSERT_NE(server, nullptr);
  ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
  server->send(kAnswer);
  ASSERT_TRUE(rig.receives(*client, "\r\n\r\nok"));
}

// A listener that pauses at its limit is closed by the drain; the clients that leave afterwards
// must not wake it.
TEST(Worker, DrainAtTheConnectionLimitEndsWell) {
  Origin origin;
  Rig rig(config_for({origin.port()}), {loop::Trigger::edge, 1, nullptr});
  const auto client = rig.client();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
  const auto waiting = rig.client();
  ASSERT_TRUE(
      rig.turn_until([&] { return rig.listener().counters[0].connections_max_hit.read() > 0; }));
  rig.worker().drain();
  server->send(kAnswer);
  ASSERT_TRUE(rig.receives(*client, "\r\n\r\nok"));
  ASSERT_TRUE(rig.turn_until([&] { return !rig.worker().running(); }));
  EXPECT_EQ(rig.listener().connections.load(), 0u);
}

TEST_F(WorkerTest, StopEndsEverythingAtOnce) {
  const auto client = rig.client();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  rig.worker().stop();
  EXPECT_FALSE(rig.worker().running());
  rig.turn();
  EXPECT_TRUE(client->ended());
  EXPECT_TRUE(server->ended());
  EXPECT_EQ(rig.errors(ProxyError::shutting_down), 1u);
  EXPECT_EQ(rig.server().in_flight.load(), 0u);
  EXPECT_EQ(rig.worker().buffers().leased(), 0u);
}

// Each change closes what belongs to servers that are no longer named, and nothing else.
TEST_F(WorkerTest, ANewSnapshotKeepsWhatItNames) {
  const auto client = rig.client();
  const auto server = first_exchange(*client);
  Origin other;
  rig.publish(config_for({origin.port(), other.port()}));
  rig.settle();
  EXPECT_EQ(rig.snapshots(), 1u) << "nobody works with the old one";
  EXPECT_FALSE(server->ended());
  rig.publish(config_for({other.port()}));
  rig.settle();
  EXPECT_TRUE(server->ended());
  client->forget();
  client->send(kGet);
  const auto second = rig.accepted(other);
  ASSERT_TRUE(rig.receives(*second, "\r\n\r\n"));
  second->send(kAnswer);
  EXPECT_TRUE(rig.receives(*client, "ok")) << "the client noticed nothing";
}

TEST_F(WorkerTest, AnExchangeFinishesOnTheSnapshotItStartedWith) {
  const auto client = rig.client();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  Origin other;
  rig.publish(config_for({other.port()}));
  rig.publish(config_for({other.port()}));
  rig.settle();
  EXPECT_EQ(rig.snapshots(), 2u) << "the one between is not used";
  ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
  server->send(kAnswer);
  ASSERT_TRUE(rig.receives(*client, "ok"));
  rig.settle();
  EXPECT_TRUE(server->ended()) << "its server is not named any more";
  EXPECT_EQ(rig.snapshots(), 1u);
}

TEST_F(WorkerTest, SnapshotsBetweenAnOldExchangeAndTheCurrentOneGo) {
  const auto client = rig.client();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  for (int i = 0; i < 10; ++i) {
    Origin other;
    rig.publish(config_for({other.port()}));
    rig.settle();
  }
  EXPECT_EQ(rig.snapshots(), 2u) << "the one in use and the current one";
  ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
  server->send(kAnswer);
  ASSERT_TRUE(rig.receives(*client, "ok"));
  rig.settle();
  EXPECT_EQ(rig.snapshots(), 1u);
}

// RFC 9110 15.2 sets no limit on interim responses; others are served between them.
TEST_F(WorkerTest, AFloodOfInterimHeadsIsServedInBoundedSteps) {
  const auto client = rig.client();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
  constexpr std::string_view kInterim = "HTTP/1.1 103 Early Hints\r\n\r\n";
  std::string flood;
  for (int i = 0; i < 200; ++i) flood += kInterim;
  server->send(flood);
  int turns = 0;
  ASSERT_TRUE(rig.turn_until([&] {
    ++turns;
    return client->received().size() == flood.size();
  }));
  EXPECT_GE(turns, 200 / 16);
  server->send(kAnswer);
  EXPECT_TRUE(rig.receives(*client, "\r\n\r\nok"));
}

class WorkerTriggerTest : public testing::TestWithParam<loop::Trigger> {};
INSTANTIATE_TEST_SUITE_P(EveryTrigger, WorkerTriggerTest,
                         testing::Values(loop::Trigger::edge, loop::Trigger::level,
                                         loop::Trigger::oneshot));

// A large answer through small sockets, with the client and the server each a little too slow.
TEST_P(WorkerTriggerTest, AStreamWithPausesOnBothSidesArrivesWhole) {
  Origin origin;
  Rig rig(config_for({origin.port()}), {GetParam(), 10, nullptr});
  const auto client = rig.client();
  client->send(kGet);
  const auto server = rig.accepted(origin);
  ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
  std::string body;
  for (int i = 0; body.size() < 3'000'000; ++i) body += std::to_string(i) + " ";
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  std::string_view unsent = answer;
  int turn = 0;
  ASSERT_TRUE(rig.turn_until([&] {
    if (++turn % 3 == 0) unsent = server->send(unsent);
    if (turn % 5 == 0) client->receive(100'000);
    return client->received().size() >= body.size() && client->received().ends_with(" ");
  }));
  EXPECT_TRUE(client->received().ends_with("\r\n\r\n" + body));
  EXPECT_EQ(rig.worker().counters().upstream.bytes_received.read(), answer.size());
}

}  // namespace
}  // namespace weir::proxy
