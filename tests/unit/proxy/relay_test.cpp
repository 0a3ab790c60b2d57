#include "proxy/relay.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "../net/side.h"

namespace weir::proxy {
namespace {

using net::test::Side;
using os::test::eventually;
using os::test::tcp_pair;
using Outcome = Relay::Outcome;

constexpr std::uint64_t kIdleMs = 3'600'000;

// A relay between two real TCP connections, driven by a loop's edges.
class RelayTest : public testing::Test {
 protected:
  RelayTest() {
    for (Side* side : {client.get(), server.get()}) {
      side->ready.reset(0);
      EXPECT_TRUE(turning.watch(*side));
    }
    turning.turn_now();
    relay.begin(*client, *server, pipes, 0);
  }
  ~RelayTest() override {
    turning.unwatch(*client);
    turning.unwatch(*server);
  }

  Outcome step() {
    turning.turn_now();
    return relay.step(++now_ms);
  }
  // What has reached the peer of `side` when it is `size` bytes, while the relay runs.
  std::string arrived(Side& side, std::size_t size) {
    std::string all;
    EXPECT_TRUE(eventually([&] {
      last = step();
      all += side.peer_reads();
      return all.size() >= size;
    }));
    return all;
  }
  void ends(Outcome outcome) {
    EXPECT_TRUE(eventually([&] { return (last = step()) == outcome; })) << static_cast<int>(last);
  }
  bool peer_sees(Side& side, os::IoStatus status) {
    char byte;
    return eventually([&] {
      last = step();
      return os::receive(side.far(), &byte, 1).status == status;
    });
  }
  static void reset_peer(Side& side) {
    os::close_with_reset(side.far());
    side.peer_leaves();
  }

  loop::test::DrivenLoop turning;
  net::BufferPool pool;
  net::PipePool pipes;
  std::unique_ptr<Side> client = std::make_unique<Side>(turning, pool, tcp_pair());
  std::unique_ptr<Side> server = std::make_unique<Side>(turning, pool, tcp_pair());
  Relay relay;
  std::uint64_t now_ms = 0;
  Outcome last = Outcome::wait;
};

TEST_F(RelayTest, CarriesSmallMessagesBothWaysAndHoldsNothingAfterwards) {
  client->peer_sends("question");
  EXPECT_EQ(arrived(*server, 8), "question");
  server->peer_sends("answer");
  EXPECT_EQ(arrived(*client, 6), "answer");
  EXPECT_EQ(step(), Outcome::wait);
  EXPECT_EQ(relay.from_client(), 8u);
  EXPECT_EQ(relay.from_server(), 6u);
  EXPECT_FALSE(relay.bulk());
  EXPECT_EQ(pool.leased(), 0u);
  EXPECT_EQ(pipes.counters().open.read(), 0u);
}

TEST_F(RelayTest, WhatWasReadBeforeGoesFirst) {
  ASSERT_TRUE(client->in.lease(pool));
  client->in.append("early ");
  ASSERT_TRUE(server->out.lease(pool));
  server->out.append("header ");
  client->peer_sends("late");
  EXPECT_EQ(arrived(*server, 17), "header early late");
  EXPECT_EQ(relay.from_client(), 10u) << "the header is not the client's";
}

TEST_F(RelayTest, TheEndOfOneDirectionLeavesTheOtherOpen) {
  client->peer_sends("last");
  os::shutdown_send(client->far());
  EXPECT_EQ(arrived(*server, 4), "last");
  EXPECT_TRUE(peer_sees(*server, os::IoStatus::end));
  server->peer_sends("still here");
  EXPECT_EQ(arrived(*client, 10), "still here");
  os::shutdown_send(server->far());
  ends(Outcome::finished);
  EXPECT_TRUE(peer_sees(*client, os::IoStatus::end));
}

TEST_F(RelayTest, AResetIsPassedOnAfterWhatCameBefore) {
  server->peer_sends("farewell");
  EXPECT_EQ(arrived(*client, 8), "farewell");
  reset_peer(*server);
  ends(Outcome::server_broken);
}

TEST_F(RelayTest, TellsWhoseConnectionBroke) {
  reset_peer(*client);
  ends(Outcome::client_broken);
}

// The send meets the reset and takes the error with it; the end that a receive finds then is none.
TEST_F(RelayTest, AResetThatASendMetIsNoEndInOrder) {
  reset_peer(*server);
  turning.turn_now();
  server->ready.reset(os::kWritable);
  client->peer_sends("too late");
  ends(Outcome::server_broken);
}

// Which takes the error with it as well, but says that all went well.
TEST_F(RelayTest, AResetThatASpliceMetIsNoEndInOrder) {
  const std::string bulk(64 * 1024, 'x');
  client->peer_sends(bulk);
  EXPECT_EQ(arrived(*server, bulk.size()).size(), bulk.size());
  ASSERT_TRUE(relay.bulk());
  server->peer_vanishes();
  client->peer_sends_segments(40);
  ends(Outcome::server_broken);
}

TEST_F(RelayTest, SplicesOnceAMessageFillsABlock) {
  const std::string message(512 * 1024, 'x');
  std::string_view unsent = message;
  std::string all;
  bool was_bulk = false;
  EXPECT_TRUE(eventually([&] {
    if (!unsent.empty()) {
      const os::IoResult result = os::send(client->far(), unsent);
      if (result.status == os::IoStatus::done) unsent.remove_prefix(result.bytes);
    }
    last = step();
    was_bulk = was_bulk || relay.bulk();
    all += server->peer_reads();
    return all.size() == message.size();
  }));
  EXPECT_TRUE(was_bulk);
  EXPECT_EQ(relay.from_client(), message.size());
  EXPECT_GT(pipes.counters().created.read(), 0u);
  while (step() == Outcome::again) {
  }
  client->peer_sends("small");
  EXPECT_EQ(arrived(*server, 5), "small");
  EXPECT_EQ(step(), Outcome::wait);
  EXPECT_FALSE(relay.bulk()) << "it has said little since it was last silent";
  EXPECT_EQ(pipes.counters().spilled.read(), 0u);
}

TEST_F(RelayTest, SplicesFromTheFirstByteWhenTheLastMessageWasLarge) {
  const std::string message(64 * 1024, 'x');
  client->peer_sends(message);
  EXPECT_EQ(arrived(*server, message.size()).size(), message.size());
  EXPECT_EQ(step(), Outcome::wait);
  EXPECT_TRUE(relay.bulk());
  const std::uint64_t before = pipes.counters().created.read() + pipes.counters().reused.read();
  client->peer_sends("small");
  EXPECT_EQ(arrived(*server, 5), "small");
  EXPECT_GT(pipes.counters().created.read() + pipes.counters().reused.read(), before);
}

TEST_F(RelayTest, AHeldClientWaitsWhileTheServerGoesOn) {
  relay.hold_client(true);
  client->peer_sends("suspect");
  server->peer_sends("hello");
  EXPECT_EQ(arrived(*client, 5), "hello");
  EXPECT_EQ(server->peer_reads(), "");
  relay.hold_client(false);
  EXPECT_EQ(arrived(*server, 7), "suspect");
}

TEST_F(RelayTest, ItIsQuietWhileNothingMoves) {
  client->peer_sends("x");
  EXPECT_EQ(arrived(*server, 1), "x");
  const std::uint64_t since = now_ms;
  EXPECT_EQ(step(), Outcome::wait);
  EXPECT_LE(relay.deadline_ms(kIdleMs), since + kIdleMs);
  EXPECT_TRUE(eventually([&] { return os::unacknowledged(server->fd) == 0; }));
  EXPECT_EQ(relay.expired(since + kIdleMs / 2, kIdleMs), Outcome::wait);
  EXPECT_EQ(relay.deadline_ms(kIdleMs), since + kIdleMs) << "nobody has anything left to take";
  EXPECT_EQ(relay.expired(since + kIdleMs - 1, kIdleMs), Outcome::wait);
  EXPECT_EQ(relay.expired(since + kIdleMs, kIdleMs), Outcome::idle);
}

TEST_F(RelayTest, APeerThatTakesWhatTheKernelHoldsIsNotQuiet) {
  std::size_t sent = 0;
  EXPECT_TRUE(eventually([&] {
    const bool much = os::unacknowledged(client->fd) > 500'000;
    if (!much) sent += os::send(server->far(), std::string(100'000, 'x')).bytes;
    last = step();
    return much && relay.from_server() == sent;
  }));
  std::uint64_t now = now_ms;
  EXPECT_EQ(relay.expired(now += kIdleMs / 8, kIdleMs), Outcome::wait);
  for (int look = 0; look < 4; ++look) {
    const std::size_t before = os::unacknowledged(client->fd);
    EXPECT_TRUE(eventually([&] {
      (void)client->peer_reads(4096);
      return os::unacknowledged(client->fd) < before;
    }));
    EXPECT_EQ(relay.expired(now += kIdleMs - 1, kIdleMs), Outcome::wait) << look;
    EXPECT_LE(relay.deadline_ms(kIdleMs), now + kIdleMs / 8) << "it is looked at again before";
  }
  EXPECT_EQ(relay.expired(now += kIdleMs, kIdleMs), Outcome::idle) << "nothing was taken since";
}

TEST_F(RelayTest, WhatABrokenSideLeftBehindDoesNotWaitForLong) {
  net::test::limit_send_buffer(server->fd, 4096);
  const std::string much(1 << 20, 'x');
  EXPECT_TRUE(eventually([&] {
    const bool full = os::send(client->far(), much).status == os::IoStatus::again;
    last = step();
    return full && last == Outcome::wait;
  }));
  const std::uint64_t since = now_ms;
  EXPECT_EQ(relay.expired(since + kIdleMs / 2, kIdleMs), Outcome::wait);
  reset_peer(*client);
  EXPECT_TRUE(eventually([&] {
    last = step();
    const Outcome late = relay.expired(now_ms + 10'001, kIdleMs);
    return last == Outcome::client_broken || late == Outcome::client_broken;
  }));
  relay.end();
}

}  // namespace
}  // namespace weir::proxy
