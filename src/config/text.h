// Small text helpers of the configuration: spelling suggestions, names, UTF-8, safe quoting.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir::config {

// The candidate `word` was probably meant to be, or nothing. Case, '-' and '_' do not count; then
// few typing errors (one per three letters), then an abbreviation of exactly one candidate.
[[nodiscard]] std::optional<std::string_view> closest(std::string_view word,
                                                      std::span<const std::string_view> candidates);

// [A-Za-z0-9_.-]{1,64}: what listeners, backends and servers may be called.
[[nodiscard]] bool is_name(std::string_view text);

[[nodiscard]] bool all_digits(std::string_view text);
[[nodiscard]] std::string_view trim(std::string_view text);
[[nodiscard]] std::string lower(std::string_view text);

// One code point at the start of `text`, which must not be empty.
struct Decoded {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;  // Invalid: one byte that does not start a well-formed sequence.
};
[[nodiscard]] Decoded decode_utf8(std::string_view text);

// `text` with controls and broken UTF-8 replaced by U+FFFD; line ends stay when `lines` is set.
[[nodiscard]] std::string printable(std::string_view text, bool lines = false);

// What a message says about a piece of the file: printable, at most 60 characters, in backticks.
[[nodiscard]] std::string in_backticks(std::string_view text);

// "a, b, c".
[[nodiscard]] std::string joined(std::span<const std::string_view> words);

}  // namespace weir::config
