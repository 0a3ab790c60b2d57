#include "http/error_page.h"

#include <array>
#include <span>

#include "http/output.h"
#include "http/status.h"

namespace weir::http {
namespace {

struct ErrorType {
  std::string_view word;
  std::string_view type;  // RFC 9209 2.3.
};

// Words whose type does not follow from the status; unknown ones fall back on it.
constexpr auto kErrorTypes = std::to_array<ErrorType>({
    {"no_route", "destination_not_found"},
    {"no_healthy_server", "destination_unavailable"},
    {"queue_full", "connection_limit_reached"},
    {"rate_limited", "http_request_denied"},
    {"connect_refused", "connection_refused"},
    {"connect_unreachable", "destination_ip_unroutable"},
    {"connect_timeout", "connection_timeout"},
    {"descriptors_exhausted", "proxy_internal_error"},
    {"buffers_exhausted", "proxy_internal_error"},
    {"upstream_closed", "http_response_incomplete"},
    {"upstream_reset", "connection_terminated"},
    {"upstream_truncated", "http_response_incomplete"},
    {"request_write_timeout", "connection_write_timeout"},
    {"response_body_timeout", "connection_read_timeout"},
});

// Rules whose type says more than that the answer is not HTTP.
constexpr auto kRuleTypes = std::to_array<ErrorType>({
    {"head_too_large", "http_response_header_section_size"},
    {"too_many_fields", "http_response_header_section_size"},
    {"trailers_too_large", "http_response_trailer_section_size"},
    {"bad_transfer_encoding", "http_response_transfer_coding"},
    {"transfer_encoding_unsupported", "http_response_transfer_coding"},
    {"bad_chunk_size", "http_response_transfer_coding"},
    {"bad_chunk_extension", "http_response_transfer_coding"},
    {"chunk_extensions_too_large", "http_response_transfer_coding"},
    {"bad_chunk_end", "http_response_transfer_coding"},
    {"unexpected_upgrade", "http_upgrade_failed"},
    {"bad_upgrade", "http_upgrade_failed"},
    {"upgrade_with_body", "http_upgrade_failed"},
    {"upgrade_not_offered", "http_upgrade_failed"},
});

std::string_view find_type(std::span<const ErrorType> table, std::string_view word) {
  for (const ErrorType& row : table) {
    if (row.word == word) return row.type;
  }
  return {};
}

std::string_view type_by_status(std::uint16_t status) {
  switch (status) {
    case 500: return "proxy_internal_error";
    case 502: return "http_protocol_error";
    case 503: return "destination_unavailable";
    case 504: return "http_response_timeout";
    default: return "http_request_error";
  }
}

// RFC 9110 15.5.6 demands a list with 405; what a server allows beyond it is its own affair.
constexpr std::string_view kAllow =
    "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH\r\n";

void put_persistence(Output& out, bool close, bool keep_alive, std::string_view date) {
  if (!date.empty()) out.put_all("Date: ", date, "\r\n");
  if (close) {
    out.put("Connection: close\r\n");
  } else if (keep_alive) {
    out.put("Connection: keep-alive\r\n");
  }
  out.put("\r\n");
}

void put_head(Output& out, const ErrorResponse& response, std::uint64_t body_bytes) {
  out.put("HTTP/1.1 ");
  out.put_number(response.status);
  out.put_all(" ", reason_phrase(response.status));
  out.put("\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ");
  out.put_number(body_bytes);
  out.put_all("\r\nCache-Control: no-store\r\nProxy-Status: weir; error=",
              proxy_error_type(response.word, response.rule, response.status), "; details=\"",
              response.word, response.rule.empty() ? "" : " ", response.rule, "\"\r\n");
  if (response.status == 405) out.put(kAllow);
  if (response.retry_after_s != 0) {
    out.put("Retry-After: ");
    out.put_number(response.retry_after_s);
    out.put("\r\n");
  }
  put_persistence(out, response.close, response.keep_alive, response.date);
}

}  // namespace

std::string_view proxy_error_type(std::string_view word, std::string_view rule,
                                  std::uint16_t status) {
  std::string_view type = find_type(kRuleTypes, rule);
  if (type.empty()) type = find_type(kErrorTypes, word);
  return type.empty() ? type_by_status(status) : type;
}

std::size_t write_error_response(char* out, std::size_t room, const ErrorResponse& response) {
  constexpr std::size_t kNumberBytes = 3;
  const std::string_view phrase = reason_phrase(response.status);
  const std::string_view text = response.text.empty() ? phrase : response.text;
  // "400 Bad Request" LF "bad_host: The host is not valid." LF
  const std::size_t body_bytes =
      kNumberBytes + 1 + phrase.size() + 1 + response.word.size() + 2 + text.size() + 1;
  Output output(out, room);
  put_head(output, response, body_bytes);
  if (!response.head_request) {
    output.put_number(response.status);
    output.put_all(" ", phrase, "\n", response.word, ": ", text, "\n");
  }
  return output.finish();
}

std::size_t write_options_response(char* out, std::size_t room, bool close, bool keep_alive,
                                   std::string_view date) {
  Output output(out, room);
  output.put_all("HTTP/1.1 200 OK\r\n", kAllow, "Content-Length: 0\r\n");
  put_persistence(output, close, keep_alive, date);
  return output.finish();
}

std::size_t write_connect_response(char* out, std::size_t room, std::string_view date) {
  Output output(out, room);
  output.put("HTTP/1.1 200 OK\r\n");
  put_persistence(output, false, false, date);
  return output.finish();
}

}  // namespace weir::http
