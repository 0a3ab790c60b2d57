#include "http/framing.h"

#include "http/list.h"
#include "http/number.h"
#include "http/scan.h"
#include "http/status.h"

namespace weir::http {
namespace {

// Codings of all Transfer-Encoding lines, in order.
struct Codings {
  unsigned count = 0;
  bool chunked = false;   // Seen; nothing may follow.
  bool identity = false;  // The last one seen.

  // RFC 9112 6.1, 7: whole tokens, compared without case. Parameters are known of no coding.
  [[nodiscard]] ParseError add(std::string_view coding) {
    const std::string_view name = scan::trim(coding.substr(0, coding.find(';')));
    if (name.empty() || !scan::all(scan::kToken, name)) return ParseError::bad_transfer_encoding;
    if (chunked) return ParseError::bad_transfer_encoding;  // Chunked is not final, or repeated.
    ++count;
    chunked = scan::equals_lower(name, "chunked");
    identity = scan::equals_lower(coding, "identity");
    const bool has_parameters = name.size() != coding.size();
    return chunked && has_parameters ? ParseError::bad_transfer_encoding : ParseError::none;
  }
};

ParseError add_codings(std::string_view value, Codings& codings) {
  do {
    const ParseError error = codings.add(next_element(value));
    if (error != ParseError::none) return error;
  } while (value.data() != nullptr);
  return ParseError::none;
}

ParseError add_length(std::string_view value, FramingFields& fields) {
  // RFC 9112 6.3 step 5: a list of equal values may be accepted or refused. Refused, like two
  // lines: no sender has a reason for it, and the next hop may read another one of them.
  if (fields.has_length) return ParseError::content_length_conflict;
  const auto length = parse_decimal(value, kLengthMax);
  if (!length) return ParseError::bad_content_length;
  fields.has_length = true;
  fields.length = *length;
  return ParseError::none;
}

// RFC 9112 6.1 and 6.3 step 3, for a message that has Transfer-Encoding.
ParseError check_codings(const HeadParser& head, const Codings& codings, FramingFields& fields) {
  if (head.minor_version() == 0) return ParseError::transfer_encoding_in_http10;
  if (fields.has_length) return ParseError::length_and_transfer_encoding;
  fields.chunked = codings.chunked && codings.count == 1;
  fields.identity =
      codings.identity && codings.count == 1 && head.mode() == HeadParser::Mode::response;
  // weir never sends TE, so nobody may code the body in any other way, and it cannot be decoded
  // here. Reading to the close would find its end, but would hand the client coded bytes as plain.
  const bool known = fields.chunked || fields.identity;
  return known ? ParseError::none : ParseError::transfer_encoding_unsupported;
}

}  // namespace

Result<FramingFields, ParseError> read_framing_fields(const HeadParser& head) {
  Result<FramingFields, ParseError> result;
  if (!head.present().intersects(kFramingFields)) return result;
  FramingFields& fields = *result;
  Codings codings;
  ParseError error = ParseError::none;
  for (const Field& field : head.fields()) {
    if (field.id == FieldId::content_length) error = add_length(head.value(field), fields);
    if (field.id == FieldId::transfer_encoding) error = add_codings(head.value(field), codings);
    if (error != ParseError::none) break;
  }
  if (error == ParseError::none && head.present().contains(FieldId::transfer_encoding)) {
    error = check_codings(head, codings, fields);
  }
  if (error != ParseError::none) result = Err(error);
  return result;
}

// The steps of RFC 9112 6.3. Steps 1 and 2 are about responses, 3 and 5 were refused while reading.
BodyFraming frame_request(const FramingFields& fields) {
  // Step 4: one final chunked; all else was refused.
  if (fields.chunked) return {BodyFraming::Kind::chunked, 0};
  // Step 6: a valid Content-Length.
  if (fields.has_length) return {BodyFraming::Kind::length, fields.length};
  // Step 7: a request without both has no body.
  return {BodyFraming::Kind::none, 0};
}

BodyFraming frame_response(const FramingFields& fields, MethodId request_method,
                           std::uint16_t status) {
  // Step 1: HEAD, 1xx, 204, 304 end with their head, whatever their fields say.
  if (request_method == MethodId::head || is_bodiless(status)) return {};
  // Step 2: CONNECT is never forwarded.
  // Step 4: one final chunked; identity means what is there without it.
  if (fields.chunked) return {BodyFraming::Kind::chunked, 0};
  // Step 6: a valid Content-Length.
  if (fields.has_length) return {BodyFraming::Kind::length, fields.length};
  // Step 8: whatever comes until the server closes.
  return {BodyFraming::Kind::until_close, 0};
}

}  // namespace weir::http
