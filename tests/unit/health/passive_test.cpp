#include "health/passive.h"

#include <gtest/gtest.h>

#include <latch>
#include <thread>
#include <vector>

#include "base/prng.h"

namespace weir::health {
namespace {

using State = Passive::State;
using Event = Passive::Event;

constexpr std::uint64_t kNow = 1'000'000;
constexpr std::uint32_t kNoJitter = 0;
constexpr PassiveSettings kSettings{};

struct Word {
  std::atomic<std::uint64_t> bits{0};
  PassiveChange apply(Event event, std::uint64_t now_ms, std::uint32_t random = kNoJitter,
                      const PassiveSettings& settings = kSettings) {
    return health::apply(bits, event, now_ms, random, settings);
  }
  Passive now() const { return Passive::unpack(bits.load()); }
};

Passive make_up(std::uint8_t failures = 0) { return Passive::unpack(std::uint64_t{failures} << 3); }

Passive make_ejected(std::uint64_t at_ms) {
  Passive passive;
  passive.step(Event::failed, at_ms, kNoJitter, kSettings);
  EXPECT_EQ(passive.state(), State::ejected);
  return passive;
}

Passive make_trial(std::uint64_t at_ms) {
  Passive passive = make_ejected(at_ms - kSettings.backoff_ms);
  passive.step(Event::attempted, at_ms, kNoJitter, kSettings);
  EXPECT_EQ(passive.state(), State::trial);
  return passive;
}

TEST(Passive, EveryStateAndEvent) {
  struct Case {
    const char* name;
    Passive from;
    Event event;
    State to;
    std::uint8_t failures;
    std::uint64_t until_ms;
  };
  const Passive waiting = make_ejected(kNow - 1);  // Due 999 ms from now.
  const Passive due = make_ejected(kNow - 1'000);  // Due exactly now.
  const Passive running = make_trial(kNow - 1);    // Replaced 9,999 ms from now.
  const Passive lost = make_trial(kNow - 10'000);  // Replaced from now on.
  const std::vector<Case> cases = {
      {"up, attempted", make_up(), Event::attempted, State::up, 0, 0},
      {"up, succeeded", make_up(), Event::succeeded, State::up, 0, 0},
      {"up, failed", make_up(), Event::failed, State::ejected, 1, kNow + 1'000},
      {"up, abandoned", make_up(), Event::abandoned, State::up, 0, 0},
      {"waiting, attempted", waiting, Event::attempted, State::ejected, 1, kNow + 999},
      {"waiting, succeeded", waiting, Event::succeeded, State::up, 0, 0},
      {"waiting, failed", waiting, Event::failed, State::ejected, 1, kNow + 999},
      {"waiting, abandoned", waiting, Event::abandoned, State::ejected, 1, kNow + 999},
      {"due, attempted", due, Event::attempted, State::trial, 1, kNow + 10'000},
      {"due, succeeded", due, Event::succeeded, State::up, 0, 0},
      {"due, failed", due, Event::failed, State::ejected, 1, kNow},
      {"due, abandoned", due, Event::abandoned, State::ejected, 1, kNow},
      {"running, attempted", running, Event::attempted, State::trial, 1, kNow + 9'999},
      {"running, succeeded", running, Event::succeeded, State::up, 0, 0},
      {"running, failed", running, Event::failed, State::ejected, 2, kNow + 2'000},
      {"running, abandoned", running, Event::abandoned, State::ejected, 1, kNow},
      {"lost, attempted", lost, Event::attempted, State::trial, 1, kNow + 10'000},
      {"lost, succeeded", lost, Event::succeeded, State::up, 0, 0},
      {"lost, failed", lost, Event::failed, State::ejected, 2, kNow + 2'000},
      {"lost, abandoned", lost, Event::abandoned, State::ejected, 1, kNow},
  };
  for (const Case& c : cases) {
    Passive passive = c.from;
    passive.step(c.event, kNow, kNoJitter, kSettings);
    EXPECT_EQ(to_string(passive.state()), to_string(c.to)) << c.name;
    EXPECT_EQ(passive.failures(), c.failures) << c.name;
    EXPECT_EQ(passive.until_ms(), c.until_ms) << c.name;
  }
}

TEST(Passive, TheWordHoldsTheWholeState) {
  EXPECT_EQ(Passive{}.pack(), 0U);
  for (const Passive& passive :
       {make_up(), make_up(3), make_ejected(kNow), make_trial(kNow), make_ejected(1ULL << 39)}) {
    EXPECT_EQ(Passive::unpack(passive.pack()), passive);
  }
}

TEST(Passive, FarFutureIsCutNotWrapped) {
  Passive passive = make_ejected((1ULL << 40) - 10);
  EXPECT_EQ(passive.until_ms(), (1ULL << 40) - 1);
  EXPECT_EQ(Passive::unpack(passive.pack()), passive);
}

TEST(Passive, OnlyFailuresInARowCount) {
  const PassiveSettings three{.failures_to_avoid = 3};
  Word word;
  word.apply(Event::failed, kNow, kNoJitter, three);
  word.apply(Event::failed, kNow, kNoJitter, three);
  EXPECT_TRUE(takes_requests(word.bits, kNow));
  word.apply(Event::succeeded, kNow, kNoJitter, three);
  word.apply(Event::failed, kNow, kNoJitter, three);
  word.apply(Event::failed, kNow, kNoJitter, three);
  EXPECT_EQ(word.now().state(), State::up);
  EXPECT_EQ(admit(word.bits, kNow, three), Admission::normal);
  word.apply(Event::failed, kNow, kNoJitter, three);
  EXPECT_EQ(word.now().state(), State::ejected);
  EXPECT_EQ(word.now().until_ms(), kNow + 1'000);  // The first wait, whatever the threshold.
}

TEST(Passive, ZeroThresholdMeansOne) {
  Word word;
  word.apply(Event::failed, kNow, kNoJitter, {.failures_to_avoid = 0});
  EXPECT_EQ(word.now().until_ms(), kNow + 1'000);
}

TEST(Passive, FailedTrialsDoubleTheWaitUpToTheMost) {
  Word word;
  std::uint64_t now = kNow;
  word.apply(Event::failed, now);
  for (const std::uint64_t wait : {1'000, 2'000, 4'000, 4'000}) {
    EXPECT_EQ(word.now().until_ms() - now, wait);
    EXPECT_FALSE(takes_requests(word.bits, now + wait - 1));
    EXPECT_EQ(admit(word.bits, now + wait - 1, kSettings), Admission::refused);
    now += wait;
    EXPECT_TRUE(takes_requests(word.bits, now));
    EXPECT_EQ(admit(word.bits, now, kSettings), Admission::trial);
    word.apply(Event::failed, now);
  }
  for (int i = 0; i < 1'000; ++i) {
    now = word.now().until_ms();
    ASSERT_EQ(admit(word.bits, now, kSettings), Admission::trial);
    word.apply(Event::failed, now);
    ASSERT_EQ(word.now().until_ms() - now, 4'000U);
  }
}

TEST(Passive, SuccessForgetsTheDoubling) {
  Word word;
  word.bits = make_trial(kNow).pack();
  word.apply(Event::failed, kNow);
  word.apply(Event::succeeded, kNow);
  EXPECT_EQ(word.bits, 0U);
  word.apply(Event::failed, kNow);
  EXPECT_EQ(word.now().until_ms(), kNow + 1'000);
}

TEST(Passive, JitterShortensByUpToAQuarter) {
  Prng prng(1);
  std::uint64_t shortest = ~0ULL;
  std::uint64_t longest = 0;
  for (int i = 0; i < 10'000; ++i) {
    Word word;
    word.apply(Event::failed, kNow, static_cast<std::uint32_t>(prng()));
    shortest = std::min(shortest, word.now().until_ms() - kNow);
    longest = std::max(longest, word.now().until_ms() - kNow);
  }
  EXPECT_GE(shortest, 750U);
  EXPECT_LE(shortest, 760U);
  EXPECT_GE(longest, 990U);
  EXPECT_LE(longest, 1'000U);
}

TEST(Passive, HugeSettingsDoNotWrap) {
  const PassiveSettings huge{.failures_to_avoid = 255,
                             .backoff_ms = 0xFFFF'FFFF,
                             .backoff_ms_max = 0xFFFF'FFFF,
                             .trial_ms_max = 0xFFFF'FFFF};
  Word word;
  for (int i = 0; i < 300; ++i) word.apply(Event::failed, kNow, kNoJitter, huge);
  EXPECT_EQ(word.now().until_ms(), kNow + 0xFFFF'FFFF);
  word.apply(Event::attempted, kNow + 0xFFFF'FFFF, kNoJitter, huge);
  word.apply(Event::failed, kNow, ~0U, huge);
  EXPECT_GE(word.now().until_ms(), kNow + 0xBFFF'FFFF);
}

TEST(Passive, ALostTrialIsReplacedByOne) {
  Word word;
  word.bits = make_trial(kNow).pack();
  EXPECT_EQ(admit(word.bits, kNow + 9'999, kSettings), Admission::refused);
  EXPECT_EQ(admit(word.bits, kNow + 10'000, kSettings), Admission::trial);
  EXPECT_EQ(admit(word.bits, kNow + 10'000, kSettings), Admission::refused);
}

// An outage of all servers: requests are sent to ejected ones anyway. They must neither lengthen
// the wait nor keep a server down that answers.
TEST(Passive, RequestsForWantOfABetterServer) {
  Word word;
  word.bits = make_ejected(kNow).pack();
  for (int i = 0; i < 1'000; ++i) word.apply(Event::failed, kNow + 500);
  EXPECT_EQ(word.now().until_ms(), kNow + 1'000);
  EXPECT_EQ(word.now().failures(), 1);
  word.apply(Event::succeeded, kNow + 501);
  EXPECT_EQ(admit(word.bits, kNow + 501, kSettings), Admission::normal);
}

TEST(Passive, AHealthyServerStaysUntouched) {
  Word word;
  const auto [before, after] = word.apply(Event::succeeded, kNow);
  EXPECT_EQ(before, after);
  EXPECT_EQ(admit(word.bits, kNow, kSettings), Admission::normal);
  EXPECT_EQ(word.bits, 0U);
}

TEST(Passive, ReportsTheChangeOnce) {
  Word word;
  const PassiveChange down = word.apply(Event::failed, kNow);
  EXPECT_EQ(down.before.state(), State::up);
  EXPECT_EQ(down.after.state(), State::ejected);
  const PassiveChange again = word.apply(Event::failed, kNow);
  EXPECT_EQ(again.before, again.after);
}

// Workers find the same servers due at the same moment, many times over.
TEST(Passive, ExactlyOneWorkerGetsTheTrial) {
  constexpr std::size_t kServers = 50'000;
  constexpr std::size_t kWorkers = 3;
  std::vector<Word> words(kServers);
  for (Word& word : words) word.bits = make_ejected(kNow - 1'000).pack();
  std::vector<std::vector<int>> trials(kWorkers, std::vector<int>(kServers));
  std::latch start(kWorkers);
  std::vector<std::thread> workers;
  for (std::vector<int>& mine : trials) {
    workers.emplace_back([&] {
      start.arrive_and_wait();
      for (std::size_t i = 0; i < kServers; ++i) {
        mine[i] = admit(words[i].bits, kNow, kSettings) == Admission::trial;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (std::size_t i = 0; i < kServers; ++i) {
    int admitted = 0;
    for (const std::vector<int>& worker : trials) admitted += worker[i];
    ASSERT_EQ(admitted, 1);
  }
}

// Any sequence of events: only listed transitions (enter() checks), `up` never waits, and with
// no further event a server is offered again within the longest wait.
TEST(Passive, RandomWalkNeverStrandsAServer) {
  Prng prng(2);
  for (int walk = 0; walk < 200; ++walk) {
    Word word;
    const PassiveSettings settings{.failures_to_avoid = static_cast<std::uint8_t>(prng.bounded(4))};
    std::uint64_t now = kNow;
    for (int i = 0; i < 500; ++i) {
      now += prng.bounded(3) == 0 ? prng.bounded(20'000) : 0;
      const auto [before, after] = word.apply(static_cast<Event>(prng.bounded(4)), now,
                                              static_cast<std::uint32_t>(prng()), settings);
      if (after.state() != before.state()) {
        ASSERT_TRUE(kPassiveNext[static_cast<std::size_t>(before.state())]
                                [static_cast<std::size_t>(after.state())]);
      }
      if (after.state() == State::up) {
        ASSERT_EQ(after.until_ms(), 0U);
      }
      ASSERT_TRUE(takes_requests(word.bits, now + settings.trial_ms_max));
    }
  }
}

}  // namespace
}  // namespace weir::health
