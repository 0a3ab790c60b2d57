// ProxyError: what can go wrong with an exchange besides its syntax (http::ParseError), one entry
// each, and Refusal: an answer of weir's own, whichever of the two it came from.
//
// The words of both tables together are the closed list that the access log, the error page,
// Proxy-Status and the metrics use; docs/errors.md explains each.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/parse_error.h"
#include "os/io_result.h"

namespace weir::proxy {

enum class ProxyError : std::uint8_t {
  none,
  no_route,
  no_healthy_server,
  connect_refused,
  connect_unreachable,
  connect_timeout,
  descriptors_exhausted,
  buffers_exhausted,
  upstream_closed,
  upstream_reset,
  upstream_truncated,
  upstream_protocol,
  request_write_timeout,
  response_timeout,
  response_body_timeout,
  client_head_timeout,
  client_body_timeout,
  client_write_timeout,
  client_closed,
  request_truncated,
  head_too_large_to_forward,
  https_without_tls,
  shutting_down,
  rate_limited,
  queue_full,
  queue_timeout,
  queue_dropped,
  request_timeout,
  circuit_open,
  upstream_status,
  bad_proxy_header,
  untrusted_proxy_header,
  bad_client_hello,
  tunnel_idle_timeout,
  made_room,
};
inline constexpr std::size_t kProxyErrorCount = static_cast<std::size_t>(ProxyError::made_room) + 1;

// All words: first those of http::ParseError, then those of ProxyError.
inline constexpr std::size_t kErrorWordCount = http::kParseErrorCount + kProxyErrorCount;

struct Refusal {
  std::uint16_t status = 0;  // 0: nobody is left to be answered; the log shows 0 or 499.
  std::string_view word;
  std::string_view text;
  std::size_t index = 0;            // Of the word, below kErrorWordCount.
  std::uint32_t retry_after_s = 0;  // For Retry-After; 0: none.
  std::string_view rule;            // Of upstream_protocol: which rule of HTTP the answer broke.
};

// `broken_rule`: for upstream_protocol, where it is known.
[[nodiscard]] Refusal refusal(ProxyError error,
                              http::ParseError broken_rule = http::ParseError::none);
// For a client's message.
[[nodiscard]] Refusal refusal(http::ParseError error);

// Why there is no connection to a server.
[[nodiscard]] ProxyError connect_error(os::IoStatus status);
// Ours to solve, not the server's fault.
[[nodiscard]] bool is_local(ProxyError error);

// The word with this index, for the metrics. Empty for the two `none`.
[[nodiscard]] std::string_view error_word(std::size_t index);

}  // namespace weir::proxy
