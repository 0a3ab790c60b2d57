#include "health/active.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/prng.h"

namespace weir::health {
namespace {

using State = Active::State;
using Event = Active::Event;

constexpr std::uint64_t kNow = 1'000'000;
constexpr std::uint32_t kMiddle = 0x8000'0000;  // No jitter.
constexpr ActiveSettings kSettings{};

// Steps through "+-" and returns the verdicts as "?ud".
std::string verdicts(std::string_view results, const ActiveSettings& settings = kSettings) {
  Active active;
  std::string told;
  for (const char result : results) {
    active.step(result == '+' ? Event::passed : Event::failed, settings);
    told += to_string(active.state())[0];
  }
  return told;
}

TEST(Active, RiseAndFall) {
  EXPECT_EQ(Active().state(), State::unknown);
  EXPECT_EQ(verdicts("+"), "u");
  EXPECT_EQ(verdicts("-"), "d") << "the first result decides at once";
  EXPECT_EQ(verdicts("+--+---"), "uuuuuud") << "only failures in a row count";
  EXPECT_EQ(verdicts("-+-++"), "ddddu");
  EXPECT_EQ(verdicts("+---++---"), "uuudduuud");
  EXPECT_EQ(verdicts("+-+-", {.rise = 1, .fall = 1}), "udud");
  EXPECT_EQ(verdicts("+-+-", {.rise = 0, .fall = 0}), "udud") << "0 means 1";
}

TEST(Active, IsPressingWhileTheVerdictIsInDoubtOrBad) {
  Active active;
  EXPECT_FALSE(active.pressing());
  active.step(Event::passed, kSettings);
  EXPECT_FALSE(active.pressing());
  active.step(Event::failed, kSettings);
  EXPECT_TRUE(active.pressing());
  EXPECT_EQ(active.against(), 1U);
  active.step(Event::failed, kSettings);
  active.step(Event::failed, kSettings);
  EXPECT_EQ(active.state(), State::down);
  EXPECT_EQ(active.against(), 0U) << "decided";
  EXPECT_TRUE(active.pressing()) << "its cure is to be seen soon";
  active.step(Event::passed, kSettings);
  EXPECT_TRUE(active.pressing());
  active.step(Event::passed, kSettings);
  EXPECT_FALSE(active.pressing());
}

// Against a second way to say it: the verdict flips with the last `rise` or `fall` results equal.
TEST(Active, RandomResultsFlipOnlyAfterEnoughInARow) {
  Prng prng(3);
  for (int round = 0; round < 200; ++round) {
    const ActiveSettings settings{.rise = 1 + static_cast<std::uint32_t>(prng.bounded(5)),
                                  .fall = 1 + static_cast<std::uint32_t>(prng.bounded(5))};
    Active active;
    bool up = false;
    std::uint32_t in_a_row = 0;
    bool last = false;
    for (int i = 0; i < 200; ++i) {
      const bool passed = prng.bounded(2) == 0;
      in_a_row = passed == last ? in_a_row + 1 : 1;
      last = passed;
      if (i == 0) up = passed;
      if (passed != up && in_a_row >= (passed ? settings.rise : settings.fall)) up = passed;
      const State before = active.state();
      active.step(passed ? Event::passed : Event::failed, settings);
      ASSERT_EQ(active.state(), up ? State::up : State::down);
      if (active.state() != before) {
        ASSERT_TRUE(kActiveNext[static_cast<std::size_t>(before)]
                               [static_cast<std::size_t>(active.state())]);
      }
    }
  }
}

TEST(ProbeTimer, TheFirstOfAFewServersAreAskedSoon) {
  EXPECT_EQ(ProbeTimer(kNow, 0, 1, kSettings).next_probe_ms(), kNow);
  EXPECT_EQ(ProbeTimer(kNow, 2, 3, kSettings).next_probe_ms(), kNow + 20);
  EXPECT_EQ(ProbeTimer(kNow, 0, 0, kSettings).next_probe_ms(), kNow);
}

TEST(ProbeTimer, AThousandServersDoNotBurst) {
  constexpr std::uint32_t kServers = 1'000;
  std::map<std::uint64_t, int> per_tenth;
  for (std::uint32_t i = 0; i < kServers; ++i) {
    const std::uint64_t due = *ProbeTimer(kNow, i, kServers, kSettings).next_probe_ms();
    ASSERT_GE(due, kNow);
    ASSERT_LT(due, kNow + kSettings.interval_ms);
    ++per_tenth[(due - kNow) / 100];
  }
  for (const auto& [tenth, probes] : per_tenth) EXPECT_EQ(probes, 20) << tenth;
}

TEST(ProbeTimer, OneIsUnderWayAtATime) {
  ProbeTimer timer(kNow, 0, 1, kSettings);
  timer.started(kNow);
  EXPECT_EQ(timer.next_probe_ms(), std::nullopt);
  timer.hurry(kNow + 50);
  EXPECT_EQ(timer.next_probe_ms(), std::nullopt);
  timer.finished(kNow + 60, false, kMiddle, kSettings);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 200) << "asked for meanwhile, 200 ms after the last";
  timer.started(kNow + 200);
  timer.finished(kNow + 210, false, kMiddle, kSettings);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 5'200) << "asked for once";
}

TEST(ProbeTimer, IntervalsRunFromBeginningToBeginning) {
  ProbeTimer timer(kNow, 0, 1, kSettings);
  timer.started(kNow);
  timer.finished(kNow + 1'500, false, kMiddle, kSettings);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 5'000);
}

TEST(ProbeTimer, ASlowProbeIsFollowedByAPause) {
  ProbeTimer timer(kNow, 0, 1, kSettings);
  timer.started(kNow);
  timer.finished(kNow + 9'000, false, kMiddle, kSettings);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 9'200);
  const ActiveSettings quick{.interval_ms = 50, .fast_interval_ms = 50};
  timer.started(kNow + 9'200);
  timer.finished(kNow + 9'300, false, kMiddle, quick);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 9'350) << "no longer than the interval";
}

TEST(ProbeTimer, FasterWhileChanging) {
  ProbeTimer timer(kNow, 0, 1, kSettings);
  timer.started(kNow);
  timer.finished(kNow + 1, true, kMiddle, kSettings);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 1'000);
  const ActiveSettings slower{.interval_ms = 400, .fast_interval_ms = 1'000};
  timer.started(kNow + 1'000);
  timer.finished(kNow + 1'001, true, kMiddle, slower);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 1'400) << "never slower than the interval";
}

TEST(ProbeTimer, JitterIsATenthEitherWay) {
  Prng prng(5);
  std::vector<std::uint64_t> waits;
  for (int i = 0; i < 10'000; ++i) {
    ProbeTimer timer(kNow, 0, 1, kSettings);
    timer.started(kNow);
    timer.finished(kNow, false, static_cast<std::uint32_t>(prng()), kSettings);
    waits.push_back(*timer.next_probe_ms() - kNow);
  }
  const auto [shortest, longest] = std::ranges::minmax(waits);
  EXPECT_GE(shortest, 4'500U);
  EXPECT_LE(shortest, 4'510U);
  EXPECT_GE(longest, 5'490U);
  EXPECT_LE(longest, 5'500U);
}

TEST(ProbeTimer, HurryBringsTheNextForward) {
  ProbeTimer timer(kNow, 9, 10, kSettings);
  timer.hurry(kNow + 5);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 5) << "never asked yet";
  timer.started(kNow + 5);
  timer.finished(kNow + 6, false, kMiddle, kSettings);
  timer.hurry(kNow + 100);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 205);
  timer.hurry(kNow + 150);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 205) << "and not put off";
  timer.hurry(kNow + 300);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 205) << "nor when it is late already";
  timer.started(kNow + 205);
  timer.finished(kNow + 206, false, kMiddle, kSettings);
  timer.hurry(kNow + 3'000);
  EXPECT_EQ(timer.next_probe_ms(), kNow + 3'000);
}

// However often requests ask, and whatever probes take: 200 ms from beginning to beginning, unless
// the interval is shorter, and never later than the interval or a pause after the last.
TEST(ProbeTimer, RandomLivesKeepTheGapAndTheInterval) {
  Prng prng(11);
  for (int life = 0; life < 200; ++life) {
    const ActiveSettings settings{
        .interval_ms = 300 + static_cast<std::uint32_t>(prng.bounded(10'000)),
        .fast_interval_ms = 300 + static_cast<std::uint32_t>(prng.bounded(2'000))};
    std::uint64_t now = kNow;
    ProbeTimer timer(now, static_cast<std::uint32_t>(prng.bounded(50)), 50, settings);
    std::uint64_t last = 0;
    for (int i = 0; i < 200; ++i) {
      if (prng.bounded(2) == 0) timer.hurry(now += prng.bounded(300));
      ASSERT_TRUE(timer.next_probe_ms());
      ASSERT_LE(*timer.next_probe_ms(), now + settings.interval_ms * 11 / 10 + 1);
      now = std::max(now, *timer.next_probe_ms());
      ASSERT_GE(now, last + ProbeTimer::kHurryGapMs);
      timer.started(last = now);
      now += prng.bounded(3) == 0 ? prng.bounded(4'000) : prng.bounded(10);
      if (prng.bounded(2) == 0) timer.hurry(now);
      timer.finished(now, prng.bounded(2) == 0, static_cast<std::uint32_t>(prng()), settings);
    }
  }
}

}  // namespace
}  // namespace weir::health
