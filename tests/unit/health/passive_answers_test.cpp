// Ejection for bad answers: errors in a row, the verdict over a window, the trial that ends it.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/prng.h"
#include "health/ejection_floor.h"
#include "health/passive.h"

namespace weir::health {
namespace {

using State = Passive::State;
using Cause = Passive::Cause;
using Event = Passive::Event;

constexpr std::uint64_t kNow = 1'000'000;
constexpr PassiveSettings kSettings{};
constexpr Reporter kMayEject{.may_eject = true};
constexpr Reporter kTrial{.trial = true};

struct Word {
  std::atomic<std::uint64_t> bits{0};
  PassiveChange apply(Event event, std::uint64_t now_ms, Reporter reporter = kMayEject,
                      const PassiveSettings& settings = kSettings, std::uint32_t random = 0) {
    return health::apply(bits, event, now_ms, random, settings, reporter);
  }
  Passive now() const { return Passive::unpack(bits.load()); }
};

void eject(Word& word, std::uint64_t now_ms) {
  word.apply(Event::ejected, now_ms);
  ASSERT_EQ(word.now().state(), State::ejected);
}

// Ejected such that the trial begins at `now_ms`.
void begin_trial(Word& word, std::uint64_t now_ms) {
  eject(word, now_ms - kSettings.ejection_ms);
  ASSERT_EQ(admit(word.bits, now_ms, kSettings), Admission::trial);
}

// A single answer shows that a silent server is back, so the first trial is early.
TEST(PassiveAnswers, ASilentServerIsTriedSoon) {
  Word word;
  EXPECT_EQ(word.apply(Event::fell_silent, kNow, {}).after.state(), State::up) << "the floor";
  std::uint64_t now = kNow;
  for (const std::uint64_t wait_ms : {1'000, 2'000, 4'000}) {
    word.apply(Event::fell_silent, now);
    EXPECT_EQ(word.now().state(), State::ejected);
    EXPECT_EQ(word.now().cause(), Cause::answers);
    EXPECT_EQ(word.now().until_ms(), now + wait_ms);
    now += wait_ms;
    ASSERT_EQ(admit(word.bits, now, kSettings), Admission::trial);
    word.apply(Event::succeeded, now);
    EXPECT_EQ(word.now().state(), State::trial) << "the kernel accepts for a stopped server";
    word.apply(Event::answered, now, kTrial);
    EXPECT_EQ(word.now().state(), State::up);
  }
}

TEST(PassiveAnswers, ErrorsInARowEject) {
  Word word;
  for (int i = 1; i < 5; ++i) {
    word.apply(Event::erred, kNow);
    EXPECT_EQ(word.now().errors(), i);
    EXPECT_NE(word.bits, 0U);
    EXPECT_TRUE(takes_requests(word.bits, 0)) << "some errors are no reason yet";
    EXPECT_EQ(admit(word.bits, kNow, kSettings), Admission::normal);
  }
  const auto [before, after] = word.apply(Event::erred, kNow);
  EXPECT_EQ(before.state(), State::up);
  EXPECT_EQ(after.state(), State::ejected);
  EXPECT_EQ(after.cause(), Cause::answers);
  EXPECT_EQ(after.errors(), 5) << "kept for the log";
  EXPECT_EQ(after.ejections(), 1);
  EXPECT_EQ(after.until_ms(), kNow + 2'000);
  EXPECT_FALSE(takes_requests(word.bits, kNow + 1'999));
  EXPECT_TRUE(takes_requests(word.bits, kNow + 2'000));
}

TEST(PassiveAnswers, OnlyAGoodAnswerEndsARowOfErrors) {
  Word word;
  for (int i = 0; i < 4; ++i) {
    word.apply(Event::erred, kNow);
    word.apply(Event::succeeded, kNow);
  }
  EXPECT_EQ(word.now().errors(), 4) << "a connection is no answer";
  word.apply(Event::answered, kNow);
  EXPECT_EQ(word.bits, 0U);
  for (int i = 0; i < 4; ++i) word.apply(Event::erred, kNow);
  EXPECT_EQ(word.now().state(), State::up);
}

TEST(PassiveAnswers, AGoodAnswerOfAHealthyServerWritesNothing) {
  Word word;
  const auto [before, after] = word.apply(Event::answered, kNow);
  EXPECT_EQ(before, after);
  EXPECT_EQ(word.bits, 0U);
}

TEST(PassiveAnswers, AnAnswerForgivesFailuresToConnect) {
  const PassiveSettings three{.failures_to_avoid = 3};
  Word word;
  word.apply(Event::failed, kNow, {}, three);
  word.apply(Event::answered, kNow, {}, three);
  EXPECT_EQ(word.bits, 0U);
}

TEST(PassiveAnswers, ZeroNeverEjectsForErrorsInARow) {
  Word word;
  for (int i = 0; i < 1'000; ++i) {
    word.apply(Event::erred, kNow, kMayEject, {.consecutive_errors = 0});
  }
  EXPECT_EQ(word.bits, 0U);
}

TEST(PassiveAnswers, TheFloorHoldsUntilItDoesNot) {
  Word word;
  for (int i = 0; i < 300; ++i) word.apply(Event::erred, kNow, {});
  word.apply(Event::ejected, kNow, {});
  EXPECT_EQ(word.now().state(), State::up);
  EXPECT_EQ(word.now().errors(), 255);
  word.apply(Event::erred, kNow, kMayEject);
  EXPECT_EQ(word.now().state(), State::ejected);
}

TEST(PassiveAnswers, TheFloorIsNotAskedForFailuresToConnect) {
  Word word;
  word.apply(Event::failed, kNow, {});
  EXPECT_EQ(word.now().state(), State::ejected);
  EXPECT_EQ(word.now().cause(), Cause::connecting);
  EXPECT_EQ(word.now().ejections(), 0);
  EXPECT_EQ(word.now().until_ms(), kNow + 1'000);
}

// While it waits, nothing that older or stray requests report changes anything.
TEST(PassiveAnswers, NothingEndsTheWaitEarlyOrLengthensIt) {
  Word word;
  word.apply(Event::failed, kNow, {}, {.failures_to_avoid = 2});
  eject(word, kNow);
  const std::uint64_t bits = word.bits;
  for (const Event event : {Event::succeeded, Event::failed, Event::abandoned, Event::answered,
                            Event::erred, Event::ejected, Event::attempted}) {
    word.apply(event, kNow + 1'999);
    EXPECT_EQ(word.bits, bits) << static_cast<int>(event);
  }
}

TEST(PassiveAnswers, OnlyItsOwnReportsDecideATrial) {
  Word word;
  begin_trial(word, kNow);
  const std::uint64_t bits = word.bits;
  for (const Event event : {Event::succeeded, Event::failed, Event::answered, Event::erred,
                            Event::ejected, Event::attempted}) {
    word.apply(event, kNow + 1, kMayEject);
    EXPECT_EQ(word.bits, bits) << static_cast<int>(event);
  }
  word.apply(Event::succeeded, kNow + 1, kTrial);
  EXPECT_EQ(word.now().state(), State::trial) << "connected, not yet answered";
  word.apply(Event::answered, kNow + 1, kTrial);
  EXPECT_EQ(word.now().state(), State::up);
  EXPECT_EQ(word.now().ejections(), 1);
  EXPECT_EQ(admit(word.bits, kNow + 1, kSettings), Admission::normal);
  EXPECT_TRUE(takes_requests(word.bits, kNow)) << "also by a worker whose clock is behind";
}

TEST(PassiveAnswers, AFailedTrialIsALongerEjection) {
  for (const Event event : {Event::erred, Event::failed}) {
    Word word;
    begin_trial(word, kNow);
    word.apply(event, kNow + 5, kTrial);
    EXPECT_EQ(word.now().state(), State::ejected);
    EXPECT_EQ(word.now().cause(), Cause::answers);
    EXPECT_EQ(word.now().ejections(), 2);
    EXPECT_EQ(word.now().until_ms(), kNow + 5 + 4'000);
  }
}

TEST(PassiveAnswers, AnAbandonedTrialIsDueAgain) {
  Word word;
  begin_trial(word, kNow);
  word.apply(Event::abandoned, kNow + 5, kTrial);
  EXPECT_EQ(word.now().ejections(), 1);
  EXPECT_EQ(admit(word.bits, kNow + 5, kSettings), Admission::trial);
  EXPECT_EQ(admit(word.bits, kNow + 5, kSettings), Admission::refused);
}

TEST(PassiveAnswers, ALostTrialIsReplacedOnceItsAnswerIsOverdue) {
  Word word;
  begin_trial(word, kNow);
  EXPECT_EQ(admit(word.bits, kNow + 74'999, kSettings), Admission::refused);
  EXPECT_EQ(admit(word.bits, kNow + 75'000, kSettings), Admission::trial);
}

// The trial of a server that could not be reached went over a kept connection and ended badly.
TEST(PassiveAnswers, AnErrorOverAKeptConnectionSaysNothingAboutConnecting) {
  Word word;
  word.apply(Event::failed, kNow);
  ASSERT_EQ(admit(word.bits, kNow + 1'000, kSettings), Admission::trial);
  word.apply(Event::erred, kNow + 1'001);
  EXPECT_EQ(word.now().state(), State::trial) << "of another request";
  word.apply(Event::erred, kNow + 1'001, kTrial);
  EXPECT_EQ(word.now().state(), State::ejected);
  EXPECT_EQ(word.now().failures(), 1);
  EXPECT_EQ(admit(word.bits, kNow + 1'001, kSettings), Admission::trial);
  word.apply(Event::answered, kNow + 1'002);
  EXPECT_EQ(word.bits, 0U) << "any answer shows that it can be reached";
}

TEST(PassiveAnswers, EachEjectionDoublesTheWaitAlsoOverReturns) {
  constexpr PassiveSettings kLong{.ejection_ms = 10'000, .ejection_ms_max = 300'000};
  Word word;
  std::uint64_t now = kNow;
  for (const std::uint64_t wait : {10'000, 20'000, 40'000, 80'000, 160'000, 300'000, 300'000}) {
    word.apply(Event::ejected, now, kMayEject, kLong);
    EXPECT_EQ(word.now().until_ms() - now, wait);
    now += wait;
    ASSERT_EQ(admit(word.bits, now, kSettings), Admission::trial);
    word.apply(Event::answered, now, kTrial);
    now += 299'999;  // Good for not quite long enough.
    word.apply(Event::answered, now);
  }
  EXPECT_EQ(word.now().ejections(), 7);
}

// One good answer shows that such a server is cured: it is tried often. And whoever falls again is
// not let off with a first ejection.
TEST(PassiveAnswers, AfterErrorsInARowTheLongestWaitIsShort) {
  Word word;
  std::uint64_t now = kNow;
  for (const std::uint64_t wait : {2'000, 4'000, 4'000, 4'000}) {
    for (int i = 0; i < 5; ++i) word.apply(Event::erred, now, kMayEject);
    EXPECT_EQ(word.now().until_ms() - now, wait);
    now += wait;
    ASSERT_EQ(admit(word.bits, now, kSettings), Admission::trial);
    word.apply(Event::answered, now, kTrial);
    now += 10'000;
    word.apply(Event::answered, now);
  }
}

TEST(PassiveAnswers, WhatIsConfiguredLimitsThatWaitAsWell) {
  constexpr PassiveSettings kBrief{.ejection_ms = 50, .ejection_ms_max = 100};
  constexpr PassiveSettings kLong{.ejection_ms = 10'000, .ejection_ms_max = 300'000};
  for (const auto& [settings, waits] : {std::pair{kBrief, std::array{50, 100, 100}},
                                        std::pair{kLong, std::array{10'000, 10'000, 10'000}}}) {
    Word word;
    std::uint64_t now = kNow;
    for (const int wait : waits) {
      for (int i = 0; i < 5; ++i) word.apply(Event::erred, now, kMayEject, settings);
      EXPECT_EQ(word.now().until_ms() - now, static_cast<std::uint64_t>(wait));
      now += static_cast<std::uint64_t>(wait);
      ASSERT_EQ(admit(word.bits, now, settings), Admission::trial);
      word.apply(Event::answered, now, kTrial, settings);
    }
  }
}

TEST(PassiveAnswers, AnActiveCheckEndsTheWaitAndNotTheEjection) {
  for (const Event cause : {Event::failed, Event::fell_silent, Event::erred}) {
    Word word;
    word.apply(Event::vouched, kNow);
    EXPECT_EQ(word.bits, 0U) << "nothing to speak against";
    for (int i = 0; i < 5; ++i) word.apply(cause, kNow, kMayEject);
    const Passive ejected = word.now();
    ASSERT_EQ(ejected.state(), State::ejected);
    word.apply(Event::vouched, kNow + 7);
    EXPECT_EQ(word.now().state(), State::ejected);
    EXPECT_EQ(word.now().until_ms(), kNow + 7);
    EXPECT_EQ(word.now().ejections(), ejected.ejections());
    word.apply(Event::vouched, kNow + 9);
    EXPECT_EQ(word.now().until_ms(), kNow + 7) << "it is due already";
    ASSERT_EQ(admit(word.bits, kNow + 9, kSettings), Admission::trial);
    const std::uint64_t trial = word.bits;
    word.apply(Event::vouched, kNow + 10);
    EXPECT_EQ(word.bits, trial) << "one trial at a time";
  }
}

// A slow server answers its checks in time.
TEST(PassiveAnswers, AnActiveCheckSaysNothingAboutAVerdictOverAWindow) {
  Word word;
  for (int i = 0; i < 3; ++i) word.apply(Event::erred, kNow, kMayEject);
  word.apply(Event::ejected, kNow, kMayEject);
  const std::uint64_t bits = word.bits;
  word.apply(Event::vouched, kNow + 7);
  EXPECT_EQ(word.bits, bits);
  ASSERT_EQ(admit(word.bits, kNow + 2'000, kSettings), Admission::trial);
  word.apply(Event::erred, kNow + 2'000, kTrial);
  word.apply(Event::vouched, kNow + 2'007);
  EXPECT_EQ(word.now().until_ms(), kNow + 2'007) << "it is broken by now, and not slow";
}

TEST(PassiveAnswers, ALongGoodTimeForgetsTheGrowth) {
  for (const bool answered_late : {true, false}) {
    Word word;
    begin_trial(word, kNow);
    word.apply(Event::answered, kNow, kTrial);
    EXPECT_EQ(word.now().ejections(), 1);
    if (answered_late) {
      word.apply(Event::answered, kNow + 300'000);
      EXPECT_EQ(word.bits, 0U) << "the common word of a healthy server";
    }
    eject(word, kNow + 300'000);
    EXPECT_EQ(word.now().until_ms(), kNow + 302'000) << "the first wait again";
  }
}

TEST(PassiveAnswers, ARefusedConnectionKeepsTheCountOfEjections) {
  Word word;
  begin_trial(word, kNow);
  word.apply(Event::answered, kNow, kTrial);
  word.apply(Event::failed, kNow + 10);
  EXPECT_EQ(word.now().cause(), Cause::connecting);
  EXPECT_EQ(word.now().until_ms(), kNow + 1'010) << "the quick wait";
  word.apply(Event::succeeded, kNow + 20);
  EXPECT_EQ(word.now().state(), State::up);
  eject(word, kNow + 30);
  EXPECT_EQ(word.now().until_ms(), kNow + 4'030) << "the second ejection";
}

TEST(PassiveAnswers, ErrorsBeforeAnOutageAreNotCountedAfterIt) {
  Word word;
  for (int i = 0; i < 4; ++i) word.apply(Event::erred, kNow);
  word.apply(Event::failed, kNow);
  word.apply(Event::erred, kNow);  // A request that was under way.
  word.apply(Event::succeeded, kNow + 1'000);
  EXPECT_EQ(word.bits, 0U);
}

TEST(PassiveAnswers, JitterShortensTheEjection) {
  Word word;
  word.apply(Event::ejected, kNow, kMayEject, kSettings, ~0U);
  EXPECT_GE(word.now().until_ms(), kNow + 1'500);
  EXPECT_LE(word.now().until_ms(), kNow + 1'501);
}

TEST(PassiveAnswers, EveryFieldSurvivesTheWordAtItsLimits) {
  for (const std::uint64_t time : {std::uint64_t{0}, kNow, (std::uint64_t{1} << 40) - 1}) {
    for (unsigned state = 0; state <= 2; ++state) {
      for (unsigned cause = 0; cause <= 1; ++cause) {
        for (const unsigned failures : {0U, 1U, 255U}) {
          for (const unsigned errors : {0U, 1U, 255U}) {
            for (const unsigned ejections : {0U, 1U, 31U}) {
              const std::uint64_t word = time << 24 | std::uint64_t{ejections} << 19 |
                                         std::uint64_t{errors} << 11 |
                                         std::uint64_t{failures} << 3 | cause << 2 | state;
              const Passive passive = Passive::unpack(word);
              ASSERT_EQ(passive.pack(), word);
              ASSERT_EQ(static_cast<unsigned>(passive.state()), state);
              ASSERT_EQ(static_cast<unsigned>(passive.cause()), cause);
              ASSERT_EQ(passive.failures(), failures);
              ASSERT_EQ(passive.errors(), errors);
              ASSERT_EQ(passive.ejections(), ejections);
              ASSERT_EQ(passive.until_ms(), state == 0 ? 0 : time);
            }
          }
        }
      }
    }
  }
}

TEST(PassiveAnswers, HugeSettingsAndManyEjectionsDoNotWrap) {
  const PassiveSettings huge{.consecutive_errors = 255,
                             .ejection_ms = 0xFFFF'FFFF,
                             .ejection_ms_max = 0xFFFF'FFFF,
                             .answer_trial_ms_max = 0xFFFF'FFFF};
  Word word;
  std::uint64_t now = kNow;
  word.apply(Event::ejected, now, kMayEject, huge);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(word.now().until_ms(), now + 0xFFFF'FFFF);
    EXPECT_EQ(word.now().ejections(), std::min(i + 1, 31));
    now += 0xFFFF'FFFF;
    ASSERT_EQ(admit(word.bits, now, huge), Admission::trial);
    word.apply(Event::erred, now, kTrial, huge);
  }
}

// Two hundred backends through random events, the floor asked as the drivers do: no more servers
// than it allows are out for their answers, the last usable one never is, at most one trial is
// under way per server, and a server that gets no more events is offered again.
TEST(PassiveAnswers, RandomHistoriesKeepTheFloorAndOneTrial) {
  Prng prng(7);
  std::size_t ejections = 0;
  std::size_t trials = 0;
  for (int history = 0; history < 200; ++history) {
    std::vector<Word> words(1 + prng.bounded(6));
    std::vector<bool> has_trial(words.size());
    const auto percent = static_cast<std::uint32_t>(prng.bounded(101));
    std::uint64_t now = kNow;
    for (int i = 0; i < 2'000; ++i) {
      now += prng.bounded(4) == 0 ? prng.bounded(5'000) : 0;
      const std::size_t server = prng.bounded(words.size());
      Word& word = words[server];
      if (word.now().state() != State::trial) has_trial[server] = false;
      ServerCounts counts{.servers = static_cast<std::uint32_t>(words.size())};
      for (const Word& other : words) ++(is_up(other.bits) ? counts.usable : counts.ejected);
      const bool due_again = has_trial[server] && now >= word.now().until_ms();
      if (prng.bounded(3) == 0 && admit(word.bits, now, kSettings) == Admission::trial) {
        ASSERT_TRUE(!has_trial[server] || due_again) << "a second trial beside the first";
        has_trial[server] = true;
        ++trials;
        continue;
      }
      const Event event = static_cast<Event>(1 + prng.bounded(7));
      const bool of_trial = has_trial[server] && prng.bounded(2) == 0;
      if (event == Event::abandoned && !of_trial) continue;
      const Reporter reporter{.trial = of_trial, .may_eject = ejection_room(counts, percent) > 0};
      const auto [before, after] =
          word.apply(event, now, reporter, kSettings, static_cast<std::uint32_t>(prng()));
      if (before.state() == State::up && after.cause() == Cause::answers) {
        ++ejections;
        ASSERT_LE(counts.ejected + 1, counts.servers * percent / 100);
        ASSERT_GE(counts.usable, 2U);
      }
      if (before.state() == State::trial && before.cause() == Cause::answers && !of_trial) {
        ASSERT_EQ(before, after);
      }
      ASSERT_EQ(after.until_ms() == 0, after.state() == State::up);
      ASSERT_TRUE(takes_requests(word.bits, now + kSettings.ejection_ms_max));
    }
  }
  EXPECT_GT(ejections, 500U) << "the histories did reach what they are about";
  EXPECT_GT(trials, 500U);
}

}  // namespace
}  // namespace weir::health
