#include "sim/world/regressions.h"

#include <algorithm>

namespace weir::sim {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kNameBytes = "abcdefghijklmnopqrstuvwxyz0123456789_";
constexpr std::size_t kCommitDigitsMin = 7;

bool is_of(std::string_view word, std::string_view bytes) {
  return !word.empty() && word.find_first_not_of(bytes) == std::string_view::npos;
}

std::string_view without_blanks_before(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

// Takes what is before the next `end` out of `rest`, and `end` as well.
std::string_view take(std::string_view& rest, char end) {
  const std::string_view taken = rest.substr(0, rest.find(end));
  rest.remove_prefix(std::min(taken.size() + 1, rest.size()));
  return taken;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!(text = without_blanks_before(text)).empty()) words.push_back(take(text, ' '));
  return words;
}

// "": all is as it should be.
std::string_view what_is_missing(const Regression& line) {
  const bool known = line.commit.size() >= kCommitDigitsMin && is_of(line.commit, kHexDigits);
  if (!known && line.commit != "unknown" && line.commit != "none") {
    return "no COMMIT, which is `unknown` or `none` if need be";
  }
  if (!is_of(line.name, kNameBytes)) return "no `name:` of lower-case letters, digits and _";
  return line.about.empty() ? "not a word about what it is" : "";
}

}  // namespace

Result<std::vector<Regression>, std::string> regressions_from_text(std::string_view text) {
  std::vector<Regression> all;
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::string_view rest = take(text, '\n');
    Regression line;
    line.words = words_of(take(rest, '#'));
    if (line.words.empty()) continue;
    rest = without_blanks_before(rest);
    line.commit = take(rest, ' ');
    line.name = take(rest, ':');
    line.about = without_blanks_before(rest);
    std::string_view wrong = what_is_missing(line);
    if (std::ranges::count(all, line.name, &Regression::name) > 0) wrong = "a name that is taken";
    if (!wrong.empty()) {
      return Err("line " + std::to_string(number) + ": " + std::string(wrong) +
                 "; it must be `SEED [limits]  # COMMIT name: text`");
    }
    all.push_back(std::move(line));
  }
  return all;
}

}  // namespace weir::sim
