#include "upstream/server_pool.h"

#include <gtest/gtest.h>

#include <set>

#include "world.h"

namespace weir::upstream {
namespace {

using os::test::wait_delivered;
using State = ServerConnection::State;
using Link = test::World::Link;

class ServerPoolTest : public testing::Test {
 protected:
  ~ServerPoolTest() override {
    pool.retire();
    world.loop.reap_retired();
  }
  [[nodiscard]] std::uint64_t active() { return pool.counters().connections_active.read(); }
  [[nodiscard]] std::uint64_t idle() { return pool.counters().connections_idle.read(); }

  test::World world;
  std::unique_ptr<ServerState> state = world.server();
  ServerPool pool{*state, world.resources()};
};

TEST_F(ServerPoolTest, AFreshConnectionBecomesActive) {
  EXPECT_TRUE(pool.unused());
  const Link link = world.connect(pool);
  EXPECT_EQ(link.near->state(), State::active);
  EXPECT_EQ(link.near->requests(), 0u);
  EXPECT_EQ(&link.near->server(), &pool);
  EXPECT_EQ(pool.counters().connects.read(), 1u);
  EXPECT_EQ(active(), 1u);
  EXPECT_FALSE(pool.unused());
  pool.close(*link.near);
  EXPECT_EQ(active(), 0u);
  EXPECT_FALSE(pool.unused()) << "until it is reaped";
  world.loop.turn_now();
  EXPECT_TRUE(pool.unused());
  EXPECT_EQ(world.connections.live(), 0u);
}

TEST_F(ServerPoolTest, AnEmptyPoolHasNothingToTake) {
  EXPECT_EQ(pool.take_idle(nullptr, false), nullptr);
}

TEST_F(ServerPoolTest, TheOneUsedLastIsTakenFirst) {
  const std::vector<Link> links = world.idle(pool, 3);
  EXPECT_EQ(idle(), 3u);
  EXPECT_EQ(active(), 0u);
  for (std::size_t i = 3; i-- > 0;) {
    ServerConnection* taken = pool.take_idle(nullptr, false);
    EXPECT_EQ(taken, links[i].near);
    EXPECT_EQ(taken->state(), State::active);
    EXPECT_EQ(taken->requests(), 1u);
    EXPECT_EQ(taken->deadline_ms(), loop::Timer::kNever) << "the user's deadline runs now";
  }
  EXPECT_EQ(pool.take_idle(nullptr, false), nullptr);
  EXPECT_EQ(pool.counters().reuses.read(), 3u);
  EXPECT_EQ(idle(), 0u);
  EXPECT_EQ(active(), 3u);
  for (const Link& link : links) pool.close(*link.near);
}

TEST_F(ServerPoolTest, AnIdleConnectionHoldsNoBuffer) {
  const Link link = world.connect(pool);
  ASSERT_TRUE(link.near->in.lease(world.buffers) && link.near->out.lease(world.buffers));
  pool.put_back(*link.near, 60'000);
  EXPECT_EQ(world.buffers.leased(), 0u);
  EXPECT_EQ(link.near->state(), State::idle);
}

TEST_F(ServerPoolTest, BytesOnAnIdleConnectionPoisonIt) {
  const std::vector<Link> links = world.idle(pool, 1);
  ASSERT_EQ(os::send(links[0].far, "HTTP/1.1 200 OK\r\n\r\n").bytes, 19u);
  ASSERT_TRUE(world.loop.turn_until([&] { return idle() == 0; }));
  EXPECT_EQ(pool.counters().idle_poisoned.read(), 1u);
  EXPECT_EQ(pool.take_idle(nullptr, false), nullptr);
  EXPECT_TRUE(pool.unused());
}

// A 408 page to an idle connection comes with its end, in one event.
TEST_F(ServerPoolTest, BytesAndTheEndAreBytes) {
  std::vector<Link> links = world.idle(pool, 1);
  ASSERT_EQ(os::send(links[0].far, "HTTP/1.1 408\r\n\r\n").bytes, 16u);
  links[0].far.reset();
  ASSERT_TRUE(world.loop.turn_until([&] { return idle() == 0; }));
  EXPECT_EQ(pool.counters().idle_poisoned.read(), 1u);
}

TEST_F(ServerPoolTest, BytesBehindTheAnswerPoisonBeforeTheConnectionIsIdle) {
  const Link read = world.connect(pool);
  ASSERT_EQ(os::send(read.far, "evil").bytes, 4u);
  ASSERT_TRUE(wait_delivered(read.far));
  ASSERT_EQ(read.near->fill().bytes, 4u);
  pool.put_back(*read.near, 60'000);
  EXPECT_EQ(pool.counters().idle_poisoned.read(), 1u);
  const Link unread = world.connect(pool);
  ASSERT_EQ(os::send(unread.far, "evil").bytes, 4u);
  ASSERT_TRUE(wait_delivered(unread.far));
  unread.near->ready.latch(os::kReadable);
  pool.put_back(*unread.near, 60'000);
  EXPECT_EQ(pool.counters().idle_poisoned.read(), 2u);
  EXPECT_EQ(idle(), 0u);
  EXPECT_EQ(active(), 0u);
}

TEST_F(ServerPoolTest, AnEndBehindTheAnswerIsNoPoison) {
  const Link link = world.connect(pool);
  os::shutdown_send(link.far);
  ASSERT_TRUE(wait_delivered(link.far));
  link.near->ready.latch(os::kReadable);
  pool.put_back(*link.near, 60'000);
  EXPECT_EQ(pool.counters().idle_poisoned.read(), 0u);
  EXPECT_EQ(idle(), 0u);
}

TEST_F(ServerPoolTest, AServerThatClosesAnIdleConnectionIsNoPoison) {
  std::vector<Link> links = world.idle(pool, 1);
  links[0].far.reset();
  ASSERT_TRUE(world.loop.turn_until([&] { return idle() == 0; }));
  EXPECT_EQ(pool.counters().idle_poisoned.read(), 0u);
}

// The event may still wait in epoll: with the latch set no dead connection is handed out.
TEST_F(ServerPoolTest, TheLatchIsTheCheckBeforeReuse) {
  const std::vector<Link> links = world.idle(pool, 2);
  links[1].near->ready.latch(os::kReadable);
  EXPECT_EQ(pool.take_idle(nullptr, false), links[0].near);
  EXPECT_EQ(idle(), 0u) << "the suspicious one is closed, not skipped";
  pool.close(*links[0].near);
}

// Between the server's close and our event there is a gap; `careful` asks the kernel.
TEST_F(ServerPoolTest, ACarefulTakeSeesWhatNoEventHasToldYet) {
  std::vector<Link> links = world.idle(pool, 3);
  os::shutdown_send(links[2].far);
  ASSERT_EQ(os::send(links[1].far, "x").bytes, 1u);
  ASSERT_TRUE(wait_delivered(links[2].far) && wait_delivered(links[1].far));
  EXPECT_EQ(pool.take_idle(nullptr, true), links[0].near);
  EXPECT_EQ(pool.counters().idle_poisoned.read(), 1u) << "an end is none";
  EXPECT_EQ(idle(), 0u);
  pool.close(*links[0].near);
}

TEST_F(ServerPoolTest, ACarelessTakeDoesNotAskTheKernel) {
  const std::vector<Link> links = world.idle(pool, 1);
  os::shutdown_send(links[0].far);
  ASSERT_TRUE(wait_delivered(links[0].far));
  EXPECT_EQ(pool.take_idle(nullptr, false), links[0].near);
  pool.close(*links[0].near);
}

TEST_F(ServerPoolTest, TheIdleTimeoutCloses) {
  const std::uint64_t before = world.loop.now_ms();
  const std::vector<Link> links = world.idle(pool, 2, 30);
  EXPECT_EQ(idle(), 2u);
  ASSERT_TRUE(world.loop.turn_until([&] { return idle() == 0; }));
  EXPECT_GE(world.loop.now_ms(), before + 30) << "never early";
  EXPECT_EQ(pool.counters().idle_poisoned.read(), 0u);
  world.loop.turn_now();
  EXPECT_TRUE(pool.unused());
}

TEST_F(ServerPoolTest, ATakenConnectionIsSafeFromItsIdleTimeout) {
  const std::vector<Link> links = world.idle(pool, 1, 20);
  ASSERT_EQ(pool.take_idle(nullptr, false), links[0].near);
  const std::uint64_t end = world.loop.now_ms() + 40;
  ASSERT_TRUE(world.loop.turn_until([&] { return world.loop.now_ms() >= end; }));
  EXPECT_EQ(links[0].near->state(), State::active);
  pool.put_back(*links[0].near, 60'000);
  EXPECT_EQ(idle(), 1u);
}

TEST_F(ServerPoolTest, OnlyAnExactEndIsKept) {
  Link left_over = world.connect(pool);
  ASSERT_TRUE(left_over.near->in.lease(world.buffers));
  left_over.near->in.append("bytes behind the answer");
  pool.put_back(*left_over.near, 60'000);
  EXPECT_EQ(idle(), 0u);

  Link unsent = world.connect(pool);
  ASSERT_TRUE(unsent.near->out.lease(world.buffers));
  unsent.near->out.append("half a request");
  pool.put_back(*unsent.near, 60'000);
  EXPECT_EQ(idle(), 0u);

  Link closing = world.connect(pool);
  os::shutdown_send(closing.far);
  ASSERT_TRUE(world.loop.turn_until([&] { return closing.near->ready.hangup(); }));
  pool.put_back(*closing.near, 60'000);
  EXPECT_EQ(idle(), 0u);

  pool.put_back(*world.connect(pool).near, 0);
  EXPECT_EQ(idle(), 0u) << "an idle time of 0 means: not at all";
  world.loop.turn_now();
  EXPECT_TRUE(pool.unused());
  EXPECT_EQ(world.buffers.leased(), 0u);
}

// The latch may be open at put_back although nothing is there: that alone is no reason to close.
TEST_F(ServerPoolTest, AnOpenLatchIsSettledWhenPuttingBack) {
  Link link = world.connect(pool);
  link.near->ready.latch(os::kReadable);
  pool.put_back(*link.near, 60'000);
  EXPECT_EQ(idle(), 1u);
  EXPECT_FALSE(link.near->ready.may_receive());

  Link talkative = world.connect(pool);
  ASSERT_EQ(os::send(talkative.far, "x").bytes, 1u);
  ASSERT_TRUE(wait_delivered(talkative.far));
  talkative.near->ready.latch(os::kReadable);
  pool.put_back(*talkative.near, 60'000);
  EXPECT_EQ(idle(), 1u);
}

TEST_F(ServerPoolTest, KeepsABoundedNumber) {
  const std::vector<Link> links = world.idle(pool, ServerPool::kIdleMax + 3);
  EXPECT_EQ(idle(), ServerPool::kIdleMax);
  EXPECT_EQ(pool.counters().idle_max_hit.read(), 3u);
  EXPECT_EQ(active(), 0u);
}

TEST_F(ServerPoolTest, ARetiredPoolKeepsNothingUntilItIsRevived) {
  const Link busy = world.connect(pool);
  const std::vector<Link> links = world.idle(pool, 2);
  pool.retire();
  EXPECT_EQ(idle(), 0u);
  EXPECT_EQ(active(), 1u) << "what works goes on";
  pool.put_back(*busy.near, 60'000);
  EXPECT_EQ(idle(), 0u);
  EXPECT_EQ(pool.counters().idle_max_hit.read(), 0u);
  world.loop.turn_now();
  EXPECT_TRUE(pool.unused());
  pool.revive();
  const std::vector<Link> again = world.idle(pool, 1);
  EXPECT_EQ(idle(), 1u);
}

TEST_F(ServerPoolTest, ARefusedConnectionTellsWhy) {
  world.stop_listening();
  const ServerPool::Connecting connecting = pool.connect(nullptr);
  os::IoStatus status = connecting.status;
  if (status == os::IoStatus::again) {
    ASSERT_TRUE(world.loop.turn_until([&] {
      status = pool.connect_finish(*connecting.connection);
      return status != os::IoStatus::again;
    }));
    EXPECT_EQ(connecting.connection->state(), State::connecting);
    pool.close(*connecting.connection);
  } else {
    EXPECT_EQ(connecting.connection, nullptr);
  }
  EXPECT_EQ(status, os::IoStatus::refused);
  EXPECT_EQ(active(), 0u);
  EXPECT_EQ(pool.counters().connects.read(), 1u);
}

TEST_F(ServerPoolTest, UnixSocketsConnectAtOnce) {
  os::test::TemporaryDirectory directory;
  const os::Address path = *os::Address::unix_path(directory.at("s"));
  const os::SocketResult listener = os::listen_on(path, os::Share::first, 4);
  ServerState local("app", "local", path, "unix:s", 1);
  ServerPool local_pool(local, world.resources());
  const ServerPool::Connecting connecting = local_pool.connect(nullptr);
  EXPECT_EQ(connecting.status, os::IoStatus::done);
  ASSERT_NE(connecting.connection, nullptr);
  EXPECT_EQ(connecting.connection->state(), State::active);
  EXPECT_TRUE(connecting.connection->ready.may_send());
  local_pool.close(*connecting.connection);
  world.loop.reap_retired();
}

// Events of a connection in use run its user; idle again, it looks after itself.
TEST_F(ServerPoolTest, EventsGoToTheUserWhileInUse) {
  loop::test::Probe user;
  Link link = world.connect(pool);
  world.loop.redirect(*link.near, &user);
  ASSERT_EQ(os::send(link.far, "answer").bytes, 6u);
  ASSERT_TRUE(world.loop.turn_until([&] { return user.runs > 0; }));
  EXPECT_EQ(link.near->state(), State::active);
  EXPECT_EQ(link.near->fill().bytes, 6u);
  link.near->in.clear();
  const int runs = user.runs;
  pool.put_back(*link.near, 60'000);
  link.far.reset();
  ASSERT_TRUE(world.loop.turn_until([&] { return idle() == 0; }));
  EXPECT_EQ(user.runs, runs);
}

TEST(ServerPoolDeathTest, MayNotDieBeforeItsConnections) {
  test::World world;
  const std::unique_ptr<ServerState> state = world.server();
  EXPECT_DEATH(
      {
        ServerPool pool(*state, world.resources());
        (void)world.connect(pool);
      },
      "destroyed with connections");
}

TEST(ServerConnection, EveryStateHasItsOwnName) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kServerConnectionNext.size(); ++i) {
    names.insert(to_string(static_cast<State>(i)));
  }
  EXPECT_EQ(names, (std::set<std::string>{"connecting", "active", "idle", "closed"}));
}

}  // namespace
}  // namespace weir::upstream
