#include "loop/loop.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "probe.h"

namespace weir::loop {
namespace {

using os::test::Pair;
using os::test::wait_delivered;
using test::DrivenLoop;
using test::Probe;

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

class LoopTest : public testing::Test {
 protected:
  // Watches `probe` and lets its first event, which every new socket has, pass by.
  void watch_settled(Probe& probe) {
    ASSERT_TRUE(loop.watch(probe));
    ASSERT_TRUE(loop.turn_until([&] { return probe.runs > 0; }));
    probe.runs = 0;
  }
  static void deliver(const os::Fd& far, std::string_view data) {
    ASSERT_EQ(os::send(far, data).bytes, data.size());
    ASSERT_TRUE(wait_delivered(far));
  }

  DrivenLoop loop;
  Pair pair = os::test::tcp_pair();
};

// --- watch, unwatch ------------------------------------------------------------------------------

TEST_F(LoopTest, AnEventSetsTheLatchesAndRunsTheSourceOnce) {
  Probe probe(std::move(pair.near));
  watch_settled(probe);
  EXPECT_EQ(probe.ready.bits(), os::kWritable);
  deliver(pair.far, "data");
  loop.turn_now(10);
  EXPECT_EQ(probe.runs, 1);  // Not read, and yet not told again.
  EXPECT_EQ(probe.ready.bits(), os::kReadable | os::kWritable);
  EXPECT_EQ(loop.watched(), 1u);
  loop.unwatch(probe);
}

TEST_F(LoopTest, ARefusedWatchLeavesTheSourceAsItWas) {
  Probe probe(os::Fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));  // Not a socket.
  EXPECT_FALSE(loop.watch(probe));
  EXPECT_FALSE(probe.watched());
  EXPECT_FALSE(loop.watch_level(probe));
  EXPECT_FALSE(probe.watched());
  EXPECT_EQ(loop.watched(), 0u);
  probe.fd = std::move(pair.near);
  watch_settled(probe);
  loop.unwatch(probe);
}

TEST_F(LoopTest, WatchedLateItIsToldOfWhatCameBefore) {
  Probe probe(std::move(pair.near));
  ASSERT_TRUE(loop.watch_late(probe));
  ASSERT_TRUE(loop.watch_late(probe));
  EXPECT_FALSE(probe.watched());
  deliver(pair.far, "data");
  loop.turn();  // Would sleep, if it had not this to do.
  EXPECT_TRUE(probe.watched());
  loop.turn();
  EXPECT_EQ(probe.runs, 1);
  EXPECT_TRUE(probe.ready.may_receive());
  loop.unwatch(probe);
  EXPECT_EQ(loop.watched(), 0u);
}

// Each turn has an event of somebody else's.
TEST_F(LoopTest, ABusyLoopWatchesLateOnesInTheEnd) {
  Pair other = os::test::tcp_pair();
  Probe busy(std::move(other.near));
  ASSERT_TRUE(loop.watch_level(busy));
  deliver(other.far, "data");
  std::deque<Probe> probes;
  probes.emplace_back(std::move(pair.near));
  ASSERT_TRUE(loop.watch_late(probes.front()));
  const std::uint64_t before_ms = loop.now_ms();
  ASSERT_TRUE(loop.turn_until([&] { return probes.front().watched(); }));
  EXPECT_GT(loop.now_ms(), before_ms);
  EXPECT_GT(busy.runs, 1);
  loop.unwatch(probes.front());
  loop.unwatch(busy);
}

TEST_F(LoopTest, WhatEndsBeforeItIsWatchedNeverIs) {
  Probe probe(std::move(pair.near));
  ASSERT_TRUE(loop.watch_late(probe));
  loop.retire(probe);
  EXPECT_EQ(loop.watched(), 0u);
  loop.turn();
  loop.turn_now();
  EXPECT_EQ(probe.reaps, 1);
  EXPECT_EQ(probe.runs, 0);
}

TEST_F(LoopTest, BeyondSoManyLateIsAtOnce) {
  std::deque<Probe> probes;
  while (probes.empty() || !probes.back().watched()) {
    ASSERT_LT(probes.size(), 1'000u);
    probes.emplace_back(os::Fd(::dup(pair.near.get())));
    ASSERT_TRUE(loop.watch_late(probes.back()));
  }
  EXPECT_EQ(probes.size(), 257u);
  EXPECT_TRUE(loop.turn_until([&] { return std::ranges::all_of(probes, &Probe::watched); }));
  for (Probe& probe : probes) loop.unwatch(probe);
}

TEST_F(LoopTest, ALateOneThatCannotBeWatchedIsToldSo) {
  Probe probe(os::Fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
  ASSERT_TRUE(loop.watch_late(probe));
  EXPECT_EQ(probe.watches_failed, 0);
  loop.turn();
  EXPECT_EQ(probe.watches_failed, 1);
  EXPECT_EQ(probe.runs, 0);  // Nothing is said of the socket.
  EXPECT_FALSE(probe.ready.error());
  EXPECT_EQ(loop.watched(), 0u);
}

TEST_F(LoopTest, WhereLateIsAtOnceSoIsTheRefusal) {
  std::deque<Probe> probes;
  while (probes.empty() || !probes.back().watched()) {
    ASSERT_LT(probes.size(), 1'000u);
    probes.emplace_back(os::Fd(::dup(pair.near.get())));
    ASSERT_TRUE(loop.watch_late(probes.back()));
  }
  Probe probe(os::Fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
  EXPECT_FALSE(loop.watch_late(probe));
  EXPECT_FALSE(probe.watched());
  EXPECT_EQ(probe.watches_failed, 0);
  for (Probe& other : probes) loop.unwatch(other);
}

TEST_F(LoopTest, UnwatchedMeansSilentAndOffTheRunQueue) {
  Probe probe(std::move(pair.near));
  watch_settled(probe);
  loop.schedule(probe);
  loop.unwatch(probe);
  EXPECT_FALSE(probe.watched());
  EXPECT_FALSE(probe.queued());
  deliver(pair.far, "data");
  loop.turn_now(3);
  EXPECT_EQ(probe.runs, 0);
  EXPECT_EQ(loop.watched(), 0u);
  EXPECT_TRUE(probe.fd.valid());
  loop.unwatch(probe);  // Harmless.
}

TEST_F(LoopTest, WatchedAgainTellsWhatIsThereAlready) {
  Probe probe(std::move(pair.near));
  watch_settled(probe);
  loop.unwatch(probe);
  deliver(pair.far, "data");
  probe.ready.reset(0);
  ASSERT_TRUE(loop.watch(probe));
  EXPECT_TRUE(loop.turn_until([&] { return probe.ready.may_receive(); }));
  EXPECT_EQ(probe.runs, 1);
  loop.unwatch(probe);
}

TEST_F(LoopTest, ALevelSourceIsToldUntilItIsServed) {
  Probe listener;
  listener.fd = std::move(os::listen_on(os::test::loopback(0), os::Share::first, 8).fd);
  const os::Address address = os::test::loopback(os::local_name(listener.fd).port);
  ASSERT_TRUE(loop.watch_level(listener));
  loop.turn_now(3);
  EXPECT_EQ(listener.runs, 0);
  const os::SocketResult client = os::connect_to(address);
  ASSERT_TRUE(loop.turn_until([&] { return listener.runs > 0; }));
  loop.turn_now(5);
  EXPECT_EQ(listener.runs, 6);
  os::Peer peer;
  EXPECT_EQ(os::accept_from(listener.fd, peer).status, os::IoStatus::done);
  loop.turn_now(5);
  EXPECT_EQ(listener.runs, 6);
  loop.unwatch(listener);
}

TEST_F(LoopTest, AnExclusiveSourceIsServedByOneOfTwoLoops) {
  DrivenLoop second;
  Probe mine;
  Probe theirs;
  mine.fd = std::move(os::listen_on(os::test::loopback(0), os::Share::first, 8).fd);
  theirs.fd = std::move(os::duplicate(mine.fd).fd);
  ASSERT_TRUE(loop.watch_level(mine, true));
  ASSERT_TRUE(second.watch_level(theirs, true));
  const os::Address address = os::test::loopback(os::local_name(mine.fd).port);
  const os::SocketResult client = os::connect_to(address);
  EXPECT_TRUE(os::test::eventually([&] {
    loop.turn_now();
    second.turn_now();
    return mine.runs + theirs.runs > 0;
  }));
  loop.unwatch(mine);
  second.unwatch(theirs);
}

// --- retire, reap --------------------------------------------------------------------------------

TEST_F(LoopTest, RetireClosesAtOnceAndReapsAtTheEndOfTheTurn) {
  Probe probe(std::move(pair.near));
  watch_settled(probe);
  const int number = probe.fd.get();
  Probe other;
  other.on_run = [&] {
    loop.retire(probe);
    EXPECT_TRUE(probe.retired());
    EXPECT_FALSE(is_open(number));
    EXPECT_EQ(probe.deadline_ms(), Timer::kNever);
    EXPECT_EQ(probe.reaps, 0);
  };
  loop.schedule(other);
  loop.schedule(probe);  // Behind the one that retires it.
  loop.set_deadline(probe, loop.now_ms() + 1);
  loop.turn();
  EXPECT_EQ(probe.reaps, 1);
  EXPECT_EQ(probe.runs, 0);
  EXPECT_EQ(probe.expiries, 0);
  EXPECT_EQ(loop.watched(), 0u);
  loop.turn_now(3);
  EXPECT_EQ(probe.reaps, 1);
}

TEST_F(LoopTest, ASourceMayRetireItselfWhileItRunsOrExpires) {
  Probe running;
  running.on_run = [&] { loop.retire(running); };
  loop.schedule(running);
  Probe expiring;
  expiring.on_expire = [&] { loop.retire(expiring); };
  loop.set_deadline(expiring, 0);
  ASSERT_TRUE(loop.turn_until([&] { return expiring.reaps == 1; }));
  EXPECT_EQ(running.reaps, 1);
}

TEST_F(LoopTest, ARetiredSourceIsNotQueuedAgain) {
  Probe probe;
  loop.retire(probe);
  loop.schedule(probe);
  loop.turn();  // Does not block: something is to be reaped.
  EXPECT_EQ(probe.runs, 0);
  EXPECT_EQ(probe.reaps, 1);
}

TEST_F(LoopTest, ReapMayRetireAnother) {
  Probe first;
  Probe second;
  first.on_reap = [&] { loop.retire(second); };
  loop.retire(first);
  loop.turn();
  EXPECT_EQ(second.reaps, 1);
}

TEST_F(LoopTest, AnOwnerThatEndsBetweenTwoTurnsReapsByItself) {
  Probe probe;
  loop.retire(probe);
  EXPECT_EQ(probe.reaps, 0);
  loop.reap_retired();
  EXPECT_EQ(probe.reaps, 1);
}

// --- Stale events --------------------------------------------------------------------------------

// A duplicate keeps the closed socket in the kernel's interest list, so that its events go on. The
// next source gets the same index, and the same descriptor number.
TEST_F(LoopTest, EventsOfAClosedDescriptorAreCountedAndReachNobodyElse) {
  auto old_source = std::make_unique<Probe>(std::move(pair.near));
  watch_settled(*old_source);
  const os::SocketResult duplicate = os::duplicate(old_source->fd);
  const int number = old_source->fd.get();
  loop.retire(*old_source);
  loop.turn_now();
  old_source.reset();

  Pair reopened = os::test::unix_pair();
  EXPECT_EQ(reopened.near.get(), number);
  Probe successor(std::move(reopened.near));
  watch_settled(successor);
  const std::uint8_t latches = successor.ready.bits();
  deliver(pair.far, "for the one that is gone");
  EXPECT_TRUE(loop.turn_until([&] { return loop.counters().stale_events.read() == 1; }));
  EXPECT_EQ(successor.runs, 0);
  EXPECT_EQ(successor.ready.bits(), latches);
  loop.unwatch(successor);
}

// A listener shared with other loops is closed here and lives on there.
TEST_F(LoopTest, ARetiredListenerWithADuplicateIsNotToldForEver) {
  Probe listener;
  listener.fd = std::move(os::listen_on(os::test::loopback(0), os::Share::first, 8).fd);
  const os::Address address = os::test::loopback(os::bound_port(listener.fd));
  const os::SocketResult duplicate = os::duplicate(listener.fd);
  ASSERT_TRUE(loop.watch_level(listener, true));
  loop.retire(listener);
  const os::SocketResult client = os::connect_to(address);
  ASSERT_TRUE(os::test::wait_for(duplicate.fd, POLLIN));
  loop.turn_now(50);
  EXPECT_EQ(loop.counters().stale_events.read(), 0u);
}

// --- The run queue -------------------------------------------------------------------------------

TEST_F(LoopTest, ScheduledOnceHoweverOften) {
  Probe probe;
  for (int i = 0; i < 3; ++i) loop.schedule(probe);
  loop.schedule(probe, RunClass::bulk);
  loop.turn();
  EXPECT_EQ(probe.runs, 1);
}

TEST_F(LoopTest, WhatIsScheduledWhileRunningRunsInTheNextTurn) {
  Probe again;
  again.on_run = [&] { loop.schedule(again); };
  loop.schedule(again);
  for (int turn = 1; turn <= 5; ++turn) {
    loop.turn();  // Never blocks: it is runnable.
    EXPECT_EQ(again.runs, turn);
  }
  EXPECT_EQ(loop.counters().steps.read(), 5u);
  EXPECT_EQ(loop.counters().turns.read(), 5u);
}

TEST_F(LoopTest, RunsInTheOrderOfScheduling) {
  std::string order;
  Probe a, b, c;
  a.on_run = [&] { order += 'a'; };
  b.on_run = [&] { order += 'b'; };
  c.on_run = [&] { order += 'c'; };
  loop.schedule(b, RunClass::bulk);
  loop.schedule(c);
  loop.schedule(a);
  loop.turn();
  EXPECT_EQ(order, "cab");  // Interactive ones first.
}

// Sources that always want more.
class Greedy {
 public:
  Greedy(DrivenLoop& loop, RunClass run_class, int count) {
    for (int i = 0; i < count; ++i) {
      Probe& probe = probes_.emplace_back();
      probe.on_run = [&loop, &probe, run_class] { loop.schedule(probe, run_class); };
      loop.schedule(probe, run_class);
    }
  }
  [[nodiscard]] std::vector<int> runs() const {
    std::vector<int> all;
    for (const Probe& probe : probes_) all.push_back(probe.runs);
    return all;
  }

 private:
  std::deque<Probe> probes_;
};

TEST_F(LoopTest, InteractiveSourcesDoNotStarveBulk) {
  const Greedy interactive(loop, RunClass::interactive, 50);
  const Greedy bulk(loop, RunClass::bulk, 4);
  for (int i = 0; i < 100; ++i) loop.turn();
  EXPECT_THAT(interactive.runs(), testing::Each(100));
  EXPECT_THAT(bulk.runs(), testing::Each(50));  // Two steps a turn, shared evenly.
}

TEST_F(LoopTest, BulkSourcesDoNotHoldUpInteractive) {
  const Greedy bulk(loop, RunClass::bulk, 1000);
  Probe probe(std::move(pair.near));
  watch_settled(probe);
  deliver(pair.far, "data");
  const std::uint64_t steps = loop.counters().steps.read();
  loop.turn();
  EXPECT_EQ(probe.runs, 1);
  EXPECT_LE(loop.counters().steps.read() - steps, 3u);
  loop.unwatch(probe);
}

TEST_F(LoopTest, ASourceKeepsItsClassWhenAnEventWakesIt) {
  Probe probe(std::move(pair.near));
  watch_settled(probe);
  loop.schedule(probe, RunClass::bulk);
  loop.turn();
  const Greedy bulk(loop, RunClass::bulk, 10);
  probe.runs = 0;
  deliver(pair.far, "data");
  loop.turn();
  EXPECT_EQ(probe.runs, 0);  // Behind ten others, two a turn.
  for (int i = 0; i < 5; ++i) loop.turn();
  EXPECT_EQ(probe.runs, 1);
  loop.unwatch(probe);
}

TEST_F(LoopTest, RedirectedEventsRunTheTarget) {
  Probe probe(std::move(pair.near));
  Probe target;
  watch_settled(probe);
  loop.redirect(probe, &target);
  deliver(pair.far, "data");
  ASSERT_TRUE(loop.turn_until([&] { return target.runs == 1; }));
  EXPECT_EQ(probe.runs, 0);
  EXPECT_TRUE(probe.ready.may_receive());  // The latch is the socket's own.
  EXPECT_FALSE(target.ready.may_receive());
  loop.redirect(probe, nullptr);
  deliver(pair.far, "more");
  ASSERT_TRUE(loop.turn_until([&] { return probe.runs == 1; }));
  EXPECT_EQ(target.runs, 1);
  loop.unwatch(probe);
}

// --- Deadlines and waiting -----------------------------------------------------------------------

TEST_F(LoopTest, ADeadlineEndsTheWaitAndIsNeverEarly) {
  Probe probe;
  const std::uint64_t deadline_ms = loop.now_ms() + 20;
  std::uint64_t expired_ms = 0;
  probe.on_expire = [&] { expired_ms = loop.now_ms(); };
  loop.set_deadline(probe, deadline_ms);
  int turns = 0;
  for (; probe.expiries == 0; ++turns) loop.turn();
  EXPECT_GE(expired_ms, deadline_ms);
  EXPECT_LE(turns, 5);  // It slept.
}

TEST_F(LoopTest, ACancelledOrMovedDeadlineDoesNotExpire) {
  Probe cancelled, moved, marker;
  loop.set_deadline(cancelled, loop.now_ms() + 5);
  loop.set_deadline(moved, loop.now_ms() + 5);
  loop.set_deadline(marker, loop.now_ms() + 20);
  loop.cancel_deadline(cancelled);
  loop.set_deadline(moved, loop.now_ms() + 3'600'000);
  while (marker.expiries == 0) loop.turn();
  EXPECT_EQ(cancelled.expiries, 0);
  EXPECT_EQ(moved.expiries, 0);
}

TEST_F(LoopTest, ADeadlineMaySetItselfAgain) {
  Probe probe;
  probe.on_expire = [&] {
    if (probe.expiries < 5) loop.set_deadline(probe, loop.now_ms() + 1);
  };
  loop.set_deadline(probe, loop.now_ms());
  while (probe.expiries < 5) loop.turn();
  EXPECT_EQ(probe.deadline_ms(), Timer::kNever);
}

TEST_F(LoopTest, AMassExpiryIsSpreadOverTurnsAndDoesNotBlock) {
  std::deque<Probe> probes(1000);
  for (Probe& probe : probes) loop.set_deadline(probe, loop.now_ms() + 1);
  const auto expired = [&] {
    return std::count_if(probes.begin(), probes.end(), [](Probe& p) { return p.expiries == 1; });
  };
  while (expired() == 0) loop.turn();
  EXPECT_LT(expired(), 1000);
  for (int i = 0; i < 3; ++i) loop.turn();
  EXPECT_EQ(expired(), 1000);
}

TEST_F(LoopTest, WaitDoesNotBlockWhileABulkSourceIsRunnable) {
  const Greedy bulk(loop, RunClass::bulk, 1);
  for (int i = 0; i < 10; ++i) loop.turn();
  EXPECT_THAT(bulk.runs(), testing::Each(testing::Ge(10)));
}

TEST_F(LoopTest, TheClockIsReadOncePerTurnAndNeverGoesBack) {
  std::uint64_t last_ns = loop.now_ns();
  for (int i = 0; i < 100; ++i) {
    loop.turn_now();
    EXPECT_GE(loop.now_ns(), last_ns);
    EXPECT_EQ(loop.now_ms(), loop.now_ns() / 1'000'000);
    last_ns = loop.now_ns();
  }
}

}  // namespace
}  // namespace weir::loop
