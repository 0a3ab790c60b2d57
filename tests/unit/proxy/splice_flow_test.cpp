#include "proxy/splice_flow.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "../net/side.h"

namespace weir::proxy {
namespace {

using net::test::Side;
using os::test::tcp_pair;
using os::test::wait_delivered;
using Status = SpliceFlow::Status;

constexpr std::uint64_t kWithoutEnd = UINT64_MAX;

std::string pattern(std::size_t size) {
  std::string text;
  text.reserve(size + 16);
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  text.resize(size);
  return text;
}

// Two real TCP connections with a flow from the one to the other, driven by a loop's edges.
class SpliceFlowTest : public testing::Test {
 protected:
  SpliceFlowTest() {
    flow.begin(pipes);
    for (Side* side : {from.get(), to.get()}) {
      side->ready.reset(0);
      EXPECT_TRUE(turning.watch(*side));
    }
    turning.turn_now();
  }
  ~SpliceFlowTest() override {
    turning.unwatch(*from);
    turning.unwatch(*to);
  }

  // Everything is in the queue of `from`, and its edge was told.
  void deliver(std::string_view bytes) {
    while (!bytes.empty()) {
      ASSERT_TRUE(os::test::wait_for(from->far(), POLLOUT));
      const os::IoResult result = os::send(from->far(), bytes);
      if (result.status == os::IoStatus::done) bytes.remove_prefix(result.bytes);
    }
    ASSERT_TRUE(wait_delivered(from->far()));
    turning.turn_now();
  }
  void finish() {
    os::shutdown_send(from->far());
    ASSERT_TRUE(wait_delivered(from->far()));
    turning.turn_now();
  }
  void enlarge(const os::Fd& fd) {
    const int bytes = 4 << 20;
    ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
  }
  // So that a pipe holds more than the sink takes at once.
  void narrow_sink() {
    const int bytes = 32 << 10;
    ASSERT_EQ(::setsockopt(to->fd.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    ASSERT_EQ(::setsockopt(to->far().get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
    enlarge(from->fd);
    enlarge(from->far());
  }
  Status pump() { return flow.pump(*from, *to, left); }
  // Steps until the flow says something else than `working`.
  Status settle() {
    Status status = pump();
    while (status == Status::working) status = pump();
    return status;
  }
  // What the sink's peer has, once it is `size` bytes.
  std::string arrived(std::size_t size) {
    std::string all;
    EXPECT_TRUE(os::test::eventually([&] {
      all += to->peer_reads();
      return all.size() >= size;
    }));
    return all;
  }
  void expect_at_rest() {
    EXPECT_EQ(flow.held(), 0u);
    EXPECT_EQ(pipes.counters().spilled.read(), 0u);
  }

  loop::test::DrivenLoop turning;
  net::BufferPool pool;
  net::PipePool pipes;
  std::unique_ptr<Side> from = std::make_unique<Side>(turning, pool, tcp_pair());
  std::unique_ptr<Side> to = std::make_unique<Side>(turning, pool, tcp_pair());
  std::uint64_t left = kWithoutEnd;
  SpliceFlow flow;
};

TEST_F(SpliceFlowTest, MovesWhatIsThereAndWaitsForTheNextEdge) {
  deliver("hello");
  EXPECT_EQ(pump(), Status::need_input);
  EXPECT_TRUE(flow.progressed());
  EXPECT_EQ(arrived(5), "hello");
  EXPECT_FALSE(from->ready.may_receive());
  EXPECT_EQ(pump(), Status::need_input);
  EXPECT_FALSE(flow.progressed());
  deliver("again");
  EXPECT_EQ(pump(), Status::need_input);
  EXPECT_EQ(arrived(5), "again");
  EXPECT_EQ(left, kWithoutEnd - 10);
  EXPECT_EQ(from->traffic().bytes_received.read(), 10u);
  EXPECT_EQ(to->traffic().bytes_sent.read(), 10u);
  expect_at_rest();
}

TEST_F(SpliceFlowTest, WhatIsInOutGoesFirst) {
  ASSERT_TRUE(to->out.lease(pool));
  to->out.append("head ");
  deliver("body");
  EXPECT_EQ(pump(), Status::need_input);
  EXPECT_EQ(arrived(9), "head body");
}

TEST_F(SpliceFlowTest, StopsAtTheLastWantedByte) {
  left = 6;
  deliver("0123456789");
  EXPECT_EQ(pump(), Status::complete);
  EXPECT_EQ(arrived(6), "012345");
  EXPECT_EQ(pump(), Status::complete);
  EXPECT_EQ(from->fill().bytes, 4u);  // The rest is still there for whoever comes next.
  EXPECT_EQ(from->in.readable(), "6789");
}

TEST_F(SpliceFlowTest, AnIdleFlowHoldsNoPipe) {
  deliver("x");
  EXPECT_EQ(pump(), Status::need_input);
  net::SplicePipe other;
  EXPECT_TRUE(other.lease(pipes));
  EXPECT_EQ(pipes.counters().created.read(), 1u);  // The one it had.
}

TEST_F(SpliceFlowTest, ShortSplicesLoseNothing) {
  enlarge(from->fd);
  enlarge(from->far());
  enlarge(to->fd);
  enlarge(to->far());
  const std::string all = pattern(1'500'000);
  deliver(all);
  EXPECT_EQ(pump(), Status::working);  // Bounded: others get their turn.
  EXPECT_LE(kWithoutEnd - left, SpliceFlow::kStepBytes);
  std::string got = to->peer_reads();
  for (Status status = Status::working; got.size() < all.size();) {
    if (status != Status::need_input) status = pump();
    ASSERT_NE(status, Status::must_copy);
    turning.turn_now();
    got += to->peer_reads();
  }
  EXPECT_EQ(got, all);
  EXPECT_EQ(pump(), Status::need_input);
  expect_at_rest();
}

// Each segment takes a slot of the pipe, so EAGAIN may mean a full pipe and not an empty socket.
TEST_F(SpliceFlowTest, ManySmallSegmentsArriveWhole) {
  constexpr std::size_t kSegments = 300;
  const os::test::Pair other = tcp_pair();
  std::string all;
  for (std::size_t i = 0; i < kSegments; ++i) {
    const std::string segment = std::to_string(i) + ";";
    ASSERT_EQ(os::send(from->far(), segment).bytes, segment.size());
    ASSERT_EQ(os::send(other.far, "x").bytes, 1u);  // So that their bytes do not share a page.
    all += segment;
  }
  ASSERT_TRUE(wait_delivered(from->far()));
  turning.turn_now();
  EXPECT_EQ(settle(), Status::need_input);
  EXPECT_EQ(arrived(all.size()), all);
  EXPECT_FALSE(from->ready.may_receive());
  expect_at_rest();
}

TEST_F(SpliceFlowTest, DataAndTheEndInOneEdge) {
  deliver("last words");
  finish();
  EXPECT_EQ(pump(), Status::source_ended);
  EXPECT_EQ(arrived(10), "last words");
  expect_at_rest();
}

TEST_F(SpliceFlowTest, TheEndComesAfterBytesThatWaitInThePipe) {
  narrow_sink();
  const std::string all = pattern(3'000'000);
  std::string_view unsent = all;
  std::string got;
  bool finished = false;
  bool blocked_with_bytes = false;
  Status status = Status::need_input;
  ASSERT_TRUE(turning.turn_until([&] {
    if (!unsent.empty()) {
      const os::IoResult result = os::send(from->far(), unsent);
      if (result.status == os::IoStatus::done) unsent.remove_prefix(result.bytes);
    } else if (!finished) {
      os::shutdown_send(from->far());
      finished = true;
    }
    status = pump();
    if (status == Status::blocked_output) {
      blocked_with_bytes = blocked_with_bytes || (flow.held() > 0 && from->ready.hangup());
      got += to->peer_reads(60'000);
    }
    return status == Status::source_ended;
  }));
  EXPECT_TRUE(blocked_with_bytes);
  got += arrived(all.size() - got.size());
  EXPECT_EQ(got, all);
  expect_at_rest();
}

TEST_F(SpliceFlowTest, AFullSinkStopsTheSourceAndItsEdgeGoesOn) {
  narrow_sink();
  const std::string all = pattern(3'000'000);
  std::string_view unsent = all;
  const auto feed = [&] {
    const os::IoResult result = os::send(from->far(), unsent);
    if (result.status == os::IoStatus::done) unsent.remove_prefix(result.bytes);
  };
  Status status = Status::need_input;
  ASSERT_TRUE(turning.turn_until([&] {
    feed();
    status = pump();
    return status == Status::blocked_output && flow.held() > 0;
  }));
  EXPECT_FALSE(to->ready.may_send());
  const std::uint64_t taken = kWithoutEnd - left;
  EXPECT_LE(flow.held(), net::kPipeBytes);
  EXPECT_EQ(pump(), Status::blocked_output);
  EXPECT_FALSE(flow.progressed());
  EXPECT_EQ(kWithoutEnd - left, taken);
  std::string got;
  ASSERT_TRUE(turning.turn_until([&] {
    if (!unsent.empty()) feed();
    status = pump();
    got += to->peer_reads();
    return got.size() == all.size();
  }));
  EXPECT_TRUE(got == all);
  expect_at_rest();
}

TEST_F(SpliceFlowTest, AResetSourceFailsAfterItsBytes) {
  deliver("before");
  EXPECT_EQ(pump(), Status::need_input);
  os::close_with_reset(from->far());
  from->peer_leaves();
  turning.turn_now();
  EXPECT_EQ(pump(), Status::source_failed);
  EXPECT_EQ(arrived(6), "before");
  expect_at_rest();
}

TEST_F(SpliceFlowTest, AResetSinkFailsAndThePipeIsClosed) {
  narrow_sink();
  const std::string all = pattern(3'000'000);
  std::string_view unsent = all;
  Status status = Status::need_input;
  ASSERT_TRUE(turning.turn_until([&] {
    const os::IoResult result = os::send(from->far(), unsent);
    if (result.status == os::IoStatus::done) unsent.remove_prefix(result.bytes);
    status = pump();
    return status == Status::blocked_output && flow.held() > 0;
  }));
  os::close_with_reset(to->far());
  to->peer_leaves();
  ASSERT_TRUE(turning.turn_until([&] { return pump() == Status::sink_failed; }));
  EXPECT_TRUE(to->broken());
  flow = SpliceFlow{};
  EXPECT_EQ(pipes.counters().spilled.read(), 1u);
  EXPECT_EQ(pipes.counters().open.read(), 0u);
}

TEST_F(SpliceFlowTest, UrgentDataIsCopiedPastAndThenSplicedAgain) {
  deliver("abc");
  const char urgent = '!';
  ASSERT_EQ(::send(from->far().get(), &urgent, 1, MSG_OOB | MSG_NOSIGNAL), 1);
  deliver("defgh");
  EXPECT_EQ(pump(), Status::must_copy);
  EXPECT_EQ(left, kWithoutEnd);  // Nothing was taken.
  std::string copied;
  while (from->fill().status == os::IoStatus::done) continue;
  EXPECT_EQ(from->in.readable(), "abcdefgh");  // Out of band: not in the stream.
  from->in.release();
  deliver("more");
  EXPECT_EQ(pump(), Status::need_input);
  EXPECT_EQ(arrived(4), "more");
}

// --- No pipe, or none that can be used -----------------------------------------------------------

TEST_F(SpliceFlowTest, WithoutAPoolEverythingIsCopied) {
  flow = SpliceFlow{};
  deliver("abc");
  EXPECT_EQ(pump(), Status::must_copy);
  EXPECT_EQ(from->fill().bytes, 3u);
}

TEST_F(SpliceFlowTest, WithoutAPipeItIsCopiedUntilThereIsOne) {
  net::PipePool none(1);
  net::SplicePipe taken;
  ASSERT_TRUE(taken.lease(none));
  flow.begin(none);
  deliver("abc");
  EXPECT_EQ(pump(), Status::must_copy);
  EXPECT_EQ(none.counters().refused.read(), 1u);
  taken.release();
  EXPECT_EQ(pump(), Status::need_input);
  EXPECT_EQ(arrived(3), "abc");
  flow = SpliceFlow{};
}

// A descriptor that cannot be spliced at all stands for a socket of such a kind.
TEST_F(SpliceFlowTest, ASourceThatCannotBeSplicedIsCopiedForGood) {
  deliver("abc");
  os::Fd socket = std::exchange(from->fd, os::epoll_create());
  EXPECT_EQ(pump(), Status::must_copy);
  EXPECT_EQ(pipes.counters().open.read(), 1u);  // Empty, so it was kept.
  const std::uint64_t leases = pipes.counters().reused.read();
  EXPECT_EQ(pump(), Status::must_copy);
  EXPECT_EQ(pipes.counters().reused.read(), leases) << "it is not tried again";
  from->fd = std::move(socket);
}

// The bytes have left the source already: they go on by copying.
TEST_F(SpliceFlowTest, ASinkThatCannotBeSplicedGetsItsBytesAllTheSame) {
  const std::string all = pattern(100'000);
  enlarge(from->fd);
  deliver(all);
  ASSERT_EQ(flow.take(*from, all.size()).status, os::IoStatus::done);
  const std::size_t taken = flow.held();
  ASSERT_GT(taken, net::kBlockBytes);
  // splice() refuses a descriptor opened for appending; a socket takes the flag as well.
  ASSERT_EQ(::fcntl(to->fd.get(), F_SETFL, O_NONBLOCK | O_APPEND), 0);
  ASSERT_EQ(flow.give(*to).status, os::IoStatus::done);
  EXPECT_FALSE(to->out.empty());
  EXPECT_EQ(pump(), Status::must_copy);
  EXPECT_EQ(arrived(taken), all.substr(0, taken));
  expect_at_rest();
}

}  // namespace
}  // namespace weir::proxy
