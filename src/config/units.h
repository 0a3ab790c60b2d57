// Durations and sizes with their units: "250ms", "1m30s", "16KiB".
//
// A number without a unit is refused: nobody remembers whether a timeout was seconds or
// milliseconds, and neither does the next reader of the file.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "config/config.h"
#include "config/problem.h"

namespace weir::config {

// One or more whole numbers with the units h, m, s, ms, each unit smaller than the one before.
// At most kDurationMax; whether zero is allowed is for the caller to say.
inline constexpr Milliseconds kDurationMax = std::chrono::hours{24};
[[nodiscard]] Result<Milliseconds, Problem> parse_duration(std::string_view text);

// One whole number with B, kB/KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (of 1024).
// At most 2^63 - 1 bytes.
[[nodiscard]] Result<std::uint64_t, Problem> parse_size(std::string_view text);

}  // namespace weir::config
