#include "proxy/errors.h"

#include <array>

#include "base/check.h"

namespace weir::proxy {
namespace {

struct Row {
  ProxyError error;
  std::uint16_t status;
  std::string_view word;
  std::string_view text;
};

using E = ProxyError;
constexpr std::array kRows = {
    Row{E::none, 0, "", ""},
    Row{E::no_route, 404, "no_route", "No route matches this request."},
    Row{E::no_healthy_server, 503, "no_healthy_server", "No server can take the request."},
    Row{E::connect_refused, 503, "connect_refused", "The servers refuse connections."},
    Row{E::connect_unreachable, 503, "connect_unreachable", "The servers cannot be reached."},
    Row{E::connect_timeout, 504, "connect_timeout", "No server accepted a connection in time."},
    Row{E::descriptors_exhausted, 503, "descriptors_exhausted",
        "The proxy is out of file descriptors."},
    Row{E::buffers_exhausted, 503, "buffers_exhausted", "The proxy is out of memory."},
    Row{E::upstream_closed, 502, "upstream_closed", "The server closed without an answer."},
    Row{E::upstream_reset, 502, "upstream_reset", "The server reset the connection."},
    Row{E::upstream_truncated, 502, "upstream_truncated", "The server's answer was cut short."},
    Row{E::upstream_protocol, 502, "upstream_protocol", "The server's answer is not valid HTTP."},
    Row{E::request_write_timeout, 504, "request_write_timeout",
        "The server stopped reading the request."},
    Row{E::response_timeout, 504, "response_timeout", "The server did not answer in time."},
    Row{E::response_body_timeout, 504, "response_body_timeout", "The server's answer stalled."},
    Row{E::client_head_timeout, 408, "client_head_timeout",
        "The request head did not arrive in time."},
    Row{E::client_body_timeout, 408, "client_body_timeout",
        "The request body did not arrive in time."},
    Row{E::client_write_timeout, 0, "client_write_timeout", "The client stopped reading."},
    Row{E::client_closed, 499, "client_closed", "The client closed the connection."},
    Row{E::request_truncated, 400, "request_truncated", "The request body ended early."},
    Row{E::head_too_large_to_forward, 431, "head_too_large_to_forward",
        "The request head is too large to forward."},
    Row{E::https_without_tls, 421, "https_without_tls",
        "The target is of https, and the connection is not secured."},
    Row{E::shutting_down, 503, "shutting_down", "The proxy is shutting down."},
    Row{E::rate_limited, 429, "rate_limited", "Too many requests; try again later."},
    Row{E::queue_full, 503, "queue_full", "The servers are busy, and too many requests wait."},
    Row{E::queue_timeout, 503, "queue_timeout", "No server became free in time."},
    Row{E::queue_dropped, 503, "queue_dropped", "The servers are busy, and the wait is too long."},
    Row{E::request_timeout, 504, "request_timeout", "The request took longer than it may."},
    Row{E::circuit_open, 503, "circuit_open",
        "Too many connections to the servers are being opened, or too many requests repeated."},
    Row{E::upstream_status, 502, "upstream_status",
        "The server answered with an error, and no other server can be asked."},
    Row{E::bad_proxy_header, 0, "bad_proxy_header", "The PROXY header is missing or not valid."},
    Row{E::untrusted_proxy_header, 0, "untrusted_proxy_header",
        "A PROXY header came from a client that may not send one."},
    Row{E::bad_client_hello, 0, "bad_client_hello", "The TLS ClientHello is not valid."},
    Row{E::tunnel_idle_timeout, 0, "tunnel_idle_timeout", "Nothing moved in either direction."},
    Row{E::made_room, 0, "made_room",
        "Nothing had ever moved in either direction, and others waited for a connection."},
};
static_assert(kRows.size() == kProxyErrorCount);

consteval bool rows_in_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<std::size_t>(kRows[i].error) != i) return false;
  }
  return true;
}
static_assert(rows_in_order());

}  // namespace

Refusal refusal(ProxyError error, http::ParseError broken_rule) {
  const Row& row = kRows[static_cast<std::size_t>(error)];
  const bool known = error == E::upstream_protocol && broken_rule != http::ParseError::none;
  const std::string_view rule = known ? http::to_string(broken_rule) : std::string_view{};
  return {row.status, row.word, row.text, http::kParseErrorCount + static_cast<std::size_t>(error),
          0,          rule};
}

Refusal refusal(http::ParseError error) {
  const http::ParseErrorInfo& row = http::info(error);
  return {row.status, row.word, row.text, static_cast<std::size_t>(error), 0, {}};
}

ProxyError connect_error(os::IoStatus status) {
  switch (status) {
    case os::IoStatus::refused:
    case os::IoStatus::reset: return E::connect_refused;  // It left during the handshake.
    case os::IoStatus::timed_out: return E::connect_timeout;
    case os::IoStatus::no_descriptors: return E::descriptors_exhausted;
    case os::IoStatus::no_memory: return E::buffers_exhausted;
    default: return E::connect_unreachable;
  }
}

bool is_local(ProxyError error) {
  return error == E::descriptors_exhausted || error == E::buffers_exhausted;
}

std::string_view error_word(std::size_t index) {
  CHECK(index < kErrorWordCount);
  if (index == 0) return {};
  if (index < http::kParseErrorCount) return http::to_string(static_cast<http::ParseError>(index));
  return kRows[index - http::kParseErrorCount].word;
}

}  // namespace weir::proxy
