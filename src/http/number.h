// Decimal and hexadecimal numbers as HTTP writes them: digits only, no sign, no blanks.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/scan.h"

namespace weir::http {

inline constexpr std::size_t kDecimalDigitsMax = 20;  // 2^64 - 1.

// 1*DIGIT, at most `max`; nothing for an empty text, any other byte, or a larger number. Leading
// zeros count for nothing.
[[nodiscard]] constexpr std::optional<std::uint64_t> parse_decimal(std::string_view text,
                                                                   std::uint64_t max) {
  if (text.empty()) return std::nullopt;
  std::uint64_t number = 0;
  for (const char byte : text) {
    if (!scan::is(scan::kDigit, byte)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(byte - '0');
    if (number > max / 10 || digit > max - number * 10) return std::nullopt;
    number = number * 10 + digit;
  }
  return number;
}

// Value of one hexadecimal digit.
[[nodiscard]] constexpr unsigned hex_value(char digit) {
  const auto byte = static_cast<unsigned char>(digit);
  return byte <= '9' ? byte - unsigned{'0'} : (byte | 0x20U) - unsigned{'a'} + 10;
}

// Writes the number without leading zeros, at most kDecimalDigitsMax bytes; returns how many.
[[nodiscard]] constexpr std::size_t write_decimal(char* out, std::uint64_t number) {
  char reversed[kDecimalDigitsMax] = {};
  std::size_t size = 0;
  do {
    reversed[size++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  for (std::size_t i = 0; i < size; ++i) out[i] = reversed[size - 1 - i];
  return size;
}

}  // namespace weir::http
