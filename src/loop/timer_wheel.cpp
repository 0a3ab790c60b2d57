#include "loop/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace weir::loop {
namespace {

// Distance from `from` to the next set bit in a ring of 256 bits, at least 1; 0 when none is set.
std::size_t distance_to_bit(const std::array<std::uint64_t, 4>& bits, std::size_t from) {
  for (std::size_t step = 1; step <= 256;) {
    const std::size_t at = (from + step) % 256;
    const std::uint64_t word = bits[at / 64] >> (at % 64);
    if (word != 0) return step + static_cast<std::size_t>(std::countr_zero(word));
    step += 64 - at % 64;
  }
  return 0;
}

}  // namespace

void TimerWheel::cancel(Timer& timer) {
  timer.unlink();
  timer.deadline_ms_ = Timer::kNever;
}

void TimerWheel::place(Timer& timer) {
  if (timer.deadline_ms_ == Timer::kNever) return;
  constexpr std::uint64_t kSpan = std::uint64_t{1} << (kSlotBits * kLevels);
  const std::uint64_t earliest = now_ms_ + 1;
  const std::uint64_t latest = now_ms_ + kSpan - 1;
  const std::uint64_t at = std::clamp(timer.deadline_ms_, earliest, latest);
  timer.scheduled_ms_ = at;
  // The level is that of the highest digit in which the time differs from now.
  const unsigned differing = static_cast<unsigned>(std::bit_width(at ^ now_ms_));
  const unsigned level = std::min((std::max(differing, 1u) - 1) / kSlotBits, kLevels - 1);
  const std::size_t slot = (at >> (level * kSlotBits)) % kSlots;
  levels_[level].slots[slot].push_back(timer);
  levels_[level].occupied[slot / 64] |= std::uint64_t{1} << (slot % 64);
  const std::uint64_t slot_begins = at >> (level * kSlotBits) << (level * kSlotBits);
  next_tick_ms_ = std::min(next_tick_ms_, slot_begins);
}

void TimerWheel::take_slot(unsigned level, std::size_t slot, IntrusiveList<Timer, TimerTag>& into) {
  into.take_all(levels_[level].slots[slot]);
  levels_[level].occupied[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
}

// Hands the timers of the slot that begins now down to finer levels.
void TimerWheel::cascade(unsigned level) {
  const std::size_t slot = (now_ms_ >> (level * kSlotBits)) % kSlots;
  if (slot == 0 && level + 1 < kLevels) cascade(level + 1);
  IntrusiveList<Timer, TimerTag> moving;
  take_slot(level, slot, moving);
  while (Timer* timer = moving.pop_front()) {
    if (timer->deadline_ms_ <= now_ms_) {
      timer->scheduled_ms_ = now_ms_;
      due_.push_back(*timer);
    } else {
      place(*timer);
    }
  }
}

// Goes from occupied slot to occupied slot, so a jump of the clock by hours costs no more than the
// timers it passes.
void TimerWheel::collect(std::uint64_t now_ms) {
  while (next_tick_ms_ <= now_ms) {
    now_ms_ = next_tick_ms_;
    if (now_ms_ % kSlots == 0) cascade(1);
    take_slot(0, now_ms_ % kSlots, due_);
    next_tick_ms_ = find_next_tick();
  }
}

// The next tick at which a slot that may hold timers begins; kNever when all are empty.
std::uint64_t TimerWheel::find_next_tick() const {
  std::uint64_t next = Timer::kNever;
  for (unsigned level = 0; level < kLevels; ++level) {
    const unsigned shift = level * kSlotBits;
    const std::uint64_t slot = now_ms_ >> shift;
    const std::size_t distance = distance_to_bit(levels_[level].occupied, slot % kSlots);
    if (distance != 0) next = std::min(next, (slot + distance) << shift);
  }
  return next;
}

}  // namespace weir::loop
