// ParseError: every rule of HTTP/1.1 a peer can break, one entry each.
//
// One table says what follows from each: the status sent to a client whose request broke the rule,
// the word that the access log, the error page, Proxy-Status and the metrics show, and a sentence
// for people. A server's message that breaks a rule is always answered with 502; only word and text
// are taken from the table then.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

enum class ParseError : std::uint8_t {
  none,

  // Start line and field lines, seen by HeadParser.
  empty_lines,
  bad_method,
  method_too_long,
  bad_target,
  target_too_long,
  bad_version,
  version_unsupported,
  bad_status,
  bad_reason,
  bare_cr,
  bare_lf,
  bad_field_name,
  space_before_colon,
  folded_field,
  bad_field_value,
  too_many_fields,
  head_too_large,
  trailers_too_large,

  // What a complete head means, seen by analyse_request and analyse_response.
  connect_not_allowed,  // Not "refused": that word belongs to connect().
  trace_not_answered,   // TRACE with Max-Forwards: 0 asks the proxy itself.
  host_missing,
  host_repeated,
  bad_host,
  host_mismatch,  // CONNECT whose Host names something else.
  bad_content_length,
  content_length_conflict,
  bad_transfer_encoding,
  transfer_encoding_unsupported,
  transfer_encoding_in_http10,
  length_and_transfer_encoding,
  too_many_connection_options,
  bad_max_forwards,
  expectation_failed,
  trace_with_body,
  connect_with_body,
  unexpected_upgrade,   // 101 from a server that was offered nothing.
  bad_upgrade,          // 101 that lacks what makes it one.
  upgrade_with_body,    // 101 that announces content.
  upgrade_not_offered,  // 101 to another protocol.

  // Chunked bodies, seen by ChunkedDecoder.
  bad_chunk_size,
  bad_chunk_extension,
  chunk_extensions_too_large,
  bad_chunk_end,
};

inline constexpr std::size_t kParseErrorCount =
    static_cast<std::size_t>(ParseError::bad_chunk_end) + 1;

struct ParseErrorInfo {
  ParseError error;
  std::uint16_t status;   // Answer to a request that broke the rule.
  std::string_view word;  // Stable, from the closed list.
  std::string_view text;  // One sentence.
};

// Row of the table; for `none` the status is 0 and the word "none".
[[nodiscard]] const ParseErrorInfo& info(ParseError error);

// The word.
[[nodiscard]] std::string_view to_string(ParseError error);

}  // namespace weir::http
