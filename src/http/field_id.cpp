// Recognition by a perfect hash of the length, the first two and the last two bytes, then one
// comparison. The multiplier is searched for while compiling, so that a new name needs no thought.
#include "http/field_id.h"

#include <array>
#include <cstring>

#include "http/scan.h"

namespace weir::http {
namespace {

constexpr std::size_t kNameBytesMax = 32;

struct Known {
  FieldId id = FieldId::other;
  std::string_view spelling;
};

using enum FieldId;

constexpr Known kKnown[] = {
    {host, "Host"},
    {content_length, "Content-Length"},
    {transfer_encoding, "Transfer-Encoding"},
    {connection, "Connection"},
    {keep_alive, "Keep-Alive"},
    {proxy_connection, "Proxy-Connection"},
    {te, "TE"},
    {upgrade, "Upgrade"},
    {http2_settings, "HTTP2-Settings"},
    {proxy_authenticate, "Proxy-Authenticate"},
    {proxy_authentication_info, "Proxy-Authentication-Info"},
    {proxy_authorization, "Proxy-Authorization"},
    {trailer, "Trailer"},
    {expect, "Expect"},
    {max_forwards, "Max-Forwards"},
    {via, "Via"},
    {date, "Date"},
    {server, "Server"},
    {forwarded, "Forwarded"},
    {x_forwarded_for, "X-Forwarded-For"},
    {x_forwarded_proto, "X-Forwarded-Proto"},
    {x_forwarded_host, "X-Forwarded-Host"},
    {x_real_ip, "X-Real-IP"},
    {age, "Age"},
    {authorization, "Authorization"},
    {cache_control, "Cache-Control"},
    {content_encoding, "Content-Encoding"},
    {content_range, "Content-Range"},
    {content_type, "Content-Type"},
    {cookie, "Cookie"},
    {expires, "Expires"},
    {if_match, "If-Match"},
    {if_modified_since, "If-Modified-Since"},
    {if_none_match, "If-None-Match"},
    {if_range, "If-Range"},
    {if_unmodified_since, "If-Unmodified-Since"},
    {location, "Location"},
    {pragma, "Pragma"},
    {range, "Range"},
    {retry_after, "Retry-After"},
    {set_cookie, "Set-Cookie"},
    {vary, "Vary"},
    {warning, "Warning"},
    {www_authenticate, "WWW-Authenticate"},
};
// `other` and `x_forwarded_other` have no name of their own.
static_assert(std::size(kKnown) + 2 == kFieldIdCount);

constexpr std::size_t kSlots = 256;

constexpr unsigned fold(char byte) { return static_cast<unsigned char>(byte) | 0x20U; }

// At least two bytes. Cheap enough to be asked about every field: two loads, one multiplication.
constexpr std::size_t hash(std::string_view name, unsigned multiplier) {
  const auto byte = [name](std::size_t i) { return unsigned{static_cast<unsigned char>(name[i])}; };
  const unsigned size = static_cast<unsigned>(name.size());
  const unsigned first = byte(0) | byte(1) << 8;
  const unsigned last = byte(size - 2) | byte(size - 1) << 8;
  const unsigned key = ((first | last << 16) | 0x20202020U) + size * 0x01010101U;
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

constexpr unsigned kMultiplier = find_multiplier();

// The parts of a slot lie apart, so that most names that are none of ours touch the sizes only.
struct Table {
  std::array<std::uint8_t, kSlots> sizes{};
  std::array<FieldId, kSlots> ids{};
  std::array<std::array<char, kNameBytesMax>, kSlots> names{};  // Lower case.
};

consteval Table make_table() {
  Table table;
  for (const Known& known : kKnown) {
    const std::size_t slot = hash(known.spelling, kMultiplier);
    table.ids[slot] = known.id;
    table.sizes[slot] = static_cast<std::uint8_t>(known.spelling.size());
    for (std::size_t i = 0; i < known.spelling.size(); ++i) {
      table.names[slot][i] = scan::lower(known.spelling[i]);
    }
  }
  return table;
}

constexpr Table kTable = make_table();

constexpr std::array<std::string_view, kFieldIdCount> make_spellings() {
  std::array<std::string_view, kFieldIdCount> names{};
  for (const Known& known : kKnown) names[static_cast<std::size_t>(known.id)] = known.spelling;
  return names;
}

constexpr std::array<std::string_view, kFieldIdCount> kSpellings = make_spellings();

template <typename Word>
bool differs(const char* name, const char* wanted) {
  constexpr Word kFold = static_cast<Word>(0x2020'2020'2020'2020);
  Word a;
  Word b;
  std::memcpy(&a, name, sizeof(a));
  std::memcpy(&b, wanted, sizeof(b));
  return (a | kFold) != (b | kFold);
}

// Folding with 0x20 maps no other token byte onto a letter, digit or '-'.
bool equals(const char* name, const char* wanted, std::size_t size) {
  if (size >= 8) {
    for (std::size_t i = 0; i + 8 < size; i += 8) {
      if (differs<std::uint64_t>(name + i, wanted + i)) return false;
    }
    return !differs<std::uint64_t>(name + size - 8, wanted + size - 8);
  }
  if (size >= 4) {
    return !differs<std::uint32_t>(name, wanted) &&
           !differs<std::uint32_t>(name + size - 4, wanted + size - 4);
  }
  return !differs<std::uint16_t>(name, wanted) &&
         !differs<std::uint16_t>(name + size - 2, wanted + size - 2);
}

// CGI and its heirs read '_' and '-' alike, so a spoofed X_Forwarded_For counts as one of the
// family.
bool has_prefix_loosely(std::string_view name, std::string_view prefix) {
  if (name.size() < prefix.size()) return false;
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    const char byte = name[i] == '_' ? '-' : scan::lower(name[i]);
    if (byte != prefix[i]) return false;
  }
  return true;
}

FieldId unlisted_id(std::string_view name) {
  if (fold(name.front()) != 'x' || name.size() < 9) return other;
  if (has_prefix_loosely(name, "x-forwarded-")) return x_forwarded_other;
  return name.size() == 9 && has_prefix_loosely(name, "x-real-ip") ? x_real_ip : other;
}

}  // namespace

FieldId field_id(std::string_view name) {
  if (name.size() < 2) return other;
  const std::size_t slot = hash(name, kMultiplier);
  if (kTable.sizes[slot] == name.size() &&
      equals(name.data(), kTable.names[slot].data(), name.size())) {
    return kTable.ids[slot];
  }
  return unlisted_id(name);
}

std::string_view field_name(FieldId id) { return kSpellings[static_cast<std::size_t>(id)]; }

}  // namespace weir::http
