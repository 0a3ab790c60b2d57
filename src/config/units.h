// Durations with their units: "250ms", "1m30s".
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
// At most kDurationMax; whether zero is allowed is for the caller to say.
inline constexpr Milliseconds kDurationMax = std::chrono::hours{24};
[[nodiscard]] Result<Milliseconds, Problem> parse_duration(std::string_view text);

}  // namespace weir::config
