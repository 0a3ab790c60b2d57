// IP addresses as text, for headers and names that may hold one.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::wire {

using IpBytes = std::array<std::uint8_t, 16>;  // IPv4 in the first four, zeros behind them.

inline constexpr std::size_t kIpTextMax = 46;  // With the zero byte that write_ipv6 needs room for.

// Four decimal numbers without leading zeros.
[[nodiscard]] std::optional<IpBytes> parse_ipv4(std::string_view text);
// RFC 4291 2.2, all three forms; neither brackets nor a zone.
[[nodiscard]] std::optional<IpBytes> parse_ipv6(std::string_view text);

// Write to `out` (kIpTextMax bytes) and return how many bytes the text has.
[[nodiscard]] std::size_t write_ipv4(char* out, const IpBytes& ip);
[[nodiscard]] std::size_t write_ipv6(char* out, const IpBytes& ip);

}  // namespace weir::wire
