#include "net/connection.h"

#include <gtest/gtest.h>

#include "side.h"

namespace weir::net {
namespace {

using os::IoStatus;
using os::test::tcp_pair;
using os::test::unix_pair;
using os::test::wait_delivered;
using test::Side;

class ConnectionTest : public testing::TestWithParam<loop::Trigger> {
 protected:
  ConnectionTest() : loop(GetParam()), side(loop, pool, tcp_pair()) {}
  ~ConnectionTest() override { loop.unwatch(side); }

  // Watches the socket and turns until the latches say what the kernel has.
  void watch() {
    side.ready.reset(0);
    ASSERT_TRUE(loop.watch(side));
    ASSERT_TRUE(loop.turn_until([&] { return side.ready.may_send(); }));
  }
  void deliver(std::string_view bytes) {
    ASSERT_EQ(os::send(side.far(), bytes).bytes, bytes.size());
    ASSERT_TRUE(wait_delivered(side.far()));
  }

  loop::test::DrivenLoop loop;
  BufferPool pool;
  Side side;
};

INSTANTIATE_TEST_SUITE_P(EveryTrigger, ConnectionTest,
                         testing::Values(loop::Trigger::edge, loop::Trigger::level,
                                         loop::Trigger::oneshot));

TEST_P(ConnectionTest, FillsUntilTheSocketIsEmptyAndIsWokenAgain) {
  watch();
  for (const char* text : {"first", "second", "third"}) {
    deliver(text);
    ASSERT_TRUE(loop.turn_until([&] { return side.ready.may_receive(); }));
    const os::IoResult result = side.fill();
    EXPECT_EQ(result.status, IoStatus::done);
    EXPECT_EQ(side.in.readable(), text);
    EXPECT_FALSE(side.ready.may_receive()) << "a short read has emptied the socket";
    side.in.clear();
  }
  EXPECT_EQ(side.traffic().bytes_received.read(), 16u);
}

TEST_P(ConnectionTest, ReadsBehindDataThatCameTogetherWithFin) {
  watch();
  deliver("last words");
  os::shutdown_send(side.far());
  ASSERT_TRUE(loop.turn_until([&] { return side.ready.hangup(); }));
  EXPECT_EQ(side.fill().status, IoStatus::done);
  EXPECT_TRUE(side.ready.may_receive()) << "no further event would tell of the end";
  EXPECT_EQ(side.fill().status, IoStatus::end);
  EXPECT_EQ(side.in.readable(), "last words") << "the end takes nothing away";
}

TEST_P(ConnectionTest, KeepsNoBlockWhenNothingCame) {
  EXPECT_EQ(side.fill().status, IoStatus::again);
  EXPECT_FALSE(side.in.leased());
  EXPECT_EQ(pool.leased(), 0u);
  EXPECT_FALSE(side.ready.may_receive());
}

TEST_P(ConnectionTest, FillMakesRoomBehindConsumedBytes) {
  const std::string block(kBlockBytes, 'a');
  deliver(block);
  while (side.in.room() > 0 || !side.in.leased()) ASSERT_EQ(side.fill().status, IoStatus::done);
  side.in.consume(kBlockBytes - 3);
  deliver("next");
  side.latch_all();
  ASSERT_EQ(side.fill().status, IoStatus::done);
  EXPECT_EQ(side.in.readable(), "aaanext");
  EXPECT_EQ(side.in.consumed(), 0u) << "the rest was moved to the front";
}

TEST_P(ConnectionTest, FlushWithoutBytesDoesNothing) {
  EXPECT_EQ(side.flush().status, IoStatus::done);
  EXPECT_EQ(side.traffic().bytes_sent.read(), 0u);
}

TEST_P(ConnectionTest, FlushSendsBothPiecesInOrder) {
  ASSERT_TRUE(side.out.lease(pool));
  side.out.append("head ");
  const os::IoResult result = side.flush("body");
  EXPECT_EQ(result.status, IoStatus::done);
  EXPECT_EQ(result.bytes, 4u) << "only what was taken of the second piece is reported";
  EXPECT_TRUE(side.out.empty());
  ASSERT_TRUE(wait_delivered(side.fd));
  EXPECT_EQ(side.peer_reads(), "head body");
  EXPECT_EQ(side.traffic().bytes_sent.read(), 9u);
}

TEST_P(ConnectionTest, AFullSocketIsNotAskedAgainUntilItsEdge) {
  watch();
  const std::string much(std::size_t{1} << 20, 'm');
  std::size_t sent = 0;
  os::IoResult result;
  while ((result = side.flush(std::string_view(much))).status == IoStatus::done) {
    sent += result.bytes;
    ASSERT_LT(sent, std::size_t{1} << 30);
  }
  EXPECT_EQ(result.status, IoStatus::again);
  EXPECT_FALSE(side.ready.may_send());
  const std::uint64_t counted = side.traffic().bytes_sent.read();
  EXPECT_EQ(side.flush("x").status, IoStatus::again);
  EXPECT_EQ(side.traffic().bytes_sent.read(), counted);
  std::size_t received = 0;
  ASSERT_TRUE(loop.turn_until([&] {
    received += side.peer_reads().size();
    return side.ready.may_send();
  }));
  EXPECT_EQ(side.flush("x").status, IoStatus::done);
  ASSERT_TRUE(os::test::eventually([&] { return (received += side.peer_reads().size()) > sent; }));
  EXPECT_EQ(received, sent + 1);
}

TEST_P(ConnectionTest, QuietAsksTheKernelOnlyWhenALatchLeavesItOpen) {
  EXPECT_TRUE(side.quiet()) << "a new socket may have anything: the kernel says no";
  EXPECT_FALSE(side.ready.may_receive()) << "and the latch is settled";
  deliver("!");
  EXPECT_TRUE(side.quiet()) << "no latch, no question";
  EXPECT_FALSE(side.ask_quiet());
  side.latch_all();
  EXPECT_FALSE(side.quiet());
  EXPECT_EQ(side.fill().status, IoStatus::done);
  EXPECT_EQ(side.in.readable(), "!") << "asking takes nothing";
}

TEST_P(ConnectionTest, AnEndIsNotQuiet) {
  watch();
  os::shutdown_send(side.far());
  ASSERT_TRUE(loop.turn_until([&] { return side.ready.hangup(); }));
  EXPECT_FALSE(side.quiet());
  EXPECT_FALSE(side.ask_quiet());
}

TEST_P(ConnectionTest, AResetIsReportedByTheNextCall) {
  watch();
  ASSERT_TRUE(side.out.lease(pool));
  side.out.append("bytes");
  os::close_with_reset(side.far());
  side.peer_leaves();
  ASSERT_TRUE(loop.turn_until([&] { return side.ready.error(); }));
  EXPECT_TRUE(side.ready.may_send() && side.ready.may_receive());
  EXPECT_FALSE(side.quiet());
  EXPECT_EQ(side.flush().status, IoStatus::broken_pipe);
  EXPECT_EQ(side.out.readable(), "bytes") << "nothing was consumed";
  EXPECT_EQ(side.fill().status, IoStatus::reset) << "though quiet() took the error away";
  EXPECT_TRUE(side.broken());
}

TEST_P(ConnectionTest, AResetThatASendMetIsToldToTheReader) {
  watch();
  ASSERT_TRUE(side.out.lease(pool));
  side.out.append("bytes");
  os::close_with_reset(side.far());
  side.peer_leaves();
  EXPECT_EQ(side.flush().status, IoStatus::reset);
  EXPECT_EQ(side.fill().status, IoStatus::reset);
  EXPECT_EQ(side.fill().status, IoStatus::reset) << "and again";
}

TEST_P(ConnectionTest, AnEndStaysOneWhenSendingFailsBehindIt) {
  watch();
  os::shutdown_send(side.far());
  ASSERT_TRUE(loop.turn_until([&] { return side.ready.hangup(); }));
  side.peer_leaves();
  ASSERT_TRUE(loop.turn_until([&] { return side.flush("x").status == IoStatus::broken_pipe; }));
  EXPECT_EQ(side.fill().status, IoStatus::end);
  EXPECT_FALSE(side.broken());
}

// What splices meet: as many slots of a pipe as the kernel takes several sends for.
class SpliceOut : public testing::Test {
 protected:
  void take() {
    ASSERT_TRUE(pipe.lease(pipes));
    source.peer_sends_segments(kSegments);
    while (source.splice_into(pipe, pipe.capacity()).status == IoStatus::done) continue;
    ASSERT_EQ(pipe.bytes(), kSegments * 100u);
  }

  static constexpr int kSegments = 40;
  loop::test::DrivenLoop loop;
  BufferPool pool;
  PipePool pipes;
  SplicePipe pipe;
  Side source{loop, pool, tcp_pair()};
  Side sink{loop, pool, tcp_pair()};
};

TEST_F(SpliceOut, AResetInTheMiddleIsToldToTheReader) {
  take();
  sink.peer_vanishes();
  EXPECT_EQ(sink.splice_out_of(pipe).status, IoStatus::reset);
  EXPECT_GT(pipe.bytes(), 0u) << "the first send got through, to nobody";
  EXPECT_EQ(sink.traffic().bytes_sent.read(), kSegments * 100u - pipe.bytes());
  sink.latch_all();
  EXPECT_EQ(sink.fill().status, IoStatus::reset);
  EXPECT_TRUE(sink.broken());
}

TEST_F(SpliceOut, AnEndThatWasHeardBeforeStaysOne) {
  take();
  sink.peer_finishes();
  ASSERT_TRUE(os::test::wait_for(sink.fd, POLLRDHUP));
  sink.peer_vanishes();
  EXPECT_EQ(sink.splice_out_of(pipe).status, IoStatus::broken_pipe);
  EXPECT_EQ(sink.fill().status, IoStatus::end);
  EXPECT_FALSE(sink.broken());
}

TEST_F(SpliceOut, GoesOnUntilTheSocketIsFull) {
  take();
  EXPECT_EQ(sink.splice_out_of(pipe).bytes, kSegments * 100u);
  EXPECT_TRUE(pipe.empty());
  const std::string filling(1 << 20, 'x');
  EXPECT_TRUE(os::test::eventually([&] {
    if (pipe.empty()) take();
    while (os::send(sink.fd, filling).status == IoStatus::done) continue;
    sink.latch_all();
    return sink.splice_out_of(pipe).status == IoStatus::again;
  }));
  EXPECT_FALSE(sink.ready.may_send());
  EXPECT_FALSE(sink.broken());
}

TEST(Connection, WithoutABlockNothingIsRead) {
  loop::test::DrivenLoop loop;
  BufferPool none(0);
  Side side(loop, none, unix_pair());
  side.peer_sends("bytes");
  EXPECT_EQ(side.fill().status, IoStatus::no_memory);
  EXPECT_TRUE(side.ready.may_receive()) << "the bytes are still there";
}

// A partial send may end in either piece. The peer reads a little at a time from a socket with the
// smallest possible buffer, so every border is met; what arrives is the two pieces, once each.
TEST(Connection, PartialSendsOfTwoPiecesLoseAndRepeatNothing) {
  loop::test::DrivenLoop loop;
  BufferPool pool;
  std::string head;
  for (std::size_t i = 0; i < kBlockBytes; ++i) head += static_cast<char>('a' + i % 26);
  std::string body;
  for (std::size_t i = 0; i < 50'000; ++i) body += static_cast<char>('A' + i % 26);
  bool ended_in_head = false;
  bool ended_in_body = false;
  for (const std::size_t step : {512u, 1'000u, 4'096u, 30'000u}) {
    Side side(loop, pool, unix_pair());
    test::limit_send_buffer(side.fd, 1);
    ASSERT_TRUE(side.out.lease(pool));
    side.out.append(head);
    std::string_view rest = body;
    std::string received;
    while (!side.out.empty() || !rest.empty()) {
      const os::IoResult result = side.flush(rest);
      if (result.status == IoStatus::done) {
        ASSERT_LE(result.bytes, rest.size());
        EXPECT_TRUE(side.out.empty() || result.bytes == 0) << "body before the head was through";
        rest.remove_prefix(result.bytes);
        ended_in_head |= !side.out.empty();
        ended_in_body |= side.out.empty() && !rest.empty();
        EXPECT_EQ(side.ready.may_send(), side.out.empty() && rest.empty());
      } else {
        ASSERT_EQ(result.status, IoStatus::again);
      }
      received += side.peer_reads(step);
      side.latch_all();
    }
    received += side.peer_reads();
    ASSERT_EQ(received, head + body);
    EXPECT_EQ(side.traffic().bytes_sent.read(), received.size());
    side.out.rewind();
    EXPECT_EQ(side.out.readable(), head) << "a sent head can be sent again";
  }
  EXPECT_TRUE(ended_in_head && ended_in_body);
}

}  // namespace
}  // namespace weir::net
