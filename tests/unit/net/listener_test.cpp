#include "net/listener.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <utility>
#include <vector>

#include "../loop/probe.h"
#include "../os/sockets.h"

namespace weir::net {
namespace {

using os::test::loopback;
using os::test::wait_for;

struct Taker final : Acceptor {
  Verdict may_accept(bool) override {
    ++asked;
    return taken.size() >= most ? Verdict::full : Verdict::go_on;
  }
  void accepted(os::Fd fd, const os::Peer& peer) override {
    peers.push_back(peer);
    taken.push_back(std::move(fd));
  }
  bool descriptors_exhausted() override {
    ++exhausted;
    if (taken.empty() || !gives_up_one) return false;
    taken.pop_back();
    return true;
  }

  std::size_t most = 1'000;
  std::vector<os::Fd> taken;
  std::vector<os::Peer> peers;
  int asked = 0;
  int exhausted = 0;
  bool gives_up_one = false;
};

// Runs `body` in a child process whose soft limit of descriptors it may lower; true when it did.
template <typename Body>
[[nodiscard]] bool in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body() ? 0 : 1);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool leave_free_descriptors(int count) {
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  const rlimit limit{static_cast<rlim_t>(lowest_free + count),
                     static_cast<rlim_t>(lowest_free + count)};
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    os::SocketResult socket = os::listen_on(loopback(0), os::Share::first, 512);
    EXPECT_EQ(socket.status, os::IoStatus::done);
    port = os::bound_port(socket.fd);
    listener.emplace(loop, taker, counters, std::move(socket.fd), false);
  }
  ~ListenerTest() override {
    if (!listener->retired()) loop.retire(*listener);
    loop.reap_retired();
  }

  // `count` clients whose connections wait in the queue.
  void connect(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      clients.push_back(os::connect_to(loopback(port)).fd);
      ASSERT_TRUE(wait_for(clients.back(), POLLOUT));
    }
  }
  // Turns as the program does, asleep between events, until the clock has moved on by `ms`.
  std::uint64_t turns_within(std::uint64_t ms) {
    const std::uint64_t begin = loop.counters().turns.read();
    const std::uint64_t until_ns = os::monotonic_ns() + ms * 1'000'000;
    while (os::monotonic_ns() < until_ns) loop.turn();
    return loop.counters().turns.read() - begin;
  }

  loop::test::DrivenLoop loop;
  Taker taker;
  ListenerCounters counters;
  std::uint16_t port = 0;
  std::optional<Listener> listener;
  std::vector<os::Fd> clients;
};

TEST_F(ListenerTest, AcceptsABoundedBatchPerTurnAndIsToldOfTheRest) {
  ASSERT_TRUE(listener->start());
  connect(80);
  loop.turn_now();
  EXPECT_EQ(taker.taken.size(), 32u);
  loop.turn_now(2);
  EXPECT_EQ(taker.taken.size(), 80u);
  EXPECT_EQ(counters.accepted.read(), 80u);
  EXPECT_EQ(taker.peers.front().family, os::Peer::Family::ipv4);
  EXPECT_EQ(taker.peers.front().port, os::bound_port(clients.front()));
}

// New connections wait in the backlog, one is taken per turn, and those that are here get theirs.
TEST_F(ListenerTest, ASaturatedLoopTakesOneConnectionPerTurnAndLosesNone) {
  ASSERT_TRUE(listener->start());
  loop::test::Probe busy(loop::SourceKind::none);
  busy.on_run = [&] {
    const std::uint64_t until_ns = os::monotonic_ns() + 15'000'000;
    while (os::monotonic_ns() < until_ns) continue;
    loop.schedule(busy);
  };
  loop.schedule(busy);
  while (!loop.saturated()) loop.turn();
  EXPECT_EQ(counters.accepts_deferred.read(), 0u) << "nobody waits";
  connect(40);
  const int runs = busy.runs;
  for (std::size_t turn = 1; turn <= 8; ++turn) {
    loop.turn();
    EXPECT_EQ(taker.taken.size(), turn);
  }
  EXPECT_EQ(busy.runs, runs + 8);
  EXPECT_EQ(counters.accepts_deferred.read(), 8u);
  busy.on_run = nullptr;
  while (loop.saturated()) loop.turn_now();
  loop.turn_now(2);
  EXPECT_EQ(taker.taken.size(), 40u);
  EXPECT_EQ(counters.accepted.read(), 40u);
}

TEST_F(ListenerTest, PausesWhenFullAndGoesOnWhenRoomIsMade) {
  taker.most = 2;
  ASSERT_TRUE(listener->start());
  connect(5);
  loop.turn_now(3);
  EXPECT_TRUE(listener->paused());
  EXPECT_EQ(taker.taken.size(), 2u);
  EXPECT_EQ(counters.connections_max_hit.read(), 1u) << "once per pause, not per turn";
  taker.taken.pop_back();
  listener->resume();
  EXPECT_FALSE(listener->paused());
  loop.turn_now(2);
  EXPECT_EQ(taker.taken.size(), 2u);
  EXPECT_TRUE(listener->paused()) << "and is full again";
  EXPECT_EQ(counters.connections_max_hit.read(), 2u);
  taker.most = 100;
  listener->resume();
  loop.turn_now(2);
  EXPECT_EQ(taker.taken.size(), 4u);
  EXPECT_EQ(counters.accepted.read(), 5u);
}

TEST_F(ListenerTest, ResumingTwiceIsHarmless) {
  ASSERT_TRUE(listener->start());
  listener->resume();
  taker.most = 0;
  connect(1);
  loop.turn_now();
  listener->resume();
  listener->resume();
  taker.most = 1;
  loop.turn_now();
  EXPECT_EQ(taker.taken.size(), 1u);
}

// While it pauses the loop sleeps, although connections wait; it looks again every 100 ms by
// itself, because another worker may have made room.
TEST_F(ListenerTest, APauseDoesNotSpinAndEndsByItself) {
  taker.most = 1;
  ASSERT_TRUE(listener->start());
  connect(3);
  loop.turn_now(2);
  ASSERT_TRUE(listener->paused());
  const int asked = taker.asked;
  EXPECT_LE(turns_within(350), 40u);
  EXPECT_LE(taker.asked, asked + 10);
  taker.most = 3;
  ASSERT_TRUE(os::test::eventually([&] {
    loop.turn();
    return taker.taken.size() == 3;
  }));
}

TEST_F(ListenerTest, DrainTakesTheWholeQueueThenCloses) {
  ASSERT_TRUE(listener->start());
  connect(100);
  listener->drain_and_close();
  EXPECT_EQ(taker.taken.size(), 100u) << "closing resets whoever is left in the queue";
  EXPECT_TRUE(listener->retired());
  EXPECT_EQ(loop.watched(), 0u);
  const os::SocketResult late = os::connect_to(loopback(port));
  EXPECT_TRUE(late.status == os::IoStatus::refused ||
              os::connect_outcome(late.fd) == os::IoStatus::refused);
}

TEST_F(ListenerTest, DrainWaitsForTheFirstClientToo) {
  ASSERT_TRUE(listener->start());
  listener->drain();
  EXPECT_FALSE(listener->retired()) << "its handshake may have begun";
  ASSERT_TRUE(os::test::eventually([&] {
    loop.turn_now(1);
    return listener->retired();
  }));
}

// A handshake that has begun may complete in the next moment; another must not begin.
TEST_F(ListenerTest, DrainWaitsALittleWhereClientsCome) {
  ASSERT_TRUE(listener->start());
  connect(1);
  ASSERT_TRUE(os::test::eventually([&] {
    loop.turn_now(1);
    return taker.taken.size() == 1;
  }));
  connect(2);
  listener->drain();
  EXPECT_FALSE(listener->retired());
  const os::SocketResult late = os::connect_to(loopback(port));
  EXPECT_EQ(late.status, os::IoStatus::again);
  ASSERT_TRUE(os::test::eventually([&] {
    loop.turn_now(1);
    return listener->retired();
  }));
  EXPECT_EQ(taker.taken.size(), 3u);
  EXPECT_EQ(loop.watched(), 0u);
}

TEST_F(ListenerTest, WhoeverFreesADescriptorIsGivenTheNextClient) {
  taker.gives_up_one = true;
  ASSERT_TRUE(listener->start());
  connect(5);
  EXPECT_TRUE(in_child([&] {
    if (!leave_free_descriptors(2)) return false;
    loop.turn_now(10);
    return !listener->paused() && taker.taken.size() == 2 && taker.exhausted == 3 &&
           counters.accepted.read() == 5 && counters.descriptors_exhausted.read() == 0;
  }));
}

TEST_F(ListenerTest, DrainWithoutEverStarting) {
  connect(2);
  listener->drain_and_close();
  EXPECT_EQ(taker.taken.size(), 2u);
}

TEST_F(ListenerTest, WhatIsClosedWhilePausedIsNotResumed) {
  taker.most = 1;
  ASSERT_TRUE(listener->start());
  connect(2);
  loop.turn_now(2);
  ASSERT_TRUE(listener->paused());
  listener->drain_and_close();
  taker.taken.clear();
  listener->resume();
  loop.turn_now(2);
  EXPECT_EQ(taker.taken.size(), 0u);
  EXPECT_EQ(loop.watched(), 0u);
}

TEST_F(ListenerTest, SharedSocketsAreAcceptedFromByEachLoop) {
  os::test::TemporaryDirectory directory;
  const os::Address address = *os::Address::unix_path(directory.at("s"));
  os::SocketResult first = os::listen_on(address, os::Share::first, 16);
  os::SocketResult second = os::duplicate(first.fd);
  loop::test::DrivenLoop other_loop;
  Taker other_taker;
  Listener one(loop, taker, counters, std::move(first.fd), true);
  Listener two(other_loop, other_taker, counters, std::move(second.fd), true);
  ASSERT_TRUE(one.start() && two.start());
  std::vector<os::Fd> callers;
  for (int i = 0; i < 2; ++i) callers.push_back(os::connect_to(address).fd);
  loop.turn_now();
  EXPECT_EQ(taker.taken.size(), 2u);
  callers.push_back(os::connect_to(address).fd);
  other_loop.turn_now();
  EXPECT_EQ(other_taker.taken.size(), 1u);
  EXPECT_EQ(other_taker.peers[0].family, os::Peer::Family::none);
  loop.retire(one);
  loop.reap_retired();
  other_loop.retire(two);
  other_loop.reap_retired();
}

// In a process of its own, because the limit holds for all of it. The clients are connected before.
TEST_F(ListenerTest, WithoutDescriptorsItPausesCountsOnceAndRecovers) {
  ASSERT_TRUE(listener->start());
  connect(5);
  EXPECT_TRUE(in_child([&] {
    if (!leave_free_descriptors(2)) return false;
    loop.turn_now(10);
    if (taker.taken.size() != 2 || !listener->paused() || taker.exhausted != 1) return false;
    if (counters.descriptors_exhausted.read() != 1) return false;
    if (turns_within(150) > 30) return false;  // Told of a full queue, it would spin.
    taker.taken.clear();
    taker.most = 2;
    return os::test::eventually([&] {
      loop.turn();
      return taker.taken.size() == 2;
    });
  }));
}

}  // namespace
}  // namespace weir::net
