// What a route can ask of a request or connection, as text: host, path, server name, target of
// CONNECT. (Methods are in http_words.h.)
//
// Hosts match the authority of the request without its port, in lower case. "*.example.com" is any
// number of labels in front of example.com, not example.com itself. A path is a prefix that ends
// on a segment border ("/api" takes /api, /api/ and /api/x, not /apis; "/api/" takes /api/ and
// /api/x, not /api), or "=/exact". Both are compared byte for byte, nothing is decoded.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/config.h"
#include "config/problem.h"

namespace weir::config {

// "Example.COM" -> "example.com".
[[nodiscard]] Result<std::string, Problem> parse_host_pattern(std::string_view text);
[[nodiscard]] Result<std::string, Problem> parse_path_pattern(std::string_view text);

// As a host, but no address: a ClientHello names none (RFC 6066 3).
[[nodiscard]] Result<std::string, Problem> parse_sni_pattern(std::string_view text);
// "DB.example:5432" -> "db.example:5432", "[0::1]:22" -> "[::1]:22": host and port (RFC
// 9110 9.3.6).
[[nodiscard]] Result<std::string, Problem> parse_connect_target(std::string_view text);

// True when every host (path) that `inner` matches is matched by `outer` too.
[[nodiscard]] bool host_covers(std::string_view outer, std::string_view inner);
[[nodiscard]] bool path_covers(std::string_view outer, std::string_view inner);

}  // namespace weir::config
