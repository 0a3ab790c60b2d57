// Real sockets for tests of the layers that talk to the kernel: connected pairs, and waiting for a
// condition with a deadline instead of sleeping.
#pragma once

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <utility>

#include "os/os.h"

namespace weir::os::test {

// Repeats `condition` until it holds; false when 10 seconds were not enough.
template <typename Condition>
[[nodiscard]] bool eventually(Condition condition) {
  const std::uint64_t deadline_ns = monotonic_ns() + 10'000'000'000u;
  while (!condition()) {
    if (monotonic_ns() > deadline_ns) return false;
    sched_yield();
  }
  return true;
}

// Whether poll() reports one of `events` within 10 seconds.
[[nodiscard]] inline bool wait_for(const Fd& fd, short events) {
  pollfd waiting{fd.get(), events, 0};
  return ::poll(&waiting, 1, 10'000) == 1;
}

// Waits until the peer's kernel has acknowledged everything, FIN included: what was sent is in the
// receiver's queue now.
[[nodiscard]] inline bool wait_delivered(const Fd& sender) {
  return eventually([&] {
    int unacknowledged = -1;
    return ::ioctl(sender.get(), SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0;
  });
}

[[nodiscard]] inline Address loopback(std::uint16_t port) {
  return *Address::ip("127.0.0.1", port);
}

[[nodiscard]] inline SocketResult accept_within_deadline(const Fd& listener, Peer& peer) {
  if (!wait_for(listener, POLLIN)) return {IoStatus::timed_out, {}};
  return accept_from(listener, peer);
}

struct Pair {
  Fd near;
  Fd far;
};

// Two ends of one TCP connection over loopback, both non-blocking with TCP_NODELAY.
[[nodiscard]] inline Pair tcp_pair() {
  SocketResult listener = listen_on(loopback(0), Share::first, 8);
  SocketResult client = connect_to(loopback(bound_port(listener.fd)));
  Peer peer;
  SocketResult server = accept_within_deadline(listener.fd, peer);
  EXPECT_EQ(server.status, IoStatus::done);
  EXPECT_TRUE(wait_for(client.fd, POLLOUT));
  EXPECT_EQ(connect_outcome(client.fd), IoStatus::done);
  return {std::move(server.fd), std::move(client.fd)};
}

// Closes `far` with a reset that `near` does not hear of. It meets another one in the middle of its
// next send: RST with ACK is dropped, and for what comes then nobody is there any more.
inline void reset_unheard(const Fd& near, Fd& far) {
  constexpr std::uint32_t kFlagsAt = 13, kRstAndAck = 0x14, kWhole = 0xFFFF'FFFF;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlagsAt),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kRstAndAck),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kRstAndAck, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, kWhole),
  };
  const sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
  ASSERT_EQ(::setsockopt(near.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), 0);
  close_with_reset(far);
  far.reset();
}

[[nodiscard]] inline Pair unix_pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

// A directory that disappears with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/weir-test-XXXXXX";
    if (::mkdtemp(name) != nullptr) path_ = name;
    EXPECT_FALSE(path_.empty());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace weir::os::test
