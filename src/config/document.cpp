#include "config/document.h"

#include <algorithm>
#include <utility>

#include "config/text.h"

// Header-only and without exceptions. The library recurses once per level of nesting, so the
// depth stays far below what a thread's stack holds; keys with dots are bounded below.
//
// Some of its assertions are wrong: "[=" breaks one although the very next lines report that error.
// With NDEBUG they would even become promises to the optimiser, which then removes those lines. So
// they are switched off in both kinds of build; the fuzzed parser does not need them.
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_MAX_NESTED_VALUES 32
#include <toml++/toml.h>

namespace weir::config {
namespace {

// Each dot outside quotes can open one level of tables, which the library also frees recursively:
// half a million on one line overflowed the stack. The schema needs three.
constexpr int kDotsPerLineMax = 64;

// Past the end of the string that starts at `at` (TOML 1.0, String). Where a broken string
// ends does not matter: the library stops at it.
std::size_t skip_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const bool escapes = quote == '"';
  const auto tripled = [&](std::size_t i) {
    return i + 3 <= text.size() && text[i] == quote && text[i + 1] == quote && text[i + 2] == quote;
  };
  const bool multi_line = tripled(at);
  for (std::size_t i = at + (multi_line ? 3 : 1); i < text.size(); ++i) {
    if (text[i] == '\\' && escapes) {
      ++i;
    } else if (!multi_line && (text[i] == quote || text[i] == '\n')) {
      return text[i] == quote ? i + 1 : i;
    } else if (multi_line && tripled(i)) {
      // Up to two quotes in front of the closing three belong to the string.
      i += 3;
      for (int extra = 0; extra < 2 && i < text.size() && text[i] == quote; ++extra) ++i;
      return i;
    }
  }
  return text.size();
}

// Calls `visit` with the offset of every byte that is in no string and no comment.
template <typename Visit>
void for_each_bare(std::string_view text, const Visit& visit) {
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '"' || text[i] == '\'') {
      i = skip_string(text, i);
    } else if (text[i] == '#') {
      i = std::min(text.find('\n', i), text.size());
    } else {
      visit(i++);
    }
  }
}

// 0 when the document is harmless.
std::uint32_t line_with_too_many_dots(std::string_view text) {
  int dots = 0;
  std::size_t found = text.size();
  for_each_bare(text, [&](std::size_t i) {
    if (text[i] == '\n') dots = 0;
    if (text[i] == '.' && ++dots > kDotsPerLineMax) found = std::min(found, i);
  });
  if (found == text.size()) return 0;
  return static_cast<std::uint32_t>(std::ranges::count(text.substr(0, found), '\n')) + 1;
}

// `text` with one kStandIn for each character beyond ASCII outside strings and comments. TOML has
// none there, but the library's test for Unicode white space runs into undefined behaviour at most
// of them, e.g. U+00E9. Columns stay what they were.
constexpr char kStandIn = '!';
std::string without_bare_unicode(std::string_view text) {
  std::string out;
  std::size_t copied = 0;
  for_each_bare(text, [&](std::size_t i) {
    if (i < copied || static_cast<unsigned char>(text[i]) < 0x80) return;
    out += text.substr(copied, i - copied);
    out += kStandIn;
    copied = i + decode_utf8(text.substr(i)).bytes;
  });
  out += text.substr(copied);
  return out;
}

// The character at a place, for a message that would speak of its stand-in.
std::string_view character_at(std::string_view text, toml::source_position place) {
  for (std::uint32_t line = 1; line < place.line; ++line) {
    text.remove_prefix(std::min(text.find('\n') + 1, text.size()));
  }
  for (std::uint32_t column = 1; column < place.column && !text.empty(); ++column) {
    text.remove_prefix(decode_utf8(text).bytes);
  }
  return text.empty() ? text : text.substr(0, decode_utf8(text).bytes);
}

ParseFailure failure_of(const toml::parse_error& error, std::string_view text) {
  const toml::source_position where = error.source().begin;
  ParseFailure failure = {std::max(where.line, 1u), std::max(where.column, 1u),
                          std::string(error.description())};
  const std::string stand_in = {'\'', kStandIn, '\''};
  const std::string_view meant = character_at(text, where);
  if (const std::size_t at = failure.reason.find(stand_in);
      at != std::string::npos && !meant.empty()) {
    failure.reason.replace(at + 1, 1, meant);
  }
  return failure;
}

Span span_of(const toml::source_region& region) {
  const bool one_line = region.begin.line == region.end.line;
  const std::uint32_t length = one_line ? region.end.column - region.begin.column : 0;
  return {region.begin.line, region.begin.column, length};
}

Value::Type type_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string: return Value::Type::string;
    case toml::node_type::integer: return Value::Type::integer;
    case toml::node_type::floating_point: return Value::Type::real;
    case toml::node_type::boolean: return Value::Type::boolean;
    case toml::node_type::array: return Value::Type::array;
    case toml::node_type::table: return Value::Type::table;
    default: return Value::Type::date_time;
  }
}

bool before(const Span& a, const Span& b) {
  return std::pair{a.line, a.column} < std::pair{b.line, b.column};
}

// Recursion is bounded: the library refused deeper documents.
Value convert(const toml::node& node) {
  Value out;
  out.type = type_of(node);
  out.span = span_of(node.source());
  if (const auto* string = node.as_string()) out.text = string->get();
  if (const auto* integer = node.as_integer()) out.integer = integer->get();
  if (const auto* boolean = node.as_boolean()) out.boolean = boolean->get();
  if (const auto* array = node.as_array()) {
    out.items.reserve(array->size());
    for (const toml::node& item : *array) out.items.push_back(convert(item));
  }
  if (const auto* table = node.as_table()) {
    out.members.reserve(table->size());
    for (const auto& [key, value] : *table) {
      out.members.push_back({std::string(key.str()), span_of(key.source()), convert(value)});
    }
    // The library sorts by name.
    std::ranges::stable_sort(out.members, before, &Member::key_span);
  }
  return out;
}

}  // namespace

const Member* Value::find(std::string_view key) const {
  const auto found = std::ranges::find(members, key, &Member::key);
  return found == members.end() ? nullptr : &*found;
}

Result<Value, ParseFailure> parse_document(std::string_view text) {
  if (const std::uint32_t line = line_with_too_many_dots(text)) {
    return Err(ParseFailure{line, 1, "tables are nested too deeply"});
  }
  const toml::parse_result result = toml::parse(without_bare_unicode(text));
  if (!result) return Err(failure_of(result.error(), text));
  return convert(result.table());
}

std::string_view type_name(Value::Type type) {
  switch (type) {
    case Value::Type::string: return "a string";
    case Value::Type::integer: return "a whole number";
    case Value::Type::real: return "a number with a fraction";
    case Value::Type::boolean: return "true or false";
    case Value::Type::date_time: return "a date or time";
    case Value::Type::array: return "an array";
    case Value::Type::table: return "a table";
  }
  return "";
}

}  // namespace weir::config
