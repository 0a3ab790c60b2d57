// The floor under ejection: how many more servers of a backend may be ejected for their answers.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weir::health {

// A backend's servers, without those that are meant to take no requests. Every usable one counts as
// a server; an ejected one is not usable.
struct ServerCounts {
  std::uint32_t servers = 0;
  std::uint32_t ejected = 0;  // For whatever cause, trials included.
  std::uint32_t usable = 0;   // Would take a request now: not down, not ejected.
};

// At most `max_percent` of the servers, rounded down, may be ejected at one time, and never the
// last usable one.
[[nodiscard]] constexpr std::uint32_t ejection_room(const ServerCounts& counts,
                                                    std::uint32_t max_percent) {
  const std::uint64_t percent = std::min<std::uint32_t>(max_percent, 100);
  const auto allowed = static_cast<std::uint32_t>(counts.servers * percent / 100);
  const std::uint32_t by_share = allowed - std::min(allowed, counts.ejected);
  const std::uint32_t by_use = counts.usable - std::min(counts.usable, 1U);
  return std::min(by_share, by_use);
}

}  // namespace weir::health
