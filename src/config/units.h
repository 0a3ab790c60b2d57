// Durations with their units: "250ms", "1m30s"; rates: "100/s", "5/10m".
//
// A number without a unit is refused: nobody remembers whether a timeout was seconds or
// milliseconds, and neither does the next reader of the file.
#pragma once

#include <string_view>

#include "base/result.h"
#include "config/config.h"
#include "config/problem.h"

namespace weir::config {

// One or more whole numbers with the units h, m, s, ms, each unit smaller than the one before.
// At most `most`, whole hours; whether zero is allowed is for the caller to say.
inline constexpr Milliseconds kDurationMax = std::chrono::hours{24};
[[nodiscard]] Result<Milliseconds, Problem> parse_duration(std::string_view text,
                                                           Milliseconds most = kDurationMax);

struct Rate {
  std::uint32_t count = 0;  // 1..kRateMax
  Milliseconds per{0};      // 1 ms to kDurationMax.

  bool operator==(const Rate&) const = default;
};

// "100/s", "600/min", "5/h", "100/10s": a count and a unit or a duration.
inline constexpr std::uint32_t kRateMax = 10'000'000;
[[nodiscard]] Result<Rate, Problem> parse_rate(std::string_view text);

}  // namespace weir::config
