// Side: a bare Connection over a socket of the test, and its peer's end.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <string_view>
#include <utility>

#include "../loop/probe.h"
#include "../os/sockets.h"
#include "net/connection.h"

namespace weir::net::test {

class Side final : public Connection {
 public:
  Side(loop::Loop& loop, BufferPool& pool, os::test::Pair sockets)
      : Connection(loop::SourceKind::downstream, loop, pool, traffic_),
        far_(std::move(sockets.far)) {
    ::signal(SIGPIPE, SIG_IGN);  // As the program does; splice() raises it.
    fd = std::move(sockets.near);
    ready.reset(loop::Readiness::kUnknown);
  }
  void run() override { ++runs_; }

  // The peer's end.
  [[nodiscard]] const os::Fd& far() const { return far_; }
  // Sends all of `bytes` to this side; they are in its queue when the call returns.
  void peer_sends(std::string_view bytes) {
    ASSERT_EQ(os::send(far_, bytes).bytes, bytes.size());
    latch_all();
  }
  void peer_finishes() {
    os::shutdown_send(far_);
    latch_all();
    ready.latch(os::kHangup);
  }
  void peer_leaves() {
    far_.reset();
    latch_all();
    ready.latch(os::kHangup | os::kError);
  }
  // As reset_unheard() in sockets.h.
  void peer_vanishes() { os::test::reset_unheard(fd, far_); }
  // Sends that many segments of a hundred bytes. Each takes a slot of a pipe, however little it is:
  // `between` keeps them from lying side by side in the sender's memory.
  void peer_sends_segments(int count) {
    const std::string segment(100, 's');
    const os::test::Pair between = os::test::tcp_pair();
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(os::send(far_, segment).bytes, segment.size());
      ASSERT_EQ(os::send(between.far, "x").bytes, 1u);
    }
    ASSERT_TRUE(os::test::wait_delivered(far_));
    latch_all();
  }
  // What the peer has received, all of it or at most `most` bytes.
  [[nodiscard]] std::string peer_reads(std::size_t most = SIZE_MAX) {
    std::string all;
    char piece[65536];
    while (all.size() < most) {
      const os::IoResult result =
          os::receive(far_, piece, std::min(sizeof piece, most - all.size()));
      if (result.status != os::IoStatus::done) break;
      all.append(piece, result.bytes);
    }
    return all;
  }
  // For tests without a loop: everything may have happened.
  void latch_all() { ready.latch(os::kReadable | os::kWritable); }

  [[nodiscard]] int runs() const { return runs_; }
  [[nodiscard]] const TrafficCounters& traffic() const { return traffic_.own; }

 private:
  Traffic traffic_;
  os::Fd far_;
  int runs_ = 0;
};

inline void limit_send_buffer(const os::Fd& fd, int bytes) {
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
}

}  // namespace weir::net::test
