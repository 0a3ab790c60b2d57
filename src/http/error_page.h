// Answers of weir's own making: errors, and what only the proxy itself can answer.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

inline constexpr std::size_t kErrorResponseBytesMax = 1024;

struct ErrorResponse {
  std::uint16_t status = 500;
  std::string_view word;      // From the closed list; [a-z0-9_], at most 64 bytes.
  std::string_view rule;      // A word of http::ParseError when a server's answer broke a rule.
  std::string_view text;      // One sentence, at most 200 bytes; empty: the reason phrase.
  bool head_request = false;  // No body follows, though its length is announced.
  bool close = false;
  bool keep_alive = false;          // Say so: for HTTP/1.0 clients that asked.
  std::uint32_t retry_after_s = 0;  // 0: no Retry-After.
  std::string_view date;            // IMF-fixdate, or empty.
};

// Writes the whole answer, head and body; 0 when `room` is too small (kErrorResponseBytesMax is
// always enough). The word goes into the body and into Proxy-Status (RFC 9209).
[[nodiscard]] std::size_t write_error_response(char* out, std::size_t room,
                                               const ErrorResponse& response);

// The answer to OPTIONS with Max-Forwards: 0, which is meant for the proxy itself (RFC 9110 7.6.2).
// 0 when `room` is too small.
[[nodiscard]] std::size_t write_options_response(char* out, std::size_t room, bool close,
                                                 bool keep_alive, std::string_view date);

// The answer to a CONNECT: the tunnel begins behind it (RFC 9110 9.3.6: without any length). 0 when
// `room` is too small.
[[nodiscard]] std::size_t write_connect_response(char* out, std::size_t room,
                                                 std::string_view date);

// The RFC 9209 2.3 error type that fits a word best; by status when the word is not listed. `rule`:
// what a server's answer broke, or empty.
[[nodiscard]] std::string_view proxy_error_type(std::string_view word, std::string_view rule,
                                                std::uint16_t status);

}  // namespace weir::http
