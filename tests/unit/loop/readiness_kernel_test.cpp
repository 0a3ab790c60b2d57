// The rules of readiness.h against the real kernel. Each test brings a socket into the state a rule
// is about, then shows two things: the obvious simpler rule would wait for an event that never
// comes while bytes are there, and our rule goes on and reaches them.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "../os/sockets.h"
#include "loop/poller.h"
#include "loop/readiness.h"

namespace weir::loop {
namespace {

using os::IoResult;
using os::IoStatus;
using os::test::Pair;
using os::test::wait_delivered;

// `near` is watched by an edge-triggered epoll instance as the loop does it, `far` is the peer.
class ReadinessKernel : public testing::Test {
 protected:
  // Starts watching: what is there already is told as the first event.
  void watch(const os::Fd& fd) {
    ASSERT_TRUE(os::epoll_add(epoll, fd, 1, Poller::kSocketBits, os::Mode::edge));
  }
  // Latches the next event. False when none comes in a tenth of a second, which on loopback means
  // that none will ever come: everything was delivered before.
  [[nodiscard]] bool next_event(int timeout_ms = 100) {
    os::Event events[4];
    if (os::epoll_wait(epoll, events, timeout_ms) == 0) return false;
    ready.latch(events[0].flags);
    return true;
  }
  [[nodiscard]] bool edge_follows() { return next_event(10'000); }

  void deliver(std::string_view data) {
    while (!data.empty()) {
      ASSERT_TRUE(os::test::wait_for(pair.far, POLLOUT));
      data.remove_prefix(os::send(pair.far, data).bytes);
    }
    ASSERT_TRUE(wait_delivered(pair.far));
  }
  // So that several pipes full of data wait in one socket.
  void grow_receive_buffer() {
    const int bytes = 4 << 20;
    ASSERT_EQ(::setsockopt(pair.near.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
    ASSERT_EQ(::setsockopt(pair.far.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
  }
  void deliver_urgent(char byte) {
    ASSERT_EQ(::send(pair.far.get(), &byte, 1, MSG_OOB | MSG_NOSIGNAL), 1);
    ASSERT_TRUE(wait_delivered(pair.far));
  }
  // One receive that follows the rules.
  IoResult receive(std::size_t size) {
    const IoResult result = os::receive(pair.near, buffer, size);
    ready.after_receive(result, size);
    return result;
  }
  IoResult splice_in(std::size_t size) {
    const IoResult result = os::splice_bytes(pair.near, pipe.write_end, size);
    ready.after_splice_in(result, in_pipe);
    in_pipe += result.bytes;
    return result;
  }
  // Reads the pipe empty and returns how many bytes were in it.
  std::size_t drain_pipe() {
    std::size_t total = 0;
    for (ssize_t count = 0; (count = ::read(pipe.read_end.get(), buffer, sizeof buffer)) > 0;) {
      total += static_cast<std::size_t>(count);
    }
    EXPECT_EQ(total, in_pipe);
    in_pipe = 0;
    return total;
  }
  // Bytes that recv() would find, or 0.
  [[nodiscard]] std::size_t queued() {
    const IoResult result = os::peek(pair.near, buffer, sizeof buffer);
    return result.status == IoStatus::done ? result.bytes : 0;
  }
  // Fills the send direction until the kernel takes no more; returns how much it took. Leaves the
  // latch as our rule has it.
  std::size_t send_until_partial() {
    const std::string block(1 << 20, 'x');
    std::size_t total = 0;
    while (ready.may_send()) {
      const IoResult result = os::send(pair.near, block);
      ready.after_send(result, block.size());
      total += result.bytes;
    }
    return total;
  }
  void far_reads(std::size_t bytes) {
    while (bytes > 0) {
      ASSERT_TRUE(os::test::wait_for(pair.far, POLLIN));
      const IoResult result = os::receive(pair.far, buffer, std::min(bytes, sizeof buffer));
      ASSERT_EQ(result.status, IoStatus::done);
      bytes -= result.bytes;
    }
  }

  Pair pair = os::test::tcp_pair();
  os::Fd epoll = os::epoll_create();
  os::PipeResult pipe = os::make_pipe();
  std::size_t in_pipe = 0;
  Readiness ready;
  char buffer[64 << 10];
};

// --- Receiving -----------------------------------------------------------------------------------

TEST_F(ReadinessKernel, AShortReceiveMeansEmptyAndNewDataIsANewEdge) {
  watch(pair.near);
  deliver("hello");
  ASSERT_TRUE(edge_follows());
  EXPECT_EQ(receive(64).bytes, 5u);
  EXPECT_FALSE(ready.may_receive());  // Saves the call that would say EAGAIN.
  EXPECT_EQ(queued(), 0u);
  deliver("again");
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(receive(64).bytes, 5u);
}

TEST_F(ReadinessKernel, AFullReceiveProvesNothing) {
  deliver("12345678");
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  EXPECT_EQ(receive(4).bytes, 4u);
  EXPECT_FALSE(next_event());  // Who waits for an edge after every receive waits for ever.
  EXPECT_EQ(queued(), 4u);
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(receive(4).bytes, 4u);
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(receive(4).status, IoStatus::again);
  EXPECT_FALSE(ready.may_receive());
}

TEST_F(ReadinessKernel, DataAndFinInOneEdge) {
  deliver("last words");
  os::shutdown_send(pair.far);
  ASSERT_TRUE(wait_delivered(pair.far));
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.hangup());
  EXPECT_EQ(receive(64).bytes, 10u);  // Short: the simple rule would call the socket empty.
  EXPECT_FALSE(next_event());         // And the end would never be told.
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(receive(64).status, IoStatus::end);
}

TEST_F(ReadinessKernel, FinAfterTheReadIsANewEdge) {
  deliver("words");
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  EXPECT_EQ(receive(64).bytes, 5u);
  EXPECT_FALSE(ready.may_receive());
  os::shutdown_send(pair.far);
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(receive(64).status, IoStatus::end);
}

TEST_F(ReadinessKernel, AResetIsToldToReaderAndWriter) {
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  (void)send_until_partial();
  EXPECT_FALSE(ready.may_send());
  os::close_with_reset(pair.far);
  pair.far.reset();
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.error());
  EXPECT_TRUE(ready.may_send());
  EXPECT_EQ(receive(64).status, IoStatus::reset);
}

// --- Urgent data ---------------------------------------------------------------------------------

TEST_F(ReadinessKernel, ReceiveStopsAtTheUrgentMark) {
  deliver("abc");
  deliver_urgent('!');
  deliver("defgh");
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  EXPECT_EQ(receive(64).bytes, 3u);  // Short, at the mark and not at the end.
  EXPECT_FALSE(next_event());
  EXPECT_EQ(queued(), 5u);
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(receive(64).bytes, 5u);
  EXPECT_EQ(receive(64).status, IoStatus::again);
  EXPECT_FALSE(ready.may_receive());
  EXPECT_TRUE(ready.may_splice());  // The mark is behind us.
  deliver("more");
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_splice());
  EXPECT_EQ(receive(64).bytes, 4u);
}

TEST_F(ReadinessKernel, UrgentDataWithNothingBehindIt) {
  deliver_urgent('!');
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  EXPECT_FALSE(ready.may_splice());
  EXPECT_EQ(receive(64).status, IoStatus::again);
  EXPECT_FALSE(ready.may_receive());
  deliver("x");
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_splice());
  EXPECT_EQ(receive(64).bytes, 1u);
}

TEST_F(ReadinessKernel, SpliceSaysAgainAtTheUrgentMarkWithBytesQueued) {
  deliver("abc");
  deliver_urgent('!');
  deliver("defgh");
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  EXPECT_FALSE(ready.may_splice());
  EXPECT_EQ(splice_in(64).bytes, 3u);  // Against the rule, to see what it protects from.
  EXPECT_EQ(drain_pipe(), 3u);
  EXPECT_EQ(splice_in(64).status, IoStatus::again);  // Into an empty pipe!
  EXPECT_FALSE(next_event());
  EXPECT_EQ(queued(), 5u);
  EXPECT_TRUE(ready.may_receive());  // So this EAGAIN has cleared nothing.
  EXPECT_EQ(receive(64).bytes, 5u);
}

// --- Splicing ------------------------------------------------------------------------------------

TEST_F(ReadinessKernel, AShortSpliceProvesNothing) {
  grow_receive_buffer();
  const std::string block(400'000, 's');
  deliver(block);
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  std::size_t total = 0;
  bool short_with_data_left = false;
  while (total < block.size()) {
    ASSERT_TRUE(ready.may_receive());  // Our rule never loses track.
    const IoResult result = splice_in(1 << 20);
    ASSERT_EQ(result.status, IoStatus::done) << "after " << total;
    total += drain_pipe();
    if (total < block.size()) {
      short_with_data_left = true;
      EXPECT_GT(queued(), 0u);
      EXPECT_FALSE(next_event(0));
    }
  }
  EXPECT_TRUE(short_with_data_left);
  EXPECT_EQ(splice_in(1 << 20).status, IoStatus::again);
  EXPECT_FALSE(ready.may_receive());  // The pipe was empty: this one does prove it.
  deliver("new");
  ASSERT_TRUE(edge_follows());
  EXPECT_EQ(splice_in(64).bytes, 3u);
}

TEST_F(ReadinessKernel, ManySmallSegmentsFillThePipesSlots) {
  constexpr std::size_t kSegments = 60;
  constexpr std::size_t kSegmentBytes = 50;
  // Between two segments the sender serves another connection, as a busy one does; otherwise their
  // bytes would lie side by side in the sender's memory and share a slot.
  const Pair other = os::test::tcp_pair();
  for (std::size_t i = 0; i < kSegments; ++i) {
    ASSERT_EQ(os::send(pair.far, std::string(kSegmentBytes, 'p')).bytes, kSegmentBytes);
    ASSERT_EQ(os::send(other.far, "x").bytes, 1u);
  }
  ASSERT_TRUE(wait_delivered(pair.far));
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  while (splice_in(1 << 20).status == IoStatus::done) continue;
  const std::size_t moved = in_pipe;
  if (moved == kSegments * kSegmentBytes) GTEST_SKIP() << "this kernel merges segments";
  EXPECT_FALSE(next_event());  // EAGAIN was said, bytes are left, and nothing will tell.
  EXPECT_EQ(queued(), kSegments * kSegmentBytes - moved);
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(drain_pipe(), moved);
  std::size_t total = moved;
  while (total < kSegments * kSegmentBytes) {
    ASSERT_EQ(splice_in(1 << 20).status, IoStatus::done);
    total += drain_pipe();
  }
  EXPECT_EQ(splice_in(1 << 20).status, IoStatus::again);
  EXPECT_FALSE(ready.may_receive());
}

// The same with slots for all of them: EAGAIN comes from an empty socket, but with bytes in the
// pipe it proves nothing, so the latch costs one more call.
TEST_F(ReadinessKernel, ALargerPipeHasMoreSlots) {
  ASSERT_GE(os::resize_pipe(pipe.write_end, 256 << 10), std::size_t{256 << 10});
  constexpr std::size_t kSegments = 60;
  const Pair other = os::test::tcp_pair();
  for (std::size_t i = 0; i < kSegments; ++i) {
    ASSERT_EQ(os::send(pair.far, "segment").bytes, 7u);
    ASSERT_EQ(os::send(other.far, "x").bytes, 1u);
  }
  ASSERT_TRUE(wait_delivered(pair.far));
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  while (splice_in(1 << 20).status == IoStatus::done) continue;
  EXPECT_EQ(in_pipe, kSegments * 7);
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(drain_pipe(), kSegments * 7);
  EXPECT_EQ(splice_in(1 << 20).status, IoStatus::again);
  EXPECT_FALSE(ready.may_receive());
}

TEST_F(ReadinessKernel, SpliceOfDataAndFinInOneEdge) {
  deliver("last words");
  os::shutdown_send(pair.far);
  ASSERT_TRUE(wait_delivered(pair.far));
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  EXPECT_EQ(splice_in(1 << 20).bytes, 10u);
  EXPECT_FALSE(next_event());  // The end is not told.
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(splice_in(1 << 20).status, IoStatus::end);
  EXPECT_EQ(drain_pipe(), 10u);
}

TEST_F(ReadinessKernel, SpliceOfAResetSocketSaysSo) {
  deliver("lost");
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  EXPECT_EQ(splice_in(1 << 20).bytes, 4u);
  os::close_with_reset(pair.far);
  pair.far.reset();
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_receive());
  EXPECT_EQ(splice_in(1 << 20).status, IoStatus::reset);
  EXPECT_EQ(drain_pipe(), 4u);  // What was taken before is still there to be given.
}

TEST_F(ReadinessKernel, AShortSpliceOutMeansAnEmptyPipeNotAFullSocket) {
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  ASSERT_EQ(::write(pipe.write_end.get(), "abc", 3), 3);
  const IoResult result = os::splice_bytes(pipe.read_end, pair.near, 1 << 20);
  EXPECT_EQ(result.bytes, 3u);
  ready.after_splice_out(result, 3);
  EXPECT_FALSE(next_event());  // Who took it for a full socket waits for ever.
  EXPECT_TRUE(ready.may_send());
}

TEST_F(ReadinessKernel, AgainFromAnEmptyPipeSaysNothingAboutTheSocket) {
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  const IoResult result = os::splice_bytes(pipe.read_end, pair.near, 1 << 20);
  EXPECT_EQ(result.status, IoStatus::again);
  ready.after_splice_out(result, 0);
  EXPECT_FALSE(next_event());  // Who took it for a full socket waits for ever.
  EXPECT_TRUE(ready.may_send());
}

TEST_F(ReadinessKernel, SpliceOutIntoAFullSocketWaitsForTheOutEdge) {
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  std::size_t sent = send_until_partial();
  ASSERT_EQ(::write(pipe.write_end.get(), "abc", 3), 3);
  const IoResult full = os::splice_bytes(pipe.read_end, pair.near, 3);
  ready.after_splice_out(full, 3);
  ASSERT_EQ(full.status, IoStatus::again);
  EXPECT_FALSE(ready.may_send());
  far_reads(sent);
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_send());
  EXPECT_EQ(os::splice_bytes(pipe.read_end, pair.near, 3).bytes, 3u);
}

// --- Sending -------------------------------------------------------------------------------------

TEST_F(ReadinessKernel, AWholeSendKeepsTheLatchBecauseNoEdgeFollows) {
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  const IoResult result = os::send(pair.near, "abc");
  ready.after_send(result, 3);
  EXPECT_EQ(result.bytes, 3u);
  EXPECT_FALSE(next_event());  // Who waits for OUT before every send waits for ever.
  EXPECT_TRUE(ready.may_send());
}

TEST_F(ReadinessKernel, APartialSendIsResumedByTheOutEdge) {
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  const std::size_t sent = send_until_partial();
  EXPECT_GT(sent, 0u);
  EXPECT_FALSE(ready.may_send());
  EXPECT_FALSE(next_event(0));  // Nobody reads: no edge, no spinning.
  far_reads(sent);
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_send());
  EXPECT_EQ(os::send(pair.near, "abc").bytes, 3u);
}

TEST_F(ReadinessKernel, APartialSendOverAUnixSocketIsResumedByTheOutEdge) {
  pair = os::test::unix_pair();
  watch(pair.near);
  ASSERT_TRUE(edge_follows());
  const std::size_t sent = send_until_partial();
  EXPECT_FALSE(ready.may_send());
  far_reads(sent);
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_send());
}

TEST_F(ReadinessKernel, AddingAgainReportsWhatIsThere) {
  watch(pair.near);
  deliver("abc");
  ASSERT_TRUE(edge_follows());
  ready.reset(0);
  EXPECT_FALSE(next_event());
  os::epoll_remove(epoll, pair.near);
  watch(pair.near);  // As when a connection is handed to another worker.
  ASSERT_TRUE(edge_follows());
  EXPECT_TRUE(ready.may_receive());
}

}  // namespace
}  // namespace weir::loop
