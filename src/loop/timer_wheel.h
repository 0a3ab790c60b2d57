// TimerWheel: deadlines for very many objects, in O(1) each, with no system call.
//
// A hierarchical wheel of 4 levels x 256 slots with ticks of one millisecond covers 49 days. A
// timer sits in the slot of its scheduled time; moving its deadline later is one store, because
// the wheel looks again when the slot comes up and puts the timer where it now belongs. So the
// deadline of a busy connection, which moves with every request, costs next to nothing.
//
// Owned by one loop. Timers are embedded in their objects, which unlink them on destruction.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/intrusive_list.h"

namespace weir::loop {

struct TimerTag;

class Timer : public ListLink<TimerTag> {
 public:
  static constexpr std::uint64_t kNever = UINT64_MAX;

  // Milliseconds of the loop's clock, or kNever.
  [[nodiscard]] std::uint64_t deadline_ms() const { return deadline_ms_; }

 private:
  friend class TimerWheel;
  std::uint64_t deadline_ms_ = kNever;
  std::uint64_t scheduled_ms_ = kNever;  // The tick whose slot the timer sits in.
};

class TimerWheel {
 public:
  explicit TimerWheel(std::uint64_t now_ms) : now_ms_(now_ms) {}

  // Due at or after `deadline_ms`, never before. A deadline in the past is due on the next tick.
  // kNever cancels without taking the timer out: cheaper where another deadline follows soon.
  void set(Timer& timer, std::uint64_t deadline_ms) {
    timer.deadline_ms_ = deadline_ms;
    if (timer.linked() && timer.scheduled_ms_ <= deadline_ms) return;  // Looked at again in time.
    timer.unlink();
    place(timer);
  }
  void cancel(Timer& timer);

  // Advances to now_ms if nothing is due by then; else the caller has to expire().
  [[nodiscard]] bool pass(std::uint64_t now_ms) {
    if (next_tick_ms_ <= now_ms || !due_.empty()) return false;
    now_ms_ = std::max(now_ms_, now_ms);
    return true;
  }

  // Advances to now_ms and calls due(Timer&) for at most `budget` timers; the rest are due on the
  // next call. A due timer is out of the wheel and may be set again or destroyed inside the call.
  // Returns whether due timers remain.
  template <typename Due>
  bool expire(std::uint64_t now_ms, std::size_t budget, Due due) {
    if (next_tick_ms_ <= now_ms) collect(now_ms);
    now_ms_ = std::max(now_ms_, now_ms);
    while (Timer* timer = due_.front()) {
      if (timer->deadline_ms_ > now_ms_) {  // Moved later since it was put here.
        timer->unlink();
        place(*timer);
        continue;
      }
      if (budget-- == 0) return true;
      timer->unlink();
      timer->deadline_ms_ = Timer::kNever;
      due(*timer);
    }
    return false;
  }

  // Milliseconds from now_ms until something may be due; kNever when nothing is scheduled. May be
  // early (the caller just waits again), never late.
  [[nodiscard]] std::uint64_t next_in_ms(std::uint64_t now_ms) const {
    if (!due_.empty()) return 0;
    if (next_tick_ms_ == Timer::kNever) return Timer::kNever;
    return next_tick_ms_ > now_ms ? next_tick_ms_ - now_ms : 0;
  }

 private:
  static constexpr unsigned kLevels = 4;
  static constexpr unsigned kSlotBits = 8;
  static constexpr std::size_t kSlots = std::size_t{1} << kSlotBits;

  struct Level {
    std::array<IntrusiveList<Timer, TimerTag>, kSlots> slots;
    std::array<std::uint64_t, kSlots / 64> occupied{};  // May name empty slots, never misses one.
  };

  void place(Timer& timer);
  void collect(std::uint64_t now_ms);
  [[nodiscard]] std::uint64_t find_next_tick() const;
  void cascade(unsigned level);
  void take_slot(unsigned level, std::size_t slot, IntrusiveList<Timer, TimerTag>& into);

  std::array<Level, kLevels> levels_;
  IntrusiveList<Timer, TimerTag> due_;
  std::uint64_t now_ms_;
  // The next tick at which a slot that may hold timers begins; kNever when all are empty.
  std::uint64_t next_tick_ms_ = Timer::kNever;
};

}  // namespace weir::loop
