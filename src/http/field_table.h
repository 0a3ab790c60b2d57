// The table behind field_id(), for those who cannot afford a call: it is asked about every field
// line.
//
// Recognition by a perfect hash of the length, the first two and the last two bytes, then one
// comparison. The multiplier is searched for while compiling, so that a new name needs no thought.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

#include "http/field_id.h"
#include "http/scan.h"

namespace weir::http::field_table {

struct Known {
  FieldId id = FieldId::other;
  std::string_view spelling;
};

inline constexpr Known kKnown[] = {
    {FieldId::host, "Host"},
    {FieldId::content_length, "Content-Length"},
    {FieldId::transfer_encoding, "Transfer-Encoding"},
    {FieldId::connection, "Connection"},
    {FieldId::keep_alive, "Keep-Alive"},
    {FieldId::proxy_connection, "Proxy-Connection"},
    {FieldId::te, "TE"},
    {FieldId::upgrade, "Upgrade"},
    {FieldId::http2_settings, "HTTP2-Settings"},
    {FieldId::proxy_authenticate, "Proxy-Authenticate"},
    {FieldId::proxy_authentication_info, "Proxy-Authentication-Info"},
    {FieldId::proxy_authorization, "Proxy-Authorization"},
    {FieldId::trailer, "Trailer"},
    {FieldId::expect, "Expect"},
    {FieldId::max_forwards, "Max-Forwards"},
    {FieldId::via, "Via"},
    {FieldId::date, "Date"},
    {FieldId::server, "Server"},
    {FieldId::forwarded, "Forwarded"},
    {FieldId::x_forwarded_for, "X-Forwarded-For"},
    {FieldId::x_forwarded_proto, "X-Forwarded-Proto"},
    {FieldId::x_forwarded_host, "X-Forwarded-Host"},
    {FieldId::x_real_ip, "X-Real-IP"},
    {FieldId::age, "Age"},
    {FieldId::authorization, "Authorization"},
    {FieldId::cache_control, "Cache-Control"},
    {FieldId::content_encoding, "Content-Encoding"},
    {FieldId::content_range, "Content-Range"},
    {FieldId::content_type, "Content-Type"},
    {FieldId::cookie, "Cookie"},
    {FieldId::expires, "Expires"},
    {FieldId::if_match, "If-Match"},
    {FieldId::if_modified_since, "If-Modified-Since"},
    {FieldId::if_none_match, "If-None-Match"},
    {FieldId::if_range, "If-Range"},
    {FieldId::if_unmodified_since, "If-Unmodified-Since"},
    {FieldId::location, "Location"},
    {FieldId::pragma, "Pragma"},
    {FieldId::range, "Range"},
    {FieldId::retry_after, "Retry-After"},
    {FieldId::set_cookie, "Set-Cookie"},
    {FieldId::vary, "Vary"},
    {FieldId::warning, "Warning"},
    {FieldId::www_authenticate, "WWW-Authenticate"},

    // Mean nothing to weir, but most messages have some of them: the bytes of a name need no look
    // when it is in the list.
    {FieldId::other, "Accept"},
    {FieldId::other, "Accept-Encoding"},
    {FieldId::other, "Accept-Language"},
    {FieldId::other, "Accept-Ranges"},
    {FieldId::other, "Content-Language"},
    {FieldId::other, "ETag"},
    {FieldId::other, "Last-Modified"},
    {FieldId::other, "Origin"},
    {FieldId::other, "Referer"},
    {FieldId::other, "Sec-Fetch-Dest"},
    {FieldId::other, "Sec-Fetch-Mode"},
    {FieldId::other, "Sec-Fetch-Site"},
    {FieldId::other, "User-Agent"},
};
// `x_forwarded_other` has no name of its own.
static_assert(std::ranges::count(kKnown, FieldId::other, &Known::id) + kFieldIdCount - 2 ==
              std::size(kKnown));
static_assert(std::size(kKnown) <= 64, "a perfect hash of more is looked for too long");

inline constexpr std::size_t kSlots = 256;
inline constexpr std::size_t kNameBytesMax = 30;

// Two bytes in the order of memory, on the machines weir runs on; while compiling the same.
[[nodiscard]] constexpr std::uint16_t load_two(const char* at) {
  if (std::is_constant_evaluated()) {
    const auto byte = [at](int i) { return static_cast<unsigned char>(at[i]); };
    return static_cast<std::uint16_t>(byte(0) | byte(1) << 8);
  }
  std::uint16_t bytes;
  std::memcpy(&bytes, at, sizeof(bytes));
  return bytes;
}

// At least two bytes. Cheap: two loads, one multiplication.
[[nodiscard]] constexpr std::size_t hash(std::string_view name, unsigned multiplier) {
  const unsigned first = load_two(name.data());
  const unsigned last = load_two(name.data() + name.size() - 2);
  const unsigned key =
      ((first | last << 16) | 0x20202020U) + 4 * static_cast<unsigned>(name.size());
  return (key * multiplier) >> 24;
}

consteval bool is_perfect(unsigned multiplier) {
  std::array<bool, kSlots> taken{};
  for (const Known& known : kKnown) {
    bool& slot = taken[hash(known.spelling, multiplier)];
    if (slot) return false;
    slot = true;
  }
  return true;
}

consteval unsigned find_multiplier() {
  unsigned multiplier = 0x9e3779b1;
  while (!is_perfect(multiplier)) multiplier = multiplier * 1664525U + 1013904223U;
  return multiplier;
}

inline constexpr unsigned kMultiplier = find_multiplier();

// Half a cache line.
struct Slot {
  std::array<char, kNameBytesMax> name{};  // Lower case.
  std::uint8_t size = 0;
  FieldId id = FieldId::other;
};
static_assert(sizeof(Slot) == 32);

using Table = std::array<Slot, kSlots>;

consteval Table make_table() {
  Table table;
  for (const Known& known : kKnown) {
    Slot& slot = table[hash(known.spelling, kMultiplier)];
    slot.id = known.id;
    slot.size = static_cast<std::uint8_t>(known.spelling.size());
    for (std::size_t i = 0; i < known.spelling.size(); ++i) {
      slot.name[i] = scan::lower(known.spelling[i]);
    }
  }
  return table;
}

inline constexpr Table kTable = make_table();

// `lower_case` holds letters, digits and '-'. Of those the letters alone have 0x40, and an upper
// case letter lacks the 0x20 next to it: nothing but the same letter in the other case is taken for
// one.
template <typename Word>
[[nodiscard]] inline bool differs(const char* name, const char* lower_case) {
  constexpr Word kCaseBits = static_cast<Word>(0x2020'2020'2020'2020);
  Word a;
  Word b;
  std::memcpy(&a, name, sizeof(a));
  std::memcpy(&b, lower_case, sizeof(b));
  return (a | (b >> 1 & kCaseBits)) != b;
}

// Words that overlap compare any size of two or more.
[[nodiscard]] inline bool equals(const char* name, const char* lower_case, std::size_t size) {
  if (size >= 8) {
    if (differs<std::uint64_t>(name, lower_case)) return false;
    if (differs<std::uint64_t>(name + size - 8, lower_case + size - 8)) return false;
    for (std::size_t i = 8; i + 8 < size; i += 8) {
      if (differs<std::uint64_t>(name + i, lower_case + i)) return false;
    }
    return true;
  }
  if (size >= 4) {
    return !differs<std::uint32_t>(name, lower_case) &&
           !differs<std::uint32_t>(name + size - 4, lower_case + size - 4);
  }
  return !differs<std::uint16_t>(name, lower_case) &&
         !differs<std::uint16_t>(name + size - 2, lower_case + size - 2);
}

// The id of a name in the list; nothing for all others. The name may hold any bytes.
[[nodiscard]] inline std::optional<FieldId> find(std::string_view name) {
  if (name.size() < 2) return std::nullopt;
  const Slot& slot = kTable[hash(name, kMultiplier)];
  if (slot.size != name.size()) return std::nullopt;
  if (!equals(name.data(), slot.name.data(), name.size())) return std::nullopt;
  return slot.id;
}

// The id of a name that begins with 'x' and is not in the list.
[[nodiscard]] FieldId find_unlisted_x(std::string_view name);

// The id of a name that is not in the list.
[[nodiscard]] inline FieldId find_unlisted(std::string_view name) {
  if (name.size() < 9 || scan::lower(name.front()) != 'x') return FieldId::other;
  return find_unlisted_x(name);
}

}  // namespace weir::http::field_table
