#include "config/diagnostics.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint16_t kFirstWarning = 100;

constexpr std::array kAllCodes = {
    Code::unreadable_file,   Code::not_text,          Code::syntax,
    Code::missing_quotes,    Code::defined_twice,     Code::foreign_directive,
    Code::wrong_type,        Code::unknown_table,     Code::unknown_key,
    Code::misplaced_key,     Code::missing_key,       Code::bad_name,
    Code::empty_value,       Code::listed_twice,      Code::conflict,
    Code::bad_address,       Code::bad_duration,      Code::out_of_range,
    Code::unknown_value,     Code::bad_host,          Code::bad_path,
    Code::bad_method,        Code::bad_network,       Code::bad_rate,
    Code::bad_field,         Code::unknown_reference, Code::address_in_use,
    Code::duplicate_server,  Code::nothing_to_do,     Code::too_many,
    Code::unreachable_route, Code::unused_backend,    Code::unrouted_listener,
    Code::no_weight,         Code::points_at_itself,  Code::trusts_everyone,
    Code::unused_limit,      Code::doubtful,
};

}  // namespace

Severity severity_of(Code code) {
  return static_cast<std::uint16_t>(code) > kFirstWarning ? Severity::warning : Severity::error;
}

std::string code_text(Code code) {
  const bool warning = severity_of(code) == Severity::warning;
  const unsigned number = static_cast<unsigned>(code) - (warning ? kFirstWarning : 0u);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%c%03u", warning ? 'W' : 'E', number);
  return text.data();
}

std::span<const Code> all_codes() { return kAllCodes; }

Tally count(std::span<const Diagnostic> diagnostics) {
  Tally tally;
  for (const Diagnostic& diagnostic : diagnostics) {
    ++(diagnostic.severity() == Severity::error ? tally.errors : tally.warnings);
  }
  return tally;
}

std::string render_json(std::span<const Diagnostic> diagnostics) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Diagnostic& diagnostic : diagnostics) {
    list.push_back({
        {"severity", diagnostic.severity() == Severity::error ? "error" : "warning"},
        {"code", code_text(diagnostic.code)},
        {"message", diagnostic.message},
        {"file", diagnostic.file},
        {"line", diagnostic.span.line},
        {"column", diagnostic.span.column},
        {"length", diagnostic.span.length},
        {"source", diagnostic.source},
        {"label", diagnostic.label},
        {"help", diagnostic.help},
    });
  }
  // The file's bytes may be no UTF-8; JSON must be. ASCII only: a terminal acts on U+009B, and on
  // marks that turn text round.
  return list.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

Diagnostic unreadable_file(std::string_view file, std::string_view reason) {
  Diagnostic out;
  out.code = Code::unreadable_file;
  out.file = file;
  out.message = reason;
  return out;
}

}  // namespace weir::config
