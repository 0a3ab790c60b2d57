// Connections: accepting, connecting, moving bytes, ending.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "os/os.h"
#include "sockets.h"

namespace weir::os {
namespace {

using test::loopback;
using test::Pair;
using test::wait_delivered;
using test::wait_for;

std::string text_of(const Peer& peer) {
  char out[Peer::kTextMax];
  return std::string(peer.text(out));
}

// The status of a connection attempt once it is decided.
IoStatus outcome_of(const Address& address) {
  const SocketResult attempt = connect_to(address);
  if (attempt.status != IoStatus::again) return attempt.status;
  EXPECT_TRUE(wait_for(attempt.fd, POLLOUT));
  return connect_outcome(attempt.fd);
}

// A port nobody listens on: it was free a moment ago, and ephemeral ports are not reused at once.
std::uint16_t dead_port() {
  const SocketResult listener = listen_on(loopback(0), Share::first, 1);
  return bound_port(listener.fd);
}

TEST(AcceptFrom, TellsAnIPv4Peer) {
  const SocketResult listener = listen_on(loopback(0), Share::first, 8);
  const SocketResult client = connect_to(loopback(bound_port(listener.fd)));
  Peer peer;
  const SocketResult server = test::accept_within_deadline(listener.fd, peer);
  ASSERT_EQ(server.status, IoStatus::done);
  EXPECT_EQ(peer.family, Peer::Family::ipv4);
  EXPECT_EQ(text_of(peer), "127.0.0.1");
  EXPECT_EQ(peer.port, bound_port(client.fd));
  char byte = 0;
  EXPECT_EQ(receive(server.fd, &byte, 1).status, IoStatus::again);  // Non-blocking.
}

// The kernel says what it makes of the second: one SYN-ACK that is repeated.
TEST(DeferAccept, KeepsAConnectionForASecond) {
  const SocketResult listener = listen_on(loopback(0), Share::first, 8);
  const auto deferred_s = [&] {
    int seconds = -1;
    socklen_t size = sizeof seconds;
    EXPECT_EQ(::getsockopt(listener.fd.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size), 0);
    return seconds;
  };
  EXPECT_EQ(deferred_s(), 0);
  defer_accept(listener.fd);
  EXPECT_EQ(deferred_s(), 1);
}

// One who says nothing is not kept for ever.
TEST(DeferAccept, HandsOverWhoIsSilentToo) {
  const SocketResult listener = listen_on(loopback(0), Share::first, 8);
  defer_accept(listener.fd);
  const SocketResult silent = connect_to(loopback(bound_port(listener.fd)));
  const SocketResult speaks = connect_to(loopback(bound_port(listener.fd)));
  EXPECT_EQ(send(speaks.fd, "x").status, IoStatus::done);
  std::set<std::uint16_t> seen;
  for (int i = 0; i < 2; ++i) {
    Peer peer;
    ASSERT_EQ(test::accept_within_deadline(listener.fd, peer).status, IoStatus::done);
    seen.insert(peer.port);
  }
  EXPECT_EQ(seen, (std::set<std::uint16_t>{bound_port(silent.fd), bound_port(speaks.fd)}));
}

std::string congestion_of(const Fd& fd) {
  char name[16] = "";
  socklen_t size = sizeof name;
  EXPECT_EQ(::getsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, name, &size), 0);
  return name;
}

// "reno" is what every kernel has and allows.
TEST(CongestionControl, IsThatOfTheListenerAndThatOfTheConnect) {
  const SocketResult listener = listen_on(loopback(0), Share::first, 8);
  const std::string usual = congestion_of(listener.fd);
  set_congestion(listener.fd, "no-such-thing");
  EXPECT_EQ(congestion_of(listener.fd), usual);
  set_congestion(listener.fd, "reno");
  const SocketResult client = connect_to(loopback(bound_port(listener.fd)));
  EXPECT_EQ(congestion_of(client.fd), usual);
  Peer peer;
  const SocketResult server = test::accept_within_deadline(listener.fd, peer);
  ASSERT_EQ(server.status, IoStatus::done);
  EXPECT_EQ(congestion_of(server.fd), "reno");
  const SocketResult other = connect_to(loopback(bound_port(listener.fd)), "reno");
  EXPECT_EQ(congestion_of(other.fd), "reno");
}

TEST(AcceptFrom, TellsAnIPv6Peer) {
  const SocketResult listener = listen_on(*Address::ip("::1", 0), Share::first, 8);
  if (listener.status != IoStatus::done) GTEST_SKIP() << "no IPv6 here";
  const SocketResult client = connect_to(*Address::ip("::1", bound_port(listener.fd)));
  Peer peer;
  ASSERT_EQ(test::accept_within_deadline(listener.fd, peer).status, IoStatus::done);
  EXPECT_EQ(peer.family, Peer::Family::ipv6);
  EXPECT_EQ(text_of(peer), "::1");
  EXPECT_EQ(peer.port, bound_port(client.fd));
}

TEST(AcceptFrom, AUnixPeerHasNoAddress) {
  const test::TemporaryDirectory directory;
  const Address address = *Address::unix_path(directory.at("socket"));
  const SocketResult listener = listen_on(address, Share::first, 8);
  const SocketResult client = connect_to(address);
  EXPECT_EQ(client.status, IoStatus::done);
  Peer peer;
  peer.family = Peer::Family::ipv4;  // Left over from an earlier connection.
  peer.port = 1;
  ASSERT_EQ(test::accept_within_deadline(listener.fd, peer).status, IoStatus::done);
  EXPECT_EQ(peer.family, Peer::Family::none);
  EXPECT_EQ(peer.port, 0);
  EXPECT_EQ(text_of(peer), "");
}

TEST(AcceptFrom, OutOfDescriptorsIsToldAndTheConnectionKept) {
  const SocketResult listener = listen_on(loopback(0), Share::first, 8);
  const SocketResult client = connect_to(loopback(bound_port(listener.fd)));
  ASSERT_TRUE(wait_for(listener.fd, POLLIN));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest_free = duplicate(listener.fd).fd.get();
  const rlimit none{static_cast<rlim_t>(lowest_free), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  Peer peer;
  const IoStatus accepted = accept_from(listener.fd, peer).status;
  const IoStatus connected = connect_to(loopback(1)).status;
  const IoStatus piped = make_pipe().status;
  const IoStatus copied = duplicate(listener.fd).status;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(accepted, IoStatus::no_descriptors);
  EXPECT_EQ(connected, IoStatus::no_descriptors);
  EXPECT_EQ(piped, IoStatus::no_descriptors);
  EXPECT_EQ(copied, IoStatus::no_descriptors);
  EXPECT_EQ(accept_from(listener.fd, peer).status, IoStatus::done);
}

TEST(ConnectTo, ReachesATcpListener) {
  const SocketResult listener = listen_on(loopback(0), Share::first, 8);
  EXPECT_EQ(outcome_of(loopback(bound_port(listener.fd))), IoStatus::done);
}

TEST(ConnectTo, RefusedOverTcp) { EXPECT_EQ(outcome_of(loopback(dead_port())), IoStatus::refused); }

TEST(ConnectTo, RefusedOverUnix) {
  const test::TemporaryDirectory directory;
  const Address address = *Address::unix_path(directory.at("socket"));
  EXPECT_EQ(connect_to(address).status, IoStatus::refused);  // No such file.
  listen_on(address, Share::first, 8).fd.reset();
  EXPECT_EQ(connect_to(address).status, IoStatus::refused);  // Nobody behind the file.
}

TEST(ConnectTo, AFullUnixQueueIsARefusal) {
  const test::TemporaryDirectory directory;
  const Address address = *Address::unix_path(directory.at("socket"));
  const SocketResult listener = listen_on(address, Share::first, 0);
  std::vector<Fd> waiting;
  IoStatus status = IoStatus::done;
  for (int i = 0; i < 100 && status == IoStatus::done; ++i) {
    SocketResult client = connect_to(address);
    status = client.status;
    waiting.push_back(std::move(client.fd));
  }
  EXPECT_EQ(status, IoStatus::refused);
}

TEST(Transfer, SendsReceivesPeeksAndEnds) {
  const Pair pair = test::tcp_pair();
  IoResult sent = send(pair.far, "hello ");
  EXPECT_EQ(sent.status, IoStatus::done);
  EXPECT_EQ(sent.bytes, 6u);
  sent = send_two(pair.far, "wor", "ld");
  EXPECT_EQ(sent.status, IoStatus::done);
  EXPECT_EQ(sent.bytes, 5u);
  shutdown_send(pair.far);
  ASSERT_TRUE(wait_delivered(pair.far));

  char data[64];
  IoResult got = peek(pair.near, data, 5);
  EXPECT_EQ(std::string(data, got.bytes), "hello");
  got = receive(pair.near, data, sizeof data);
  EXPECT_EQ(got.status, IoStatus::done);
  EXPECT_EQ(std::string(data, got.bytes), "hello world");
  EXPECT_EQ(receive(pair.near, data, sizeof data).status, IoStatus::end);
  EXPECT_EQ(peek(pair.near, data, sizeof data).status, IoStatus::end);
  EXPECT_EQ(send(pair.near, "still open this way").status, IoStatus::done);
}

TEST(Transfer, SendIsShortThenAgainWhenThePeerDoesNotRead) {
  const Pair pair = test::tcp_pair();
  const std::string block(1 << 20, 'x');
  IoResult sent;
  do {
    sent = send(pair.near, block);
  } while (sent.status == IoStatus::done && sent.bytes == block.size());
  if (sent.status == IoStatus::done) {
    EXPECT_LT(sent.bytes, block.size());
  } else {
    EXPECT_EQ(sent.status, IoStatus::again);
  }
}

TEST(Transfer, AClosedPeerIsResetWithoutASignal) {
  Pair pair = test::tcp_pair();
  close_with_reset(pair.far);
  pair.far.reset();
  ASSERT_TRUE(wait_for(pair.near, POLLIN));
  char byte = 0;
  EXPECT_EQ(receive(pair.near, &byte, 1).status, IoStatus::reset);
  // SIGPIPE would end the test here.
  EXPECT_EQ(send(pair.near, "x").status, IoStatus::broken_pipe);
  EXPECT_EQ(send_two(pair.near, "x", "y").status, IoStatus::broken_pipe);
}

// Whoever calls first takes the error; only it tells a cut stream from a whole one.
TEST(Transfer, ASendTakesTheResetAwayFromTheReceiver) {
  Pair pair = test::tcp_pair();
  close_with_reset(pair.far);
  pair.far.reset();
  ASSERT_TRUE(wait_for(pair.near, POLLIN));
  EXPECT_EQ(send(pair.near, "x").status, IoStatus::reset);
  char byte = 0;
  EXPECT_EQ(receive(pair.near, &byte, 1).status, IoStatus::end);
}

// splice() sends what a pipe holds in several pieces. When one fails, those before it are reported,
// and why it failed is not told to anybody.
TEST(Transfer, ASpliceTakesTheReasonAway) {
  constexpr std::size_t kPages = 64;
  ::signal(SIGPIPE, SIG_IGN);  // As the program does; splice() raises it.
  Pair pair = test::tcp_pair();
  test::reset_unheard(pair.near, pair.far);
  const PipeResult pipe = make_pipe();
  ASSERT_GE(resize_pipe(pipe.write_end, kPages * 4096), kPages * 4096);
  const std::string page(4096, 'x');
  for (std::size_t i = 0; i < kPages; ++i) {
    ASSERT_EQ(::write(pipe.write_end.get(), page.data(), page.size()), 4096);
  }
  const IoResult spliced = splice_bytes(pipe.read_end, pair.near, kPages * 4096);
  EXPECT_EQ(spliced.status, IoStatus::done);
  EXPECT_LT(spliced.bytes, kPages * 4096);
  EXPECT_EQ(splice_bytes(pipe.read_end, pair.near, kPages * 4096).status, IoStatus::broken_pipe);
  char byte = 0;
  EXPECT_EQ(receive(pair.near, &byte, 1).status, IoStatus::end) << "though it was none";
}

TEST(Transfer, AResetAfterTheEndIsABrokenPipe) {
  Pair pair = test::tcp_pair();
  shutdown_send(pair.far);
  ASSERT_TRUE(wait_for(pair.near, POLLIN));
  close_with_reset(pair.far);
  pair.far.reset();
  ASSERT_TRUE(wait_for(pair.near, POLLERR));
  EXPECT_EQ(send(pair.near, "x").status, IoStatus::broken_pipe);
}

TEST(Transfer, AnOrderlyCloseIsAnEnd) {
  Pair pair = test::tcp_pair();
  pair.far.reset();
  ASSERT_TRUE(wait_for(pair.near, POLLIN));
  char byte = 0;
  EXPECT_EQ(receive(pair.near, &byte, 1).status, IoStatus::end);
}

TEST(Splice, MovesBytesBothWaysAndTellsTheEnd) {
  const Pair pair = test::tcp_pair();
  const PipeResult pipe = make_pipe();
  ASSERT_EQ(pipe.status, IoStatus::done);
  EXPECT_EQ(splice_bytes(pair.near, pipe.write_end, 4096).status, IoStatus::again);
  (void)send(pair.far, "spliced");
  shutdown_send(pair.far);
  ASSERT_TRUE(wait_delivered(pair.far));
  EXPECT_EQ(splice_bytes(pair.near, pipe.write_end, 4096).bytes, 7u);
  EXPECT_EQ(splice_bytes(pair.near, pipe.write_end, 4096).status, IoStatus::end);
  EXPECT_EQ(splice_bytes(pipe.read_end, pair.near, 4096).bytes, 7u);
  ASSERT_TRUE(wait_for(pair.far, POLLIN));
  char data[16];
  EXPECT_EQ(std::string(data, receive(pair.far, data, sizeof data).bytes), "spliced");
}

TEST(Splice, IsRefusedBetweenTwoSockets) {
  const Pair pair = test::tcp_pair();
  EXPECT_EQ(splice_bytes(pair.near, pair.far, 16).status, IoStatus::unsupported);
}

TEST(Epoll, TranslatesTheEndOfAConnection) {
  Pair pair = test::tcp_pair();
  const Fd epoll = epoll_create();
  constexpr std::uint8_t kAll = kReadable | kWritable | kHangup | kUrgent;
  ASSERT_TRUE(epoll_add(epoll, pair.near, 77, kAll, Mode::edge));
  Event events[4];
  ASSERT_EQ(epoll_wait(epoll, events, 10'000), 1u);
  EXPECT_EQ(events[0].data, 77u);
  EXPECT_EQ(events[0].flags, kWritable);
  EXPECT_EQ(epoll_wait(epoll, events, 0), 0u);

  shutdown_send(pair.far);
  ASSERT_TRUE(wait_delivered(pair.far));
  ASSERT_EQ(epoll_wait(epoll, events, 10'000), 1u);
  EXPECT_EQ(events[0].flags, kReadable | kWritable | kHangup);

  close_with_reset(pair.far);
  pair.far.reset();
  ASSERT_EQ(epoll_wait(epoll, events, 10'000), 1u);
  EXPECT_EQ(events[0].flags, kReadable | kWritable | kHangup | kError);
}

TEST(Epoll, RemovedMeansSilent) {
  const Pair pair = test::tcp_pair();
  const Fd epoll = epoll_create();
  ASSERT_TRUE(epoll_add(epoll, pair.near, 1, kWritable, Mode::level));
  EXPECT_FALSE(epoll_add(epoll, pair.near, 1, kWritable, Mode::level));  // Once only.
  Event events[4];
  EXPECT_EQ(epoll_wait(epoll, events, 0), 1u);
  epoll_remove(epoll, pair.near);
  EXPECT_EQ(epoll_wait(epoll, events, 0), 0u);
}

TEST(Wakeup, IsReadableUntilCleared) {
  const Fd wakeup = wakeup_create();
  const Fd epoll = epoll_create();
  ASSERT_TRUE(epoll_add(epoll, wakeup, 0, kReadable, Mode::level));
  Event events[4];
  EXPECT_EQ(epoll_wait(epoll, events, 0), 0u);
  wakeup_notify(wakeup);
  wakeup_notify(wakeup);
  EXPECT_EQ(epoll_wait(epoll, events, 0), 1u);
  wakeup_clear(wakeup);
  EXPECT_EQ(epoll_wait(epoll, events, 0), 0u);
  wakeup_clear(wakeup);  // Nothing to clear: does not block.
}

TEST(Clock, NeverGoesBack) {
  std::uint64_t last = monotonic_ns();
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t now = monotonic_ns();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(wall_clock_ns(), 1'600'000'000'000'000'000u);  // 2020.
  EXPECT_NE(random_seed(), random_seed());
}

}  // namespace
}  // namespace weir::os
