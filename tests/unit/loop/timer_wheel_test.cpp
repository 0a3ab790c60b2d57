#include "loop/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/prng.h"

namespace weir::loop {
namespace {

constexpr std::size_t kNoBudget = SIZE_MAX;
constexpr std::uint64_t kHourMs = 3'600'000;
constexpr std::uint64_t kWrapMs = std::uint64_t{1} << 32;

// Borders of every level's digits, so that carries and the wrap are crossed within few ticks.
constexpr std::uint64_t kStarts[] = {
    0,
    1,
    255,
    256,
    65'535,
    1u << 24,
    kWrapMs - 1,
    kWrapMs - 300,
    kWrapMs - 70'000,
    kWrapMs,
    kWrapMs + 1,
    5 * kWrapMs - 17'000'000,
    123'456'789'012,
};

// Advances to `now_ms` and returns what fired.
std::vector<Timer*> expire(TimerWheel& wheel, std::uint64_t now_ms) {
  std::vector<Timer*> fired;
  EXPECT_FALSE(wheel.expire(now_ms, kNoBudget, [&](Timer& timer) { fired.push_back(&timer); }));
  return fired;
}

// Follows next_in_ms() like a loop that sleeps as long as it may, until something fires or nothing
// is scheduled; returns the time of firing or kNever. Counts the wake-ups.
std::uint64_t sleep_until_fired(TimerWheel& wheel, std::uint64_t now_ms, int& wakeups) {
  for (wakeups = 1;; ++wakeups) {
    const std::uint64_t wait_ms = wheel.next_in_ms(now_ms);
    if (wait_ms == Timer::kNever) return Timer::kNever;
    now_ms += wait_ms;
    if (!expire(wheel, now_ms).empty()) return now_ms;
    if (wait_ms == 0) ADD_FAILURE() << "told to run at once, and nothing was due";
  }
}

TEST(TimerWheel, FiresExactlyAtItsDeadlineOnEveryLevelAndStart) {
  const std::uint64_t delays[] = {1,           2,
                                  255,         256,
                                  257,         65'535,
                                  65'536,      65'537,
                                  1u << 24,    (1u << 24) + 1,
                                  kWrapMs - 1, kWrapMs,
                                  kWrapMs + 1, 3 * kWrapMs + 5};
  for (const std::uint64_t start : kStarts) {
    for (const std::uint64_t delay : delays) {
      TimerWheel wheel(start);
      Timer timer;
      wheel.set(timer, start + delay);
      EXPECT_EQ(timer.deadline_ms(), start + delay);
      int wakeups = 0;
      EXPECT_EQ(sleep_until_fired(wheel, start, wakeups), start + delay) << start << "+" << delay;
      EXPECT_LE(wakeups, 12) << start << "+" << delay;  // A few per level, not one per tick.
      EXPECT_EQ(timer.deadline_ms(), Timer::kNever);
      EXPECT_FALSE(timer.linked());
    }
  }
}

TEST(TimerWheel, NotOneTickEarly) {
  for (const std::uint64_t delay : {1u, 255u, 256u, 1000u, 65'536u, 70'000u, 20'000'000u}) {
    TimerWheel wheel(1000);
    Timer timer;
    wheel.set(timer, 1000 + delay);
    EXPECT_TRUE(expire(wheel, 1000 + delay - 1).empty()) << delay;
    EXPECT_EQ(expire(wheel, 1000 + delay).size(), 1u) << delay;
  }
}

TEST(TimerWheel, NothingScheduledMeansNever) {
  TimerWheel wheel(500);
  EXPECT_EQ(wheel.next_in_ms(500), Timer::kNever);
  Timer timer;
  wheel.set(timer, Timer::kNever);
  EXPECT_FALSE(timer.linked());
  EXPECT_EQ(wheel.next_in_ms(500), Timer::kNever);
}

TEST(TimerWheel, ADeadlineInThePastIsDueOnTheNextTick) {
  TimerWheel wheel(1000);
  Timer past, now, zero;
  wheel.set(past, 400);
  wheel.set(now, 1000);
  wheel.set(zero, 0);
  EXPECT_LE(wheel.next_in_ms(1000), 1u);
  EXPECT_EQ(expire(wheel, 1001).size(), 3u);
}

TEST(TimerWheel, MovedLaterFiresOnceAtTheNewTime) {
  TimerWheel wheel(0);
  Timer timer;
  wheel.set(timer, 100);
  wheel.set(timer, 90'000);
  EXPECT_TRUE(expire(wheel, 89'999).empty());
  EXPECT_EQ(expire(wheel, 90'000).size(), 1u);
  EXPECT_TRUE(expire(wheel, 200'000).empty());
}

TEST(TimerWheel, MovedEarlierFiresAtTheNewTime) {
  TimerWheel wheel(0);
  Timer timer;
  wheel.set(timer, 90'000);
  wheel.set(timer, 100);
  EXPECT_LE(wheel.next_in_ms(0), 100u);
  EXPECT_TRUE(expire(wheel, 99).empty());
  EXPECT_EQ(expire(wheel, 100).size(), 1u);
}

// The path of a lazy move: later first, which leaves the timer where it was, then earlier again.
TEST(TimerWheel, MovedLaterAndBackEarlier) {
  TimerWheel wheel(0);
  Timer timer;
  wheel.set(timer, 100);
  wheel.set(timer, 5000);
  wheel.set(timer, 150);
  EXPECT_TRUE(expire(wheel, 149).empty());
  EXPECT_EQ(expire(wheel, 150).size(), 1u);
}

TEST(TimerWheel, SetToNeverWhileScheduledDoesNotFire) {
  TimerWheel wheel(0);
  Timer timer;
  wheel.set(timer, 100);
  wheel.set(timer, Timer::kNever);
  EXPECT_TRUE(expire(wheel, 10 * kHourMs).empty());
  EXPECT_EQ(wheel.next_in_ms(10 * kHourMs), Timer::kNever);
  wheel.set(timer, 10 * kHourMs + 7);
  EXPECT_EQ(expire(wheel, 10 * kHourMs + 7).size(), 1u);
}

TEST(TimerWheel, CancelledAndDestroyedTimersDoNotFire) {
  TimerWheel wheel(0);
  Timer cancelled;
  wheel.set(cancelled, 100);
  wheel.cancel(cancelled);
  wheel.cancel(cancelled);
  EXPECT_EQ(cancelled.deadline_ms(), Timer::kNever);
  {
    Timer destroyed;
    wheel.set(destroyed, 100);
  }
  EXPECT_TRUE(expire(wheel, 1000).empty());
}

TEST(TimerWheel, AClockThatStandsOrStepsBackIsHarmless) {
  TimerWheel wheel(1000);
  Timer timer;
  wheel.set(timer, 1010);
  EXPECT_TRUE(expire(wheel, 1005).empty());
  EXPECT_TRUE(expire(wheel, 1005).empty());
  EXPECT_TRUE(expire(wheel, 900).empty());
  EXPECT_EQ(wheel.next_in_ms(900), 110u);
  EXPECT_EQ(expire(wheel, 1010).size(), 1u);
}

TEST(TimerWheel, AJumpOfManyHoursFiresEverythingItPassed) {
  TimerWheel wheel(12'345);
  std::vector<Timer> timers(300);
  for (std::size_t i = 0; i < timers.size(); ++i) wheel.set(timers[i], 12'345 + i * i * 1000);
  const std::uint64_t jump = 12'345 + 20 * kHourMs;
  const auto passed = static_cast<std::size_t>(std::count_if(
      timers.begin(), timers.end(), [&](const Timer& t) { return t.deadline_ms() <= jump; }));
  EXPECT_EQ(expire(wheel, jump).size(), passed);
  EXPECT_EQ(wheel.next_in_ms(jump) == Timer::kNever, passed == timers.size());
}

TEST(TimerWheel, TheBudgetBoundsACallAndLosesNothing) {
  TimerWheel wheel(0);
  std::vector<Timer> timers(100);
  for (Timer& timer : timers) wheel.set(timer, 10);
  int fired = 0;
  const auto count = [&](Timer&) { ++fired; };
  EXPECT_TRUE(wheel.expire(10, 0, count));
  EXPECT_EQ(fired, 0);
  EXPECT_TRUE(wheel.expire(10, 30, count));
  EXPECT_EQ(fired, 30);
  EXPECT_EQ(wheel.next_in_ms(10), 0u);
  EXPECT_TRUE(wheel.expire(10, 30, count));
  EXPECT_TRUE(wheel.expire(11, 30, count));
  EXPECT_FALSE(wheel.expire(11, 10, count));  // Exactly the rest: nothing remains.
  EXPECT_EQ(fired, 100);
}

// A timer that is due but was left over by the budget can still be moved or cancelled.
TEST(TimerWheel, ADueTimerLeftOverCanStillBeMoved) {
  TimerWheel wheel(0);
  Timer first, moved, cancelled;
  for (Timer* timer : {&first, &moved, &cancelled}) wheel.set(*timer, 10);
  EXPECT_TRUE(wheel.expire(10, 1, [](Timer&) {}));
  wheel.set(moved, 500);
  wheel.cancel(cancelled);
  EXPECT_TRUE(expire(wheel, 499).empty());
  EXPECT_EQ(expire(wheel, 500), std::vector<Timer*>{&moved});
}

TEST(TimerWheel, ACallbackMaySetAgainWithoutFiringInTheSameCall) {
  TimerWheel wheel(0);
  Timer timer;
  wheel.set(timer, 5);
  int fired = 0;
  const auto again = [&](Timer& due) {
    ++fired;
    EXPECT_FALSE(due.linked());
    wheel.set(due, 0);  // In the past: the next tick, or the call would never end.
  };
  EXPECT_FALSE(wheel.expire(5, kNoBudget, again));
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(wheel.expire(5, kNoBudget, again));
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(wheel.expire(6, kNoBudget, again));
  EXPECT_EQ(fired, 2);
}

TEST(TimerWheel, ACallbackMayDestroyOrMoveOtherDueTimers) {
  TimerWheel wheel(0);
  Timer first, moved;
  auto destroyed = std::make_unique<Timer>();
  wheel.set(first, 10);
  wheel.set(*destroyed, 10);
  wheel.set(moved, 10);
  std::vector<Timer*> fired;
  EXPECT_FALSE(wheel.expire(10, kNoBudget, [&](Timer& timer) {
    fired.push_back(&timer);
    if (&timer != &first) return;
    destroyed.reset();
    wheel.set(moved, 20);
  }));
  EXPECT_EQ(fired, std::vector<Timer*>{&first});
  EXPECT_EQ(expire(wheel, 20), std::vector<Timer*>{&moved});
}

// --- Random scripts against a model --------------------------------------------------------------

// A timer and what is known about it: it may fire once now >= deadline and must have fired once
// now >= due_by, which differs only for deadlines that had passed when they were set.
struct Modelled : Timer {
  std::uint64_t deadline = kNever;
  std::uint64_t due_by = kNever;
};

class TimerScript {
 public:
  TimerScript(std::uint64_t seed, std::uint64_t start) : random_(seed), now_(start), wheel_(start) {
    for (int i = 0; i < 60; ++i) timers_.push_back(std::make_unique<Modelled>());
  }

  void step() {
    switch (random_.bounded(10)) {
      case 0: advance(random_.bounded(4)); break;
      case 1: advance(some_delay()); break;
      case 2: advance_to_next(); break;
      case 3: cancel(); break;
      case 4: destroy(); break;
      default: set(*timers_[random_.bounded(timers_.size())]);
    }
    check_next();
  }

  // Sleeps until nothing is left; every timer must come up by then.
  void finish() {
    for (auto& timer : timers_) {
      if (timer->deadline != Timer::kNever && timer->deadline > now_ + kWrapMs / 64) forget(*timer);
    }
    set_again_ = false;
    for (int i = 0; i < 100'000 && wheel_.next_in_ms(now_) != Timer::kNever; ++i) advance_to_next();
    for (auto& timer : timers_) EXPECT_EQ(timer->deadline, Timer::kNever);
  }

 private:
  // Small delays mostly, every level sometimes.
  std::uint64_t some_delay() { return random_() >> (31 + random_.bounded(33)); }

  void set(Modelled& timer) {
    std::uint64_t deadline = now_ + some_delay();
    if (random_.bounded(8) == 0) deadline = now_ - std::min(now_, random_.bounded(1000));
    if (random_.bounded(50) == 0) deadline = Timer::kNever;
    timer.deadline = deadline;
    timer.due_by = std::max(deadline, now_ + 1);
    wheel_.set(timer, deadline);
  }
  void forget(Modelled& timer) {
    wheel_.cancel(timer);
    timer.deadline = timer.due_by = Timer::kNever;
  }
  void cancel() { forget(*timers_[random_.bounded(timers_.size())]); }
  void destroy() { timers_[random_.bounded(timers_.size())] = std::make_unique<Modelled>(); }

  void advance_to_next() {
    const std::uint64_t wait = wheel_.next_in_ms(now_);
    if (wait != Timer::kNever) advance(std::min(wait, 100 * kHourMs));
  }
  void advance(std::uint64_t by) {
    now_ += std::min(by, 100 * kHourMs);
    if (random_.bounded(2) == 0 && wheel_.pass(now_)) {
      for (const auto& timer : timers_) EXPECT_GT(timer->due_by, now_) << "passed over";
      return;
    }
    const std::size_t budget = random_.bounded(3) == 0 ? random_.bounded(4) : kNoBudget;
    std::size_t fired = 0;
    const bool remain = wheel_.expire(now_, budget, [&](Timer& timer) {
      ++fired;
      fire(static_cast<Modelled&>(timer));
    });
    EXPECT_LE(fired, budget);
    bool overdue = false;
    bool due = false;
    for (const auto& timer : timers_) {
      overdue = overdue || timer->due_by <= now_;
      due = due || timer->deadline <= now_;
    }
    EXPECT_TRUE(remain || !overdue) << "late at " << now_;
    EXPECT_TRUE(!remain || due) << "nothing was left at " << now_;
    EXPECT_TRUE(!remain || fired == budget) << "stopped within its budget at " << now_;
  }
  void fire(Modelled& timer) {
    EXPECT_LE(timer.deadline, now_) << "early";
    EXPECT_EQ(timer.deadline_ms(), Timer::kNever);
    timer.deadline = timer.due_by = Timer::kNever;
    if (!set_again_) return;
    const std::uint64_t choice = random_.bounded(6);
    if (choice == 0) set(timer);
    if (choice == 1) set(*timers_[random_.bounded(timers_.size())]);
    if (choice == 2) cancel();
    if (choice == 3) destroy();  // Perhaps the very one that fires.
  }

  void check_next() {
    std::uint64_t due_by = Timer::kNever;
    for (const auto& timer : timers_) due_by = std::min(due_by, timer->due_by);
    const std::uint64_t next = wheel_.next_in_ms(now_);
    if (due_by == Timer::kNever) return;
    EXPECT_LE(next, due_by > now_ ? due_by - now_ : 0) << "would oversleep at " << now_;
  }

  Prng random_;
  std::uint64_t now_;
  TimerWheel wheel_;
  std::vector<std::unique_ptr<Modelled>> timers_;
  bool set_again_ = true;
};

TEST(TimerWheelScript, NeverEarlyNeverLateNeverLost) {
  std::uint64_t seed = 1;
  for (const std::uint64_t start : kStarts) {
    for (int run = 0; run < 10; ++run, ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      TimerScript script(seed, start);
      for (int i = 0; i < 3000 && !testing::Test::HasFailure(); ++i) script.step();
      script.finish();
    }
  }
}

}  // namespace
}  // namespace weir::loop
