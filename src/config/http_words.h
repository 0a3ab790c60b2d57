// Pieces of HTTP as the file has them: methods, targets, statuses, field names and values,
// protocols to switch to, cookie names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/config.h"
#include "config/problem.h"

namespace weir::config {

// A token (RFC 9110 5.6.2).
[[nodiscard]] bool is_token(std::string_view text);
// Segments of pchar with "/" between them (RFC 3986 3.3).
[[nodiscard]] bool is_path_text(std::string_view text);

// A method (RFC 9110 9.1); the usual ones in lower case are taken for the slip they are.
[[nodiscard]] Result<std::string, Problem> parse_method(std::string_view text);
// Path and query of a request (RFC 9112 3.2.1).
[[nodiscard]] Result<std::string, Problem> parse_origin_form(std::string_view text);
// "200", "200-399" within 100 to 599, the smaller first.
[[nodiscard]] std::optional<StatusRange> parse_status_range(std::string_view text);
[[nodiscard]] Result<std::string, Problem> parse_field_name(std::string_view text);
// RFC 9110 5.5: no control byte but the tab, no space at either end.
[[nodiscard]] Result<std::string, Problem> parse_field_value(std::string_view text);
// What a client may ask to switch to (RFC 9110 7.8): a name, or "name/version"; lower case
// afterwards. Refuses what carries HTTP requests on, because nobody would check those.
[[nodiscard]] Result<std::string, Problem> parse_upgrade(std::string_view text);
// RFC 6265 4.1.1.
[[nodiscard]] Result<std::string, Problem> parse_cookie_name(std::string_view text);
// The name of a parameter in a query, as clients send it.
[[nodiscard]] Result<std::string, Problem> parse_query_name(std::string_view text);

}  // namespace weir::config
