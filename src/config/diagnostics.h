// What is wrong with a configuration, where, and what to write instead; as text and as JSON.
//
// Texts in a Diagnostic may quote the file. Both renderings replace control bytes and broken UTF-8,
// so a hostile file cannot drive the terminal that shows the message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

enum class Severity : std::uint8_t {
  error,
  warning,
};

// The closed list of findings; docs/configuration.md describes each. Values are the numbers behind
// E and W and never change their meaning.
enum class Code : std::uint16_t {
  unreadable_file = 1,
  not_text = 2,
  syntax = 3,
  missing_quotes = 4,
  defined_twice = 5,
  foreign_directive = 6,
  wrong_type = 10,
  unknown_table = 11,
  unknown_key = 12,
  misplaced_key = 13,
  missing_key = 14,
  bad_name = 15,
  empty_value = 16,
  listed_twice = 17,
  conflict = 18,
  bad_address = 20,
  bad_duration = 21,
  out_of_range = 22,
  unknown_value = 23,
  bad_host = 24,
  bad_path = 25,
  bad_method = 26,
  bad_network = 27,
  bad_rate = 28,
  bad_field = 29,
  unknown_reference = 30,
  address_in_use = 31,
  duplicate_server = 32,
  nothing_to_do = 33,
  too_many = 40,
  // Warnings.
  unreachable_route = 101,
  unused_backend = 102,
  unrouted_listener = 103,
  no_weight = 104,
  points_at_itself = 105,
  trusts_everyone = 106,
  unused_limit = 107,
  doubtful = 108,
};

[[nodiscard]] Severity severity_of(Code code);
// "E012", "W001".
[[nodiscard]] std::string code_text(Code code);
// Every code, in order: the documentation is checked against it.
[[nodiscard]] std::span<const Code> all_codes();

// A place in the file. Lines and columns count from 1, columns and lengths in characters (Unicode
// code points). Line 0 means the file as a whole.
struct Span {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t length = 0;

  bool operator==(const Span&) const = default;
};

struct Diagnostic {
  Code code = Code::syntax;
  std::string message;
  std::string file;
  Span span;
  std::string source;  // The line without its end, or the part of a long one around `span`.
  std::uint32_t source_column = 1;  // Column of the first character of `source`.
  std::string label;                // Stands behind the carets: what to do about it.
  std::string help;                 // May have several lines.

  [[nodiscard]] Severity severity() const { return severity_of(code); }
};

struct Tally {
  std::size_t errors = 0;
  std::size_t warnings = 0;
};
[[nodiscard]] Tally count(std::span<const Diagnostic> diagnostics);

struct RenderOptions {
  bool colour = false;
  // Stands behind the counts in the last line, e.g. "configuration NOT applied".
  std::string_view outcome;
};

// Every diagnostic as rustc shows it, then "1 error, 0 warnings". Ends with a line end.
[[nodiscard]] std::string render_text(std::span<const Diagnostic> diagnostics,
                                      const RenderOptions& options);

// A JSON array of objects {severity, code, message, file, line, column, length, source, label,
// help}; docs/configuration.md has the schema. Ends with a line end.
[[nodiscard]] std::string render_json(std::span<const Diagnostic> diagnostics);

// The diagnostic for a file whose text could not be had; `reason` is a sentence without its full
// stop.
[[nodiscard]] Diagnostic unreadable_file(std::string_view file, std::string_view reason);

}  // namespace weir::config
