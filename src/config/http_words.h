// Pieces of HTTP as the file has them: methods, targets, field names and values, cookie names.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
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
[[nodiscard]] Result<std::string, Problem> parse_field_name(std::string_view text);
// RFC 9110 5.5: no control byte but the tab, no space at either end.
[[nodiscard]] Result<std::string, Problem> parse_field_value(std::string_view text);
// RFC 6265 4.1.1.
[[nodiscard]] Result<std::string, Problem> parse_cookie_name(std::string_view text);
// The name of a parameter in a query, as clients send it.
[[nodiscard]] Result<std::string, Problem> parse_query_name(std::string_view text);

}  // namespace weir::config
