// The preferred date format of HTTP (RFC 9110 5.6.7).
#pragma once

#include <array>
#include <cstdint>

namespace weir::http {

inline constexpr std::size_t kDateBytes = 29;  // "Sun, 06 Nov 1994 08:49:37 GMT"

// From seconds since 1970, leap seconds not counted; valid for the years 1970 to 9999.
[[nodiscard]] std::array<char, kDateBytes> format_date(std::uint64_t unix_seconds);

}  // namespace weir::http
