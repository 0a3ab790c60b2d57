// CRC32C (Castagnoli), as RFC 3720 12.1 and RFC 4960 appendix B have it. Headers of the PROXY
// protocol may carry one; they are short and rare, so a table of one byte's width will do.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weir::wire {

constexpr std::array<std::uint32_t, 256> make_crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ ((rest & 1) != 0 ? 0x82f63b78U : 0U);
    table[byte] = rest;
  }
  return table;
}

inline constexpr std::array<std::uint32_t, 256> kCrc32cTable = make_crc32c_table();

class Crc32c {
 public:
  constexpr void add(std::string_view bytes) {
    for (const char byte : bytes) {
      state_ = kCrc32cTable[(state_ ^ static_cast<unsigned char>(byte)) & 0xff] ^ state_ >> 8;
    }
  }
  [[nodiscard]] constexpr std::uint32_t value() const { return ~state_; }

 private:
  std::uint32_t state_ = 0xffffffff;
};

}  // namespace weir::wire
