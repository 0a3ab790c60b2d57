#include "config/units.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "config/text.h"

namespace weir::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// Largest first: parse_duration wants them in this order.
constexpr std::array<Unit, 4> kUnits = {{{"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

// Spellings of other programs, and the one of ours.
struct Alias {
  std::string_view other;
  std::string_view ours;
};
constexpr std::array<Alias, 20> kAliases = {
    {{"S", "s"},     {"sec", "s"}, {"secs", "s"},    {"second", "s"}, {"seconds", "s"},
     {"M", "m"},     {"min", "m"}, {"mins", "m"},    {"minute", "m"}, {"minutes", "m"},
     {"H", "h"},     {"hr", "h"},  {"hrs", "h"},     {"hour", "h"},   {"hours", "h"},
     {"msec", "ms"}, {"MS", "ms"}, {"millis", "ms"}, {"Ms", "ms"},    {"milliseconds", "ms"}}};

std::string in_quotes(std::string_view number, std::string_view unit) {
  return "\"" + std::string(number) + std::string(unit) + "\"";
}

// A whole number that overflows is none.
std::optional<std::uint64_t> whole_number(std::string_view digits) {
  std::uint64_t value = 0;
  for (char c : digits) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (std::numeric_limits<std::uint64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

struct Piece {
  std::string_view number;
  std::string_view unit;
};

// Cuts "30s" off "30s500ms". The unit is everything up to the next digit.
Piece take_piece(std::string_view& text) {
  const std::size_t number = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::size_t end = std::min(text.find_first_of("0123456789", number), text.size());
  const Piece piece = {text.substr(0, number), text.substr(number, end - number)};
  text.remove_prefix(end);
  return piece;
}

// What is wrong with the form as a whole, before any unit is looked at.
std::optional<Problem> malformed(std::string_view text) {
  const char* write = "write for example \"1500ms\"";
  if (trim(text).empty()) return Problem{"the duration is empty", write};
  if (text.find_first_of(" \t") != std::string_view::npos) {
    return Problem{in_backticks(text) + " has a space in it",
                   "write number and unit without spaces"};
  }
  if (text.front() == '-') return Problem{in_backticks(text) + " is negative", write};
  if (text.find_first_of(".,") != std::string_view::npos) {
    return Problem{in_backticks(text) + " is not a whole number",
                   "use a smaller unit, for example \"1500ms\""};
  }
  if (text.front() < '0' || text.front() > '9') {
    return Problem{in_backticks(text) + " is not a duration", write};
  }
  return std::nullopt;
}

Problem unknown_unit(std::string_view text, Piece piece) {
  const std::string what = "unknown unit " + in_backticks(piece.unit) + " in " + in_backticks(text);
  const auto alias = std::ranges::find(kAliases, piece.unit, &Alias::other);
  if (alias == kAliases.end()) return {what, "units are ms, s, m and h"};
  return {what, "write " + in_quotes(piece.number, alias->ours)};
}

}  // namespace

Result<Milliseconds, Problem> parse_duration(std::string_view text, Milliseconds most) {
  if (auto problem = malformed(text)) return Err(std::move(*problem));
  const auto limit = static_cast<std::uint64_t>(most.count());
  std::uint64_t total = 0;
  std::size_t next_unit = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const Piece piece = take_piece(rest);
    if (piece.unit.empty()) {
      return Err(Problem{in_backticks(text) + " has no unit",
                         "write " + in_quotes(text, "s") + " or " + in_quotes(text, "ms")});
    }
    std::size_t unit = 0;
    while (unit < kUnits.size() && kUnits[unit].name != piece.unit) ++unit;
    if (unit == kUnits.size()) return Err(unknown_unit(text, piece));
    if (unit < next_unit) {
      return Err(Problem{"the units of " + in_backticks(text) + " are out of order",
                         "write the larger unit first, each once: \"1m30s\""});
    }
    next_unit = unit + 1;
    const auto number = whole_number(piece.number);
    const std::uint64_t factor = kUnits[unit].factor;
    if (!number || *number > limit / factor || total + *number * factor > limit) {
      return Err(
          Problem{in_backticks(text) + " is too long",
                  "the most is " + in_quotes(std::to_string(limit / kUnits[0].factor), "h")});
    }
    total += *number * factor;
  }
  return Milliseconds{static_cast<Milliseconds::rep>(total)};
}

Result<Rate, Problem> parse_rate(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view digits = text.substr(0, slash);
  if (slash == std::string_view::npos || !all_digits(digits)) {
    return Err(Problem{in_backticks(text) + " is not a rate",
                       "write for example \"100/s\", \"600/min\" or \"100/10s\""});
  }
  const auto count = whole_number(digits);
  if (!count || *count == 0 || *count > kRateMax) {
    return Err(Problem{"the count of " + in_backticks(text) + " is out of range",
                       "use 1 to " + std::to_string(kRateMax)});
  }
  std::string_view period = text.substr(slash + 1);
  const bool bare = !period.empty() && (period.front() < '0' || period.front() > '9');
  if (period == "min") period = "m";
  const auto per = parse_duration(bare ? "1" + std::string(period) : std::string(period));
  if (!per || per->count() == 0) {
    return Err(Problem{"the time of " + in_backticks(text) + " cannot be used",
                       "write for example \"" + std::string(digits.substr(0, 8)) +
                           "/s\"; units are ms, s, min and h, the most is 24h"});
  }
  return Rate{static_cast<std::uint32_t>(*count), *per};
}

}  // namespace weir::config
