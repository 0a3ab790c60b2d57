// Slow start: the share of its weight that a server gets while it warms up after its return.
//
// Linear from a floor. A rising share of the requests is itself what fills the server's caches, so
// by the time t the server has seen about t squared of them; a curve that starts slower (a power of
// t) spends most of its time at a share too small to warm anything. The floor, a tenth, keeps a
// server of weight 1 from being starved by rounding, and lets the first request come at once.
#pragma once

#include <cstdint>

namespace weir::health {

inline constexpr std::uint32_t kShareFull = 1'024;
inline constexpr std::uint32_t kShareFloor = 102;

// In 1/1024 of the full weight. `since_ms` is the return, 0 for none; a `now_ms` before it (the
// clock of another worker's turn) counts as the moment itself. Durations are below 2^50 ms.
[[nodiscard]] constexpr std::uint32_t slow_start_share(std::uint64_t now_ms, std::uint64_t since_ms,
                                                       std::uint64_t duration_ms) {
  if (since_ms == 0 || duration_ms == 0) return kShareFull;
  const std::uint64_t elapsed = now_ms > since_ms ? now_ms - since_ms : 0;
  if (elapsed >= duration_ms) return kShareFull;
  return kShareFloor +
         static_cast<std::uint32_t>(elapsed * (kShareFull - kShareFloor) / duration_ms);
}

}  // namespace weir::health
