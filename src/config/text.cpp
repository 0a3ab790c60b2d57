#include "config/text.h"

#include <algorithm>
#include <vector>

namespace weir::config {
namespace {

// Longer words are not typing errors of a key or a name, and the distance is quadratic.
constexpr std::size_t kWordMax = 64;
constexpr std::size_t kQuoteMax = 60;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string folded(std::string_view word) {
  std::string out;
  for (char c : word) {
    if (c != '_' && c != '-') out.push_back(to_lower(c));
  }
  return out;
}

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::optional<std::string_view> unabbreviated(std::string_view word,
                                              std::span<const std::string_view> candidates) {
  if (word.size() < 3) return std::nullopt;
  std::optional<std::string_view> found;
  for (std::string_view candidate : candidates) {
    if (!folded(candidate).starts_with(word)) continue;
    if (found) return std::nullopt;
    found = candidate;
  }
  return found;
}

}  // namespace

std::optional<std::string_view> closest(std::string_view word,
                                        std::span<const std::string_view> candidates) {
  const std::string wanted = folded(word);
  if (wanted.empty() || wanted.size() > kWordMax) return std::nullopt;
  std::size_t best = std::min(wanted.size() - 1, std::max<std::size_t>(1, wanted.size() / 3)) + 1;
  std::optional<std::string_view> found;
  for (std::string_view candidate : candidates) {
    const std::string known = folded(candidate);
    if (known.size() > wanted.size() + best || wanted.size() > known.size() + best) continue;
    const std::size_t steps = distance(wanted, known);
    if (steps >= best) continue;
    best = steps;
    found = candidate;
    if (steps == 0) break;
  }
  return found ? found : unabbreviated(wanted, candidates);
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), to_lower);
  return out;
}

Decoded decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {lead, 1, false};
  char32_t code = lead & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return {lead, 1, false};
    code = (code << 6) | (byte(i) & 0x3Fu);
  }
  // RFC 3629 3: no overlong forms, no surrogates, nothing above U+10FFFF.
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (overlong || surrogate || code > 0x10FFFF) return {lead, 1, false};
  return {code, bytes, true};
}

std::string printable(std::string_view text, bool lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded next = decode_utf8(text);
    // C0 and C1 controls and DEL steer terminals; U+202A..E and U+2066..9 turn text around.
    const bool control = next.code < 0x20 || (next.code >= 0x7F && next.code < 0xA0) ||
                         (next.code >= 0x202A && next.code <= 0x202E) ||
                         (next.code >= 0x2066 && next.code <= 0x2069);
    if (next.valid && (!control || (lines && next.code == '\n'))) {
      out.append(text.substr(0, next.bytes));
    } else {
      out.append(kReplacement);
    }
    text.remove_prefix(next.bytes);
  }
  return out;
}

std::string in_backticks(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t count = 0; end < text.size() && count < kQuoteMax; ++count) {
    end += decode_utf8(text.substr(end)).bytes;
  }
  return "`" + printable(text.substr(0, end)) + (end < text.size() ? "…`" : "`");
}

std::string joined(std::span<const std::string_view> words) {
  std::string out;
  for (std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

}  // namespace weir::config
