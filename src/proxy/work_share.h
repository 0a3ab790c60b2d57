// How much of its work a worker should give away, and to whom. Pure.
//
// Work is the share of time that a worker does not spend waiting, in millionths. A worker gives
// only what makes it and the other one more alike: as much of its own as lies above the mean of
// all, and no more than the other one lies below it, or one client. So two who give to the same one
// do not drown it, when all are busy or all are idle nothing moves, and a client moves only if the
// two workers are nearer to each other afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::proxy {

struct WorkTuning {
  std::uint64_t interval_ms = 100;  // From one look at the others to the next; 0: nothing moves.
  std::uint32_t least = 100'000;    // Who works less than this gives nothing away.
  std::uint32_t margin = 50'000;    // Nor who works no more than this above the least busy one.
  std::uint32_t stay_ms = 500;      // A served client leaves no sooner, lest it goes to and fro.
};

inline constexpr std::uint32_t kAllWork = 1'000'000;
// Of a worker that takes nothing: it leaves, or has not begun.
inline constexpr std::uint32_t kAway = UINT32_MAX;

// Who has caused a worker's work since it looked last.
struct WorkCauses {
  std::uint32_t clients = 0;  // In steady use, each once.
  std::uint32_t fresh = 0;    // New connections.
};

// Of these, so many may go to worker `to` until the next look.
struct WorkShift {
  std::size_t to = 0;
  std::uint32_t clients = 0;
  std::uint32_t fresh = 0;
};

// `work`: of each worker, or kAway. `self` is the one that asks.
[[nodiscard]] WorkShift even_out(std::span<const std::uint32_t> work, std::size_t self,
                                 const WorkCauses& causes, const WorkTuning& tuning);

}  // namespace weir::proxy
