// The three trigger modes must look the same from above: everything arrives, and nothing spins.
#include "loop/poller.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "probe.h"

namespace weir::loop {
namespace {

using os::test::Pair;
using os::test::wait_delivered;
using test::DrivenLoop;
using test::Probe;

std::string name_of(Trigger trigger) {
  switch (trigger) {
    case Trigger::edge: return "edge";
    case Trigger::level: return "level";
    case Trigger::oneshot: return "oneshot";
  }
  return "";
}

// One bounded step per run, as every source above the loop does it.
class Stepping : public testing::TestWithParam<Trigger> {
 protected:
  void SetUp() override {
    near.on_run = [this] {
      if (!paused) read_step();
      if (!unsent.empty()) send_step();
    };
    ASSERT_TRUE(loop.watch(near));
    ASSERT_TRUE(loop.turn_until([this] { return near.runs > 0; }));
    near.runs = 0;
  }
  void TearDown() override {
    if (near.watched()) loop.unwatch(near);
  }

  void read_step() {
    if (!near.ready.may_receive() || ended) return;
    char data[512];
    const os::IoResult result = os::receive(near.fd, data, sizeof data);
    near.ready.after_receive(result, sizeof data);
    received.append(data, result.bytes);
    ended = result.status == os::IoStatus::end || result.status == os::IoStatus::reset;
    loop.rearm(near);
    if (near.ready.may_receive() && !ended) loop.schedule(near);
  }
  void send_step() {
    if (!near.ready.may_send()) return;
    const std::string_view piece = std::string_view(unsent).substr(0, 65'536);
    const os::IoResult result = os::send(near.fd, piece);
    near.ready.after_send(result, piece.size());
    unsent.erase(0, result.bytes);
    loop.rearm(near);
    if (near.ready.may_send() && !unsent.empty()) loop.schedule(near);
  }
  void deliver(std::string_view data) {
    ASSERT_EQ(os::send(pair.far, data).bytes, data.size());
    ASSERT_TRUE(wait_delivered(pair.far));
  }
  void resume() {
    paused = false;
    loop.schedule(near);
  }

  DrivenLoop loop{GetParam()};
  Pair pair = os::test::tcp_pair();
  Probe near{std::move(pair.near)};
  std::string received;
  std::string unsent;
  bool paused = false;
  bool ended = false;
};

TEST_P(Stepping, EverythingArrivesThenTheEnd) {
  EXPECT_EQ(loop.trigger(), GetParam());
  std::string sent;
  for (std::size_t size : {1u, 511u, 512u, 513u, 5000u, 3u}) {
    const std::string data(size, static_cast<char>('a' + size % 26));
    sent += data;
    deliver(data);
    EXPECT_TRUE(loop.turn_until([&] { return received.size() == sent.size(); })) << size;
  }
  deliver("last");
  os::shutdown_send(pair.far);
  EXPECT_TRUE(loop.turn_until([&] { return ended; }));
  EXPECT_EQ(received, sent + "last");
}

TEST_P(Stepping, APausedReaderDoesNotSpinAndMissesNothing) {
  paused = true;
  deliver(std::string(2000, 'p'));
  loop.turn_now(100);
  EXPECT_LE(near.runs, 2);
  deliver("more");  // An edge, or silence; no storm in either case.
  loop.turn_now(100);
  EXPECT_LE(near.runs, 3);
  resume();
  EXPECT_TRUE(loop.turn_until([&] { return received.size() == 2004; }));
  deliver("after the pause");
  EXPECT_TRUE(loop.turn_until([&] { return received.size() == 2019; }));
}

TEST_P(Stepping, AFinDoesNotMakeAPausedReaderSpin) {
  paused = true;
  deliver("data");
  os::shutdown_send(pair.far);
  ASSERT_TRUE(wait_delivered(pair.far));
  loop.turn_now(100);
  EXPECT_LE(near.runs, 3);
  resume();
  EXPECT_TRUE(loop.turn_until([&] { return ended; }));
  EXPECT_EQ(received, "data");
}

TEST_P(Stepping, ABrokenConnectionDoesNotMakeAPausedReaderSpin) {
  paused = true;
  deliver("data");
  os::close_with_reset(pair.far);
  pair.far.reset();
  ASSERT_TRUE(loop.turn_until([&] { return near.ready.error(); }));
  loop.turn_now(100);
  EXPECT_LE(near.runs, 4);
  resume();
  EXPECT_TRUE(loop.turn_until([&] { return ended; }));
}

TEST_P(Stepping, APartialSendIsResumedWhenThePeerReads) {
  unsent.assign(16 << 20, 's');
  loop.schedule(near);
  ASSERT_TRUE(loop.turn_until([&] { return !near.ready.may_send(); }));
  near.runs = 0;
  loop.turn_now(100);
  EXPECT_LE(near.runs, 1);  // Nobody reads: no spinning.
  std::size_t total = 0;
  char data[65'536];
  EXPECT_TRUE(loop.turn_until([&] {
    const os::IoResult result = os::receive(pair.far, data, sizeof data);
    total += result.bytes;
    return total == 16 << 20;
  }));
  EXPECT_TRUE(unsent.empty());
}

INSTANTIATE_TEST_SUITE_P(Trigger, Stepping,
                         testing::Values(Trigger::edge, Trigger::level, Trigger::oneshot),
                         [](const auto& parameter) { return name_of(parameter.param); });

// Edge mode: one ADD and never a MOD, whatever the latches do.
TEST(Poller, EdgeModeInstallsEverythingOnceAndNeverChangesIt) {
  Poller poller(Trigger::edge);
  const Pair pair = os::test::tcp_pair();
  std::uint8_t installed = 0;
  ASSERT_TRUE(poller.add(pair.near, Handle::make(1, 2, 3), os::kReadable, installed));
  EXPECT_EQ(installed, Poller::kSocketBits);
  poller.fired(installed);
  poller.rearm(pair.near, Handle{}, os::kReadable, installed);
  EXPECT_EQ(installed, Poller::kSocketBits);
  os::Event events[4];
  ASSERT_EQ(poller.wait(events, 10'000), 1u);
  EXPECT_EQ(events[0].data, Handle::make(1, 2, 3).raw);  // Not the handle of the rearm.
}

TEST(Poller, TheOtherModesInstallWhatIsNotLatched) {
  for (const Trigger trigger : {Trigger::level, Trigger::oneshot}) {
    Poller poller(trigger);
    const Pair pair = os::test::tcp_pair();
    std::uint8_t installed = 0;
    ASSERT_TRUE(poller.add(pair.near, Handle::make(1, 2, 3), os::kWritable, installed));
    EXPECT_EQ(installed, Poller::kSocketBits & ~os::kWritable);
    os::Event events[4];
    EXPECT_EQ(poller.wait(events, 0), 0u);
    poller.rearm(pair.near, Handle::make(1, 2, 3), 0, installed);
    EXPECT_EQ(poller.wait(events, 10'000), 1u);
    poller.fired(installed);
    EXPECT_EQ(installed, trigger == Trigger::oneshot ? 0 : Poller::kSocketBits);
    EXPECT_EQ(poller.wait(events, 0), trigger == Trigger::oneshot ? 0u : 1u);
  }
}

}  // namespace
}  // namespace weir::loop
