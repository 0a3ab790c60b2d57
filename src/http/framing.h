// Where a message ends: RFC 9112 section 6.3, decided once from a parsed head.
//
// The order of the steps is the order of the RFC. Where it leaves a choice, weir refuses: both
// lengths, a repeated Content-Length (even the same value twice), any transfer coding but one
// final "chunked". What is decided here is never decided again.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "http/head_parser.h"
#include "http/method.h"

namespace weir::http {

struct BodyFraming {
  enum class Kind : std::uint8_t {
    none,         // No body; the next byte belongs to the next message.
    length,       // Exactly `length` bytes, possibly 0.
    chunked,      // ChunkedDecoder finds the end.
    until_close,  // Responses only: everything until the connection ends.
  };
  Kind kind = Kind::none;
  std::uint64_t length = 0;

  bool operator==(const BodyFraming&) const = default;
};

// Lengths stay below 2^63, so that they fit every signed type of the kernel.
inline constexpr std::uint64_t kLengthMax = 0x7fff'ffff'ffff'ffff;

// The framing fields of one head, checked and combined.
struct FramingFields {
  bool has_length = false;
  bool chunked = false;   // Transfer-Encoding is exactly "chunked".
  bool identity = false;  // Transfer-Encoding is exactly "identity", from a server of old.
  std::uint64_t length = 0;
};

// Without any of these read_framing_fields() finds nothing.
inline constexpr FieldSet kFramingFields(FieldId::content_length, FieldId::transfer_encoding);

[[nodiscard]] Result<FramingFields, ParseError> read_framing_fields(const HeadParser& head);

// The framing of a request with these fields. Cannot fail: what is faulty was refused above.
[[nodiscard]] BodyFraming frame_request(const FramingFields& fields);

// The framing of the response with this status to a request with this method.
[[nodiscard]] BodyFraming frame_response(const FramingFields& fields, MethodId request_method,
                                         std::uint16_t status);

}  // namespace weir::http
