// Status codes: classes and registered reason phrases (RFC 9110 15).
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

// The registered phrase, or "Unknown".
[[nodiscard]] std::string_view reason_phrase(std::uint16_t status);

// RFC 9110 15.2.
[[nodiscard]] constexpr bool is_interim(std::uint16_t status) {
  return status >= 100 && status < 200;
}

// RFC 9112 6.3 step 1: these never have a body, whatever their fields say.
[[nodiscard]] constexpr bool is_bodiless(std::uint16_t status) {
  return is_interim(status) || status == 204 || status == 304;
}

}  // namespace weir::http
