#include "config/slip.h"

#include <utility>

#include "config/foreign.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr auto kNone = std::string_view::npos;

// A value that any key may have as far as TOML goes, as wide as what it replaces so that the
// columns behind it stay true.
std::string zero_as_wide_as(std::string_view token) {
  return "0" + std::string(std::max<std::size_t>(characters(token), 1) - 1, ' ');
}

// Turns everything from here to the end of the line into a comment.
std::string commented_out(std::string_view rest) { return "#" + std::string(rest); }

// Where the first string of the line that is not closed on it starts.
std::size_t open_quote(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '"' && line[i] != '\'') continue;
    const std::size_t start = i;
    for (++i; i < line.size() && line[i] != line[start]; ++i) {
      if (line[i] == '\\' && line[start] == '"') ++i;
    }
    if (i >= line.size()) return start;
  }
  return kNone;
}

// The end of the value that starts at `from`: the comment or the end of the line, less what
// people end lines with elsewhere.
std::size_t bare_end(std::string_view line, std::size_t from) {
  std::size_t end = std::min(line.find('#', from), line.size());
  while (end > from && std::string_view(" \t;,").find(line[end - 1]) != kNone) --end;
  return end;
}

struct Token {
  std::size_t from = 0;
  std::size_t to = 0;
};

// The unquoted word around `at`: the whole value behind `key =`, or one element of an array.
Token token_around(const Place& place) {
  const std::string_view line = place.line;
  Token token = {std::min(place.at, line.size()), 0};
  while (token.from > 0 && std::string_view(" \t=,[{\"'").find(line[token.from - 1]) == kNone) {
    --token.from;
  }
  const std::size_t before = line.substr(0, token.from).find_last_not_of(" \t");
  if (before != kNone && line[before] == '=' && line.find_last_of("[{", before) == kNone) {
    token.to = bare_end(line, token.from);
    return token;
  }
  token.to = std::min(line.find_first_of(" \t,]}#\"'", token.from), line.size());
  // "[::1]:80" looks like an array with something behind it.
  const bool ipv6 =
      token.from > 0 && line[token.from - 1] == '[' && line.substr(token.to).starts_with("]:");
  if (ipv6) {
    --token.from;
    token.to = bare_end(line, token.from);
  }
  return token;
}

// `reason` without the library's preamble.
std::string plain_reason(std::string_view reason) {
  const std::size_t colon = reason.find(": ");
  if (reason.starts_with("Error while parsing ") && colon != kNone) {
    reason.remove_prefix(colon + 2);
  }
  return std::string(reason);
}

Slip unexplained(const Place& place) {
  const std::size_t to = place.at < place.line.size()
                             ? place.at + decode_utf8(place.line.substr(place.at)).bytes
                             : place.at;
  return {Code::syntax, place.at, to, "this is not TOML", plain_reason(place.reason)};
}

// "word rest" or "word: rest" where "word = value" should stand.
Slip no_equals_sign(const Place& place) {
  const std::string_view line = place.line;
  const std::size_t first = place.first();
  const std::size_t end = std::min(line.find_first_of(" \t:{;", first), line.size());
  const std::string_view word = line.substr(first, end - first);
  if (place.here() == ':') {
    const bool yaml = trim(line.substr(place.at + 1)).empty();
    Slip slip = {Code::syntax, place.at, place.at + 1, "a key and its value are joined by `=`",
                 "write `=` instead of `:`"};
    if (yaml)
      slip.help = "this looks like YAML; weir reads TOML";
    else
      slip.patch = "=";
    return slip;
  }
  const auto foreign = foreign_word(word);
  const auto table = foreign_table(word);
  if (foreign || table) {
    return {Code::foreign_directive,
            first,
            end,
            in_backticks(word) + " is a directive of another program",
            "weir's way: " + std::string(foreign ? foreign->write : *table),
            {},
            commented_out(word)};
  }
  const std::string_view value = line.substr(end, bare_end(line, end) - end);
  const std::string written = trim(value).empty() ? "VALUE" : '"' + std::string(trim(value)) + '"';
  return {Code::syntax,
          first,
          end,
          in_backticks(word) + " is followed by no `=`",
          "write " + in_backticks(std::string(word) + " = " + written),
          {},
          commented_out(word)};
}

// True when the value behind the first `=` ends on this line.
bool value_is_complete(std::string_view line) {
  const std::size_t equals = line.find('=');
  if (equals == kNone) return false;
  const std::string_view value = trim(line.substr(equals + 1));
  if (value.starts_with("\"\"\"") || value.starts_with("'''")) return false;
  const auto opened = std::ranges::count_if(value, [](char c) { return c == '[' || c == '{'; });
  const auto closed = std::ranges::count_if(value, [](char c) { return c == ']' || c == '}'; });
  return opened == closed;
}

Slip defined_again(const Place& place) {
  const std::string_view line = place.line;
  const std::size_t first = place.first();
  const std::size_t open = place.reason.find('\'');
  const std::size_t close = place.reason.rfind('\'');
  const bool named = open != kNone && open < close;
  const std::string name(named ? place.reason.substr(open + 1, close - open - 1)
                               : std::string_view());
  if (line.substr(first).starts_with('[')) {
    const std::size_t end = std::min(line.find_last_of(']') + 1, line.size());
    return {Code::defined_twice, first, std::max(end, first + 1),
            "the table " + in_backticks(name) + " is defined twice",
            "give it another name, or put its keys into the first one"};
  }
  const bool whole_line = named && line.substr(first).starts_with(name) && value_is_complete(line);
  const std::size_t from = whole_line ? first : std::min(line.rfind(name, place.at), place.at);
  Slip slip = {Code::defined_twice, from, std::min(from + name.size(), line.size()),
               named ? in_backticks(name) + " is given twice" : plain_reason(place.reason),
               "remove one of them"};
  if (whole_line) slip.patch = commented_out(name);
  return slip;
}

Slip broken_header(const Place& place) {
  const std::size_t first = place.first();
  const std::size_t end = bare_end(place.line, first);
  std::string name(trim(place.line.substr(first, end - first)));
  std::ranges::replace(name, ' ', '.');
  std::erase_if(name, [](char c) { return c == '[' || c == ']'; });
  const bool array = place.line.substr(first).starts_with("[[");
  std::string fixed = (array ? "[[" : "[") + name + (array ? "]]" : "]");
  if (!is_name(name)) fixed = array ? "[[route]]" : "[listener.NAME]";
  return {Code::syntax,
          first,
          end,
          "this table header is not complete",
          "write " + in_backticks(fixed),
          plain_reason(place.reason)};
}

std::optional<Slip> unclosed_string(const Place& place) {
  const std::size_t quote = open_quote(place.line);
  if (quote == kNone || place.line.substr(quote).starts_with("\"\"\"")) return std::nullopt;
  const std::string_view before = trim(place.line.substr(0, quote));
  Slip slip = {Code::syntax, quote, place.line.size(), "the string is not closed",
               std::string("add the missing ") + place.line[quote] + " at its end"};
  if (before.ends_with('=')) slip.patch = zero_as_wide_as(place.line.substr(quote));
  return slip;
}

Slip text_after_value(const Place& place) {
  const std::string_view rest = place.line.substr(place.at);
  const std::size_t end = std::max(bare_end(place.line, place.at), place.at + 1);
  if (place.here() == ';') {
    return {Code::syntax,
            place.at,
            place.at + 1,
            "lines do not end in `;`",
            "remove it",
            {},
            commented_out(rest.substr(1))};
  }
  if (place.here() == ',') {
    return {Code::syntax,
            place.at,
            end,
            "unexpected `,` after the value",
            "write numbers without `,` and lists in brackets",
            {},
            commented_out(rest)};
  }
  return {Code::syntax,
          place.at,
          end,
          "unexpected text after the value",
          "start a new line here, or put the whole value in quotes",
          {},
          commented_out(rest)};
}

Slip missing_value(const Place& place) {
  const std::string_view key = trim(place.line.substr(0, place.line.find('=')));
  return {Code::syntax,
          place.first(),
          place.at,
          in_backticks(key) + " has no value",
          "write the value behind the `=`",
          {},
          std::string(place.line.substr(place.first(), place.at - place.first())) + " 0"};
}

// A value that is no TOML value: nearly always two quotes are missing.
std::optional<Slip> bare_value(const Place& place) {
  const Token token = token_around(place);
  const std::string_view word = place.line.substr(token.from, token.to - token.from);
  if (word.empty()) return std::nullopt;
  Slip slip = {Code::syntax, token.from, token.to, {}, {}, {}, zero_as_wide_as(word)};
  const std::string word_lower = lower(word);
  if (word.starts_with("\xE2\x80")) {
    slip.message = "typographic quotes do not make a string";
    slip.label = "use plain \"quotes\"";
  } else if (word_lower == "true" || word_lower == "yes" || word_lower == "on") {
    slip.message = in_backticks(word) + " is not a truth value";
    slip.label = "write true";
  } else if (word_lower == "false" || word_lower == "no" || word_lower == "off") {
    slip.message = in_backticks(word) + " is not a truth value";
    slip.label = "write false";
  } else if (word.find_first_not_of("0123456789_+-") == kNone) {
    slip.message = in_backticks(word) + " is not a number";
    slip.label = plain_reason(place.reason);
  } else {
    slip.code = Code::missing_quotes;
    slip.message = "the value " + in_backticks(word) + " needs quotes";
    slip.label = "write \"" + printable(word.substr(0, 60)) + "\"";
  }
  return slip;
}

Slip stray_text(const Place& place) {
  Slip slip = unexplained(place);
  if (place.here() == '{') slip.help = "this looks like JSON; weir reads TOML";
  if (place.here() == '}') {
    slip.message = "TOML has no blocks in braces";
    slip.label = "a table ends where the next [header] starts";
    slip.patch = commented_out("");
    slip.marks_brace = true;
  }
  return slip;
}

}  // namespace

std::size_t characters(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(decode_utf8(text).bytes);
  return count;
}

// By what the library says it was doing.
Slip explain(const Place& place) {
  if (place.says("nested")) {
    Slip slip = unexplained(place);
    slip.message = "tables and arrays are nested too deeply";
    slip.label.clear();
    return slip;
  }
  if (place.says("expected '='")) return no_equals_sign(place);
  if (place.says("redefine")) return defined_again(place);
  if (place.says("table header")) return broken_header(place);
  if (place.says("parsing key:")) {
    return place.line.substr(place.first()).starts_with('[') ? broken_header(place)
                                                             : unexplained(place);
  }
  if (place.says("root table")) return stray_text(place);
  if (place.says("string") && (place.at >= place.line.size() || place.says("end-of-file"))) {
    if (auto slip = unclosed_string(place)) return *slip;
  }
  if (place.says("escape sequence")) {
    Slip slip = unexplained(place);
    slip.message = "this string has a backslash that starts no escape sequence";
    slip.label = "write \\\\ for one backslash, or put the string in 'single quotes'";
    return slip;
  }
  if (place.says("string") || place.says("comment:")) return unexplained(place);
  if (place.says("expected a comment or whitespace")) return text_after_value(place);
  if (place.says("array: expected")) {
    Slip slip = unexplained(place);
    slip.message = "the array before this is not complete";
    slip.label = "a `,` or the closing `]` is missing before this";
    return slip;
  }
  if (place.says("inline table")) {
    Slip slip = unexplained(place);
    if (place.at >= place.line.size()) slip.label = "{ ... } must stay on one line";
    return slip;
  }
  if (place.says("expected value, saw") && trim(place.line.substr(place.at)).empty()) {
    return missing_value(place);
  }
  if (place.here() == '=') {
    return {Code::syntax, place.at, place.at + 1, "one `=` is enough", "remove it", {}, " "};
  }
  if (auto slip = bare_value(place)) return *slip;
  return unexplained(place);
}

}  // namespace weir::config
