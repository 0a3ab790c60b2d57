#include "http/parse_error.h"

#include <array>

namespace weir::http {
namespace {

using enum ParseError;

constexpr std::array<ParseErrorInfo, kParseErrorCount> kTable = {{
    {none, 0, "none", "No error."},

    {empty_lines, 400, "empty_lines", "Too many empty lines before the request line."},
    {bad_method, 400, "bad_method", "The request line does not begin with a method and one space."},
    {method_too_long, 501, "method_too_long", "The method is longer than any known one."},
    {bad_target, 400, "bad_target", "The request target is not valid for this method."},
    {target_too_long, 414, "target_too_long", "The request target is too long."},
    {bad_version, 400, "bad_version", "The start line has no valid HTTP version."},
    {version_unsupported, 505, "version_unsupported",
     "Only HTTP/1.0 and HTTP/1.1 are spoken here."},
    {bad_status, 502, "bad_status", "The status code is not a number from 100 to 599."},
    {bad_reason, 502, "bad_reason", "The reason phrase contains a control character."},
    {bare_cr, 400, "bare_cr", "A carriage return is not followed by a line feed."},
    {bare_lf, 400, "bare_lf", "A line feed is not preceded by a carriage return."},
    {bad_field_name, 400, "bad_field_name", "A field line has no valid name and colon."},
    {space_before_colon, 400, "space_before_colon", "A field name is followed by a blank."},
    {folded_field, 400, "folded_field", "A line begins with a blank."},
    {bad_field_value, 400, "bad_field_value", "A field value contains a control character."},
    {too_many_fields, 431, "too_many_fields", "The message has too many fields."},
    {head_too_large, 431, "head_too_large", "The message head is too large."},
    {trailers_too_large, 431, "trailers_too_large", "The trailer section is too large."},

    {connect_not_allowed, 405, "connect_not_allowed", "CONNECT is not available here."},
    {trace_not_answered, 405, "trace_not_answered", "TRACE is not answered by this proxy."},
    {host_missing, 400, "host_missing", "An HTTP/1.1 request needs a Host field."},
    {host_repeated, 400, "host_repeated", "The request has more than one Host field."},
    {bad_host, 400, "bad_host", "The host is not valid."},
    {host_mismatch, 400, "host_mismatch", "Host is not the host that CONNECT asks for."},
    {bad_content_length, 400, "bad_content_length", "Content-Length is not a valid number."},
    {content_length_conflict, 400, "content_length_conflict", "Content-Length is given twice."},
    {bad_transfer_encoding, 400, "bad_transfer_encoding",
     "Transfer-Encoding does not end in one plain chunked."},
    {transfer_encoding_unsupported, 501, "transfer_encoding_unsupported",
     "Only the chunked transfer coding is spoken here."},
    {transfer_encoding_in_http10, 400, "transfer_encoding_in_http10",
     "HTTP/1.0 has no Transfer-Encoding."},
    {length_and_transfer_encoding, 400, "length_and_transfer_encoding",
     "Content-Length and Transfer-Encoding exclude each other."},
    {too_many_connection_options, 431, "too_many_connection_options",
     "Connection names too many options."},
    {bad_max_forwards, 400, "bad_max_forwards", "Max-Forwards is not a valid number."},
    {expectation_failed, 417, "expectation_failed", "Only the expectation 100-continue is known."},
    {trace_with_body, 400, "trace_with_body", "A TRACE request must not have a body."},
    {connect_with_body, 400, "connect_with_body", "A CONNECT request must not have a body."},
    {unexpected_upgrade, 502, "unexpected_upgrade", "The server switched protocols unasked."},
    {bad_upgrade, 502, "bad_upgrade", "The server switched protocols without saying so properly."},
    {upgrade_with_body, 502, "upgrade_with_body", "A switch of protocols must not have a body."},
    {upgrade_not_offered, 502, "upgrade_not_offered",
     "The server switched to a protocol it was not offered."},

    {bad_chunk_size, 400, "bad_chunk_size", "A chunk size is not a valid number."},
    {bad_chunk_extension, 400, "bad_chunk_extension",
     "A chunk extension contains a control character."},
    {chunk_extensions_too_large, 400, "chunk_extensions_too_large",
     "The chunk extensions are too large."},
    {bad_chunk_end, 400, "bad_chunk_end", "The data of a chunk is not followed by a line end."},
}};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].error != static_cast<ParseError>(i)) return false;
  }
  return true;
}
static_assert(rows_are_in_order(), "one row per ParseError, in the order of the enumeration");

}  // namespace

const ParseErrorInfo& info(ParseError error) { return kTable[static_cast<std::size_t>(error)]; }

std::string_view to_string(ParseError error) { return info(error).word; }

}  // namespace weir::http
