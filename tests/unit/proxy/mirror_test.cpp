// Copies of requests: what the mirror is sent, and that neither its client nor anything else is
// held up, kept or counted wrongly, whatever the mirror does.
#include "proxy/mirror.h"

#include <gtest/gtest.h>

#include "rig.h"

namespace weir::proxy {
namespace {

using test::endpoint;
using test::kAnswer;
using test::Origin;
using test::Peer;
using test::Rig;

constexpr std::string_view kGetA = "GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n";
constexpr std::string_view kWrong = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nwrong";

config::Config mirrored(std::uint16_t app, std::uint16_t shadow, std::uint32_t percent = 100) {
  config::Config config = test::config_for({app});
  config::Backend& backend = config.backends.emplace_back();
  backend.name = "shadow";
  backend.servers.resize(1);
  backend.servers[0].name = endpoint(shadow).text();
  backend.servers[0].address = endpoint(shadow);
  config.routes[0].mirror = config::Mirror{"shadow", percent};
  return config;
}

class MirrorTest : public testing::Test {
 protected:
  MirrorTest() : rig(mirrored(origin.port(), shadow.port())) {}

  // Servers are told apart by name, because a snapshot lists them in an order of its own.
  upstream::ServerState& shadow_state() {
    for (upstream::ServerState* each : rig.snapshot().servers()) {
      if (each->backend() == "shadow") return *each;
    }
    ADD_FAILURE() << "there is no shadow";
    return rig.server();
  }
  // A request of a new client, answered by a new connection of the origin; no turn is taken for
  // the mirror's sake.
  void request(std::string_view bytes, std::string_view ending) {
    client = rig.client();
    EXPECT_EQ(client->send(bytes), "");
    if (server == nullptr) server = rig.accepted(origin);
    EXPECT_TRUE(rig.receives(*server, ending));
    server->send(kAnswer);
    EXPECT_TRUE(rig.receives(*client, "\r\n\r\nok"));
  }
  void republish(const config::Config& config) {
    rig.publish(config);
    rig.settle();
  }
  void expect_nothing_left() {
    rig.settle();
    EXPECT_EQ(rig.worker().census().mirrors, 0u);
    EXPECT_EQ(rig.worker().buffers().leased(), 0u);
    EXPECT_EQ(shadow_state().in_flight.load(), 0u);
    EXPECT_EQ(shadow_state().pending.load(), 0u);
    EXPECT_EQ(rig.snapshots(), 1u);
  }
  [[nodiscard]] bool copies_end() {
    return rig.turn_until([&] { return rig.worker().census().mirrors == 0; });
  }
  WorkerCounters& counters() { return rig.worker().counters(); }

  Origin origin;
  Origin shadow;
  Rig rig;
  std::unique_ptr<Peer> client;
  std::unique_ptr<Peer> server;
};

TEST_F(MirrorTest, TheCopyIsWhatTheServerWasSent) {
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  ASSERT_TRUE(rig.receives(*copy, "\r\n\r\n"));
  EXPECT_EQ(copy->received(), server->received());
  EXPECT_TRUE(copy->has("Host: a.example\r\n"));
  EXPECT_EQ(shadow_state().in_flight.load(), 1u);
  copy->send(kWrong);
  ASSERT_TRUE(copies_end());
  expect_nothing_left();
  EXPECT_TRUE(client->received().ends_with("\r\n\r\nok")) << "not a byte of the mirror's";
  EXPECT_EQ(counters().mirrored.read(), 1u);
  EXPECT_EQ(counters().mirror_failed.read(), 0u);
  EXPECT_EQ(counters().requests.read(), 1u) << "a copy is not a client's request";
}

TEST_F(MirrorTest, ConnectionsToTheMirrorAreKept) {
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  for (unsigned i = 1; i <= 5; ++i) {
    ASSERT_TRUE(rig.receives(*copy, "\r\n\r\n"));
    copy->forget();
    copy->send(kAnswer);
    ASSERT_TRUE(copies_end());
    EXPECT_EQ(shadow_state().counters(0).reuses.read(), i - 1);
    server->forget();
    request(kGetA, "\r\n\r\n");
  }
  EXPECT_EQ(shadow_state().counters(0).connects.read(), 1u);
}

TEST_F(MirrorTest, AServerThatLeavesSoonIsNotKept) {
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  ASSERT_TRUE(rig.receives(*copy, "\r\n\r\n"));
  copy->send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=4\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(rig.turn_until([&] { return copy->ended(); }));
  expect_nothing_left();
}

// A body that arrives after its head is held too: otherwise only small uploads in one segment would
// be mirrored.
TEST_F(MirrorTest, ABodyThatComesInPiecesIsCopiedWhole) {
  for (const bool chunked : {false, true}) {
    client = rig.client();
    const std::string body(9'000, 'b');
    client->send(chunked ? "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         : "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 9003\r\n\r\n");
    if (server == nullptr) server = rig.accepted(origin);
    ASSERT_TRUE(rig.receives(*server, "\r\n\r\n"));
    client->send(chunked ? "2328\r\n" + body + "\r\n" : body);
    ASSERT_TRUE(rig.receives(*server, body));
    EXPECT_EQ(counters().mirrored.read(), chunked ? 1u : 0u) << "not before the request is whole";
    client->send(chunked ? "3\r\nend\r\n0\r\nX-T: 1\r\n\r\n" : "end");
    ASSERT_TRUE(rig.receives(*server, chunked ? "X-T: 1\r\n\r\n" : "end"));
    server->send(kAnswer);
    ASSERT_TRUE(rig.receives(*client, "\r\n\r\nok"));
    const auto copy = rig.accepted(shadow);
    ASSERT_TRUE(rig.receives(*copy, chunked ? "X-T: 1\r\n\r\n" : "end"));
    EXPECT_EQ(copy->received(), server->received());
    copy->send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    ASSERT_TRUE(copies_end());
    server->forget();
  }
  expect_nothing_left();
}

TEST_F(MirrorTest, ABodyBeyondABlockIsNotCopied) {
  const std::string body(40'000, 'b');
  request("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 40003\r\n\r\n" + body + "end", "end");
  server->forget();
  request("POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9c40\r\n" + body +
              "\r\n0\r\n\r\n",
          "\r\n0\r\n\r\n");
  EXPECT_EQ(counters().mirror_too_large.read(), 2u);
  EXPECT_EQ(counters().mirrored.read(), 0u);
  EXPECT_EQ(shadow.accept(), nullptr);
  expect_nothing_left();
}

TEST_F(MirrorTest, TheClientDoesNotWaitForASilentMirror) {
  for (std::size_t i = 0; i < Mirrors::kUnderWayMax + 10; ++i) {
    if (server != nullptr) server->forget();
    request(kGetA, "\r\n\r\n");
  }
  rig.settle();
  EXPECT_EQ(counters().mirrored.read(), Mirrors::kUnderWayMax);
  EXPECT_EQ(counters().mirror_skipped.read(), 10u);
  EXPECT_EQ(rig.worker().census().mirrors, Mirrors::kUnderWayMax);
  EXPECT_EQ(shadow_state().in_flight.load(), Mirrors::kUnderWayMax);
  EXPECT_LE(rig.worker().buffers().leased(), 2 * Mirrors::kUnderWayMax);
  client.reset();
  rig.worker().drain();
  ASSERT_TRUE(rig.turn_until([&] { return !rig.worker().running(); }));
  rig.settle();
  EXPECT_EQ(rig.worker().buffers().leased(), 0u);
  EXPECT_EQ(shadow_state().in_flight.load(), 0u) << "copies do not outlast the drain";
}

TEST_F(MirrorTest, WhoeverMirrorsToAPortWithoutAServerFailsInSilence) {
  shadow.close();
  request(kGetA, "\r\n\r\n");
  ASSERT_TRUE(rig.turn_until([&] { return counters().mirror_failed.read() == 1; }));
  expect_nothing_left();
  EXPECT_EQ(shadow_state().counters(0).connects_failed.read(), 1u);
  EXPECT_EQ(counters().retries_other_server.read(), 0u);
  EXPECT_FALSE(client->ended());
}

TEST_F(MirrorTest, NoServerWithRoomMeansNoCopy) {
  config::Config config = mirrored(origin.port(), shadow.port());
  config.backends[1].server_limit = 1;
  republish(config);
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  server->forget();
  request(kGetA, "\r\n\r\n");
  EXPECT_EQ(counters().mirror_skipped.read(), 1u) << "a copy never queues";
  ASSERT_TRUE(rig.receives(*copy, "\r\n\r\n"));
  copy->send(kAnswer);
  ASSERT_TRUE(copies_end());
  server->forget();
  request(kGetA, "\r\n\r\n");
  EXPECT_EQ(counters().mirrored.read(), 2u) << "and gives its slot back";
}

// What a mirror may do to its copy, and whether it counts as failed.
struct Misdeed {
  const char* name;
  std::string answer;
  bool closes;
  bool fails;
};

class MirrorMisdeeds : public MirrorTest, public testing::WithParamInterface<Misdeed> {};
INSTANTIATE_TEST_SUITE_P(
    Each, MirrorMisdeeds,
    testing::Values(
        Misdeed{"closes", "", true, true},
        Misdeed{"half_a_head", "HTTP/1.1 200 OK\r\nContent-Le", true, true},
        Misdeed{"half_a_body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", true, true},
        Misdeed{"no_http", "220 ready\r\n\r\n", false, true},
        Misdeed{"switches", "HTTP/1.1 101 Switching Protocols\r\n\r\n", false, true},
        Misdeed{"bad_chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false,
                true},
        Misdeed{"until_close", "HTTP/1.1 200 OK\r\n\r\nabc", true, false},
        Misdeed{"interim_first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                false, false},
        Misdeed{"two_answers", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                false, false}),
    [](const auto& of) { return of.param.name; });

TEST_P(MirrorMisdeeds, EndTheCopyAndNothingElse) {
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  ASSERT_TRUE(rig.receives(*copy, "\r\n\r\n"));
  copy->send(GetParam().answer);
  if (GetParam().closes) copy->close();
  ASSERT_TRUE(copies_end());
  const std::uint64_t failed = GetParam().fails ? 1 : 0;
  EXPECT_EQ(counters().mirror_failed.read(), failed);
  EXPECT_EQ(shadow_state().counters(0).answers.read(), 1u);
  EXPECT_EQ(shadow_state().counters(0).answers_bad.read(), failed);
  EXPECT_EQ(shadow_state().counters(0).errors.read(), failed);
  EXPECT_EQ(counters().mirrored.read(), 1u);
  expect_nothing_left();
  EXPECT_FALSE(client->ended());
  EXPECT_TRUE(client->received().ends_with("\r\n\r\nok"));
}

TEST_F(MirrorTest, AFloodOfInterimHeadsLeavesOthersTheirTurn) {
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  ASSERT_TRUE(rig.receives(*copy, "\r\n\r\n"));
  std::string flood;
  for (int i = 0; i < 300; ++i) flood += "HTTP/1.1 103 Early Hints\r\n\r\n";
  copy->send(flood + std::string(kAnswer));
  int turns = 0;
  ASSERT_TRUE(rig.turn_until([&] {
    ++turns;
    return rig.worker().census().mirrors == 0;
  }));
  EXPECT_GE(turns, 300 / 16);
  EXPECT_EQ(counters().mirror_failed.read(), 0u);
  expect_nothing_left();
}

TEST_F(MirrorTest, ALargeAnswerIsReadAndThrownAway) {
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  ASSERT_TRUE(rig.receives(*copy, "\r\n\r\n"));
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + std::string(3'000'000, 'x');
  std::string_view unsent = answer;
  ASSERT_TRUE(rig.turn_until([&] {
    unsent = copy->send(unsent);
    EXPECT_LE(rig.worker().buffers().leased(), 2u);
    return rig.worker().census().mirrors == 0;
  }));
  EXPECT_EQ(unsent, "");
  EXPECT_FALSE(copy->ended()) << "the connection is kept";
  EXPECT_EQ(counters().mirror_failed.read(), 0u);
}

// Whichever deadline it is that passes. A mirror that trickles does not gain by it.
TEST_F(MirrorTest, EveryDeadlineEndsTheCopy) {
  const auto with = [&](auto set) {
    config::Config config = mirrored(origin.port(), shadow.port());
    set(config.backends[1].timeouts);
    republish(config);
    if (server != nullptr) server->forget();
    request(kGetA, "\r\n\r\n");
    auto copy = rig.accepted(shadow);
    EXPECT_TRUE(rig.receives(*copy, "\r\n\r\n"));
    return copy;
  };
  const auto silent = with(
      [](config::BackendTimeouts& timeouts) { timeouts.response_head = config::Milliseconds(30); });
  ASSERT_TRUE(copies_end());
  EXPECT_EQ(counters().mirror_failed.read(), 1u);
  EXPECT_EQ(shadow_state().counters(0).errors.read(), 1u);
  const auto trickling = with(
      [](config::BackendTimeouts& timeouts) { timeouts.response_body = config::Milliseconds(30); });
  trickling->send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
  ASSERT_TRUE(rig.turn_until([&] {
    trickling->send("x");
    return rig.worker().census().mirrors == 0;
  }));
  EXPECT_EQ(counters().mirror_failed.read(), 2u);
  expect_nothing_left();
}

TEST_F(MirrorTest, ACopyFinishesOnTheSnapshotItBeganWith) {
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  ASSERT_TRUE(rig.receives(*copy, "\r\n\r\n"));
  republish(test::config_for({origin.port()}));
  EXPECT_EQ(rig.snapshots(), 2u);
  copy->send(kAnswer);
  ASSERT_TRUE(copies_end());
  rig.settle();
  EXPECT_EQ(rig.snapshots(), 1u);
  EXPECT_TRUE(copy->ended()) << "its server is not named any more";
  EXPECT_EQ(counters().mirror_failed.read(), 0u);
}

TEST_F(MirrorTest, ARepeatedRequestIsCopiedOnce) {
  Origin second;
  config::Config config = mirrored(origin.port(), shadow.port());
  config::Server& other = config.backends[0].servers.emplace_back();
  other.name = "second";
  other.address = endpoint(second.port());
  republish(config);
  client = rig.client();
  client->send(kGetA);
  int attempts = 0;
  ASSERT_TRUE(rig.turn_until([&] {
    for (Origin* each : {&origin, &second}) {
      std::unique_ptr<Peer> peer = each->accept();
      if (peer == nullptr) continue;
      EXPECT_TRUE(rig.receives(*peer, "\r\n\r\n"));
      if (++attempts == 2) peer->send(kAnswer);
      if (attempts == 2) server = std::move(peer);  // The first one is closed without a word.
    }
    return client->has("\r\n\r\nok");
  }));
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(counters().mirrored.read() + counters().mirror_skipped.read(), 1u);
}

TEST_F(MirrorTest, AnyShareOfTheRequestsCanBeCopied) {
  for (const std::uint32_t percent : {0U, 30U}) {
    republish(mirrored(origin.port(), shadow.port(), percent));
    for (int i = 0; i < 400; ++i) {
      if (server != nullptr) server->forget();
      request(kGetA, "\r\n\r\n");
    }
    const std::uint64_t chosen = counters().mirrored.read() + counters().mirror_skipped.read();
    EXPECT_GE(chosen, percent == 0 ? 0u : 80u);
    EXPECT_LE(chosen, percent == 0 ? 0u : 160u);
  }
}

TEST_F(MirrorTest, StopEndsCopiesAtOnce) {
  request(kGetA, "\r\n\r\n");
  const auto copy = rig.accepted(shadow);
  rig.worker().stop();
  rig.turn();
  EXPECT_TRUE(copy->ended());
  EXPECT_EQ(shadow_state().in_flight.load(), 0u);
  EXPECT_EQ(rig.worker().buffers().leased(), 0u);
}

}  // namespace
}  // namespace weir::proxy
