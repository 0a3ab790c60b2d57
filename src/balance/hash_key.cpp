#include "balance/hash_key.h"

#include <array>
#include <bit>
#include <cstring>

namespace weir::balance {

namespace {

constexpr std::uint64_t kPrime1 = 0x9E37'79B1'85EB'CA87;
constexpr std::uint64_t kPrime2 = 0xC2B2'AE3D'27D4'EB4F;
constexpr std::uint64_t kPrime3 = 0x1656'67B1'9E37'79F9;
constexpr std::uint64_t kPrime4 = 0x85EB'CA77'C2B2'AE63;
constexpr std::uint64_t kPrime5 = 0x27D4'EB2F'1656'67C5;

// Takes a little-endian number off the front.
template <typename Number>
std::uint64_t take(std::string_view& bytes) {
  static_assert(std::endian::native == std::endian::little, "the hash is defined on such numbers");
  Number number;
  std::memcpy(&number, bytes.data(), sizeof(number));
  bytes.remove_prefix(sizeof(number));
  return number;
}

std::uint64_t round(std::uint64_t lane, std::uint64_t input) {
  return std::rotl(lane + input * kPrime2, 31) * kPrime1;
}

// The body of inputs from 32 bytes on: four lanes, mixed into one.
std::uint64_t hash_stripes(std::string_view& bytes, std::uint64_t seed) {
  std::array lanes = {seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
  while (bytes.size() >= 32) {
    for (std::uint64_t& lane : lanes) lane = round(lane, take<std::uint64_t>(bytes));
  }
  std::uint64_t hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) +
                       std::rotl(lanes[3], 18);
  for (const std::uint64_t lane : lanes) hash = (hash ^ round(0, lane)) * kPrime1 + kPrime4;
  return hash;
}

}  // namespace

std::uint64_t hash_key(std::string_view bytes, std::uint64_t seed) {
  const std::uint64_t length = bytes.size();
  std::uint64_t hash = length >= 32 ? hash_stripes(bytes, seed) : seed + kPrime5;
  hash += length;
  while (bytes.size() >= 8) {
    hash ^= round(0, take<std::uint64_t>(bytes));
    hash = std::rotl(hash, 27) * kPrime1 + kPrime4;
  }
  if (bytes.size() >= 4) {
    hash ^= take<std::uint32_t>(bytes) * kPrime1;
    hash = std::rotl(hash, 23) * kPrime2 + kPrime3;
  }
  while (!bytes.empty()) {
    hash ^= take<std::uint8_t>(bytes) * kPrime5;
    hash = std::rotl(hash, 11) * kPrime1;
  }
  hash = (hash ^ (hash >> 33)) * kPrime2;
  hash = (hash ^ (hash >> 29)) * kPrime3;
  return hash ^ (hash >> 32);
}

}  // namespace weir::balance
