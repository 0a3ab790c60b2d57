// Scanning for the first byte outside a class, sixteen bytes at a time where the machine can.
//
// Each class has a scalar predicate, a scalar scan and a vector step that tells the same for 16
// bytes at once; tests compare the two at every byte value, length and alignment. SSE2 is part of
// every x86-64, so nothing is chosen at run time; other machines use the scalar scan. No scan reads
// outside the bytes it is given.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace weir::http::scan {

// Bits of kClasses.
enum ByteClass : std::uint8_t {
  kToken = 1,   // tchar, RFC 9110 5.6.2.
  kTarget = 2,  // Visible ASCII without '#': a fragment is never sent (RFC 9112 3.2).
  kValue = 4,   // field-vchar, SP, HTAB, obs-text: all but controls, RFC 9110 5.5.
  kHex = 8,
  kDigit = 16,
  kNotColon = 32,
  kRegName = 64,  // unreserved and sub-delims, RFC 3986 2.3 and 2.2: a name without percent signs.
};

constexpr bool is_one_of(unsigned byte, std::string_view bytes) {
  return byte < 0x80 && bytes.find(static_cast<char>(byte)) != std::string_view::npos;
}

constexpr std::uint8_t classify(unsigned byte) {
  const bool alpha = (byte | 0x20U) >= 'a' && (byte | 0x20U) <= 'z' && byte < 0x80;
  const bool digit = byte >= '0' && byte <= '9';
  const bool hex = digit || ((byte | 0x20U) >= 'a' && (byte | 0x20U) <= 'f' && byte < 0x80);
  unsigned classes = 0;
  if (alpha || digit || is_one_of(byte, "!#$%&'*+-.^_`|~")) classes |= kToken;
  if (byte > 0x20 && byte < 0x7f && byte != '#') classes |= kTarget;
  if ((byte >= 0x20 && byte != 0x7f) || byte == '\t') classes |= kValue;
  if (hex) classes |= kHex;
  if (digit) classes |= kDigit;
  if (byte != ':') classes |= kNotColon;
  if (alpha || digit || is_one_of(byte, "-._~!$&'()*+,;=")) classes |= kRegName;
  return static_cast<std::uint8_t>(classes);
}

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) table[byte] = classify(byte);
  return table;
}

inline constexpr std::array<std::uint8_t, 256> kClasses = make_classes();

[[nodiscard]] constexpr bool is(ByteClass wanted, char byte) {
  return (kClasses[static_cast<unsigned char>(byte)] & wanted) != 0;
}

[[nodiscard]] constexpr bool all(ByteClass wanted, std::string_view text) {
  for (const char byte : text) {
    if (!is(wanted, byte)) return false;
  }
  return true;
}

// SP or HTAB: OWS and BWS, RFC 9110 5.6.3.
[[nodiscard]] constexpr bool is_blank(char byte) { return byte == ' ' || byte == '\t'; }

// The text without blanks on either side.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

[[nodiscard]] constexpr char lower(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
}

// Equal without regard to the case of ASCII letters; `lower_case` has none in upper case.
[[nodiscard]] constexpr bool equals_lower(std::string_view text, std::string_view lower_case) {
  if (text.size() != lower_case.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != lower_case[i]) return false;
  }
  return true;
}

// Equal without regard to the case of ASCII letters.
[[nodiscard]] constexpr bool equals_nocase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

template <ByteClass wanted>
[[nodiscard]] inline const char* find_end_scalar(const char* begin, const char* end) {
  while (begin != end && is(wanted, *begin)) ++begin;
  return begin;
}

#if defined(__SSE2__)

// Bytes of `v` at least `low` and at most `high`, unsigned: 0xff, others 0.
inline __m128i in_range(__m128i v, char low, char high) {
  const __m128i shifted = _mm_sub_epi8(v, _mm_set1_epi8(low));
  const __m128i width = _mm_set1_epi8(static_cast<char>(high - low));
  return _mm_cmpeq_epi8(_mm_min_epu8(shifted, width), shifted);
}

// Whether outside() tells of some bytes of the class that they are outside: the table knows.
template <ByteClass wanted>
inline constexpr bool kAsksTable = wanted == kToken || wanted == kRegName;

// Bytes of `v` outside the class: 0xff. Of tokens and host names only letters, digits, '-' and, in
// the latter, '.' count as inside: real ones have nothing else.
template <ByteClass wanted>
inline __m128i outside(__m128i v) {
  static_assert(kAsksTable<wanted> || wanted == kTarget || wanted == kValue || wanted == kNotColon);
  const __m128i ones = _mm_set1_epi8(-1);
  if constexpr (kAsksTable<wanted>) {
    const __m128i letter = in_range(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 'z');
    const __m128i digit = in_range(v, '0', '9');
    const __m128i mark = in_range(v, '-', wanted == kRegName ? '.' : '-');
    return _mm_xor_si128(_mm_or_si128(_mm_or_si128(letter, digit), mark), ones);
  } else if constexpr (wanted == kTarget) {
    const __m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));
    return _mm_or_si128(hash, _mm_xor_si128(in_range(v, 0x21, 0x7e), ones));
  } else if constexpr (wanted == kNotColon) {
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(':'));
  } else {
    const __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
    const __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
    return _mm_or_si128(del, _mm_andnot_si128(tab, in_range(v, 0, 0x1f)));
  }
}

// First byte of [begin, end) outside the class, or end. Bytes from `floor` on may be read, too:
// with them the last few bytes still fill a register.
template <ByteClass wanted>
[[nodiscard]] inline const char* find_end(const char* floor, const char* begin, const char* end) {
  const auto outside_mask = [](const char* at) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    return static_cast<unsigned>(_mm_movemask_epi8(outside<wanted>(v)));
  };
  while (end - begin >= 16) {
    const unsigned mask = outside_mask(begin);
    if (mask == 0) {
      begin += 16;
      continue;
    }
    begin += static_cast<unsigned>(std::countr_zero(mask));
    if (!kAsksTable<wanted> || !is(wanted, *begin)) return begin;
    ++begin;
  }
  if (end - floor >= 16) {
    const unsigned mask = outside_mask(end - 16) >> (16 - (end - begin));
    if (mask == 0) return end;
    begin += static_cast<unsigned>(std::countr_zero(mask));
    if (!kAsksTable<wanted>) return begin;
  }
  return find_end_scalar<wanted>(begin, end);
}

#else

template <ByteClass wanted>
[[nodiscard]] inline const char* find_end(const char* /*floor*/, const char* begin,
                                          const char* end) {
  return find_end_scalar<wanted>(begin, end);
}

#endif

}  // namespace weir::http::scan
