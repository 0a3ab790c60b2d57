// HeadParser: the start line and field lines of one message, or the field lines of a trailer
// section. Incremental and zero-copy.
//
// Give parse() all bytes of the message so far, again and again, until it is `complete` or `error`.
// The parser remembers offsets, not pointers: the caller may move the bytes between two calls. A
// line that is all there and canonical is taken as a whole; any other goes byte by byte through the
// states below, which accept the same. An error is raised at the first byte that makes the message
// impossible, so the verdict does not depend on how the bytes were cut (RFC 9112 2.2). No call
// looks at the bytes of an earlier one again, and none at a line more than twice.
//
// Strict: CRLF only, no folding, no blanks around names, no control bytes, no HTTP/0.9. Everything
// is counted while reading: target, fields, whole head.
//
// The owner embeds one per direction of an exchange. begin() makes it ready without touching the
// field table. Views are into the caller's bytes as of the last parse() or rebase().
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "http/field_id.h"
#include "http/parse_error.h"

namespace weir::http {

inline constexpr std::size_t kFieldsMax = 128;
inline constexpr std::size_t kHeadBytesMax = 60 * 1024;  // Offsets are 16 bits wide.
inline constexpr std::size_t kMethodBytesMax = 64;
inline constexpr unsigned kEmptyLinesMax = 4;  // RFC 9112 2.2 asks for one at least.

struct HeadLimits {
  std::uint16_t target_bytes_max = 8192;  // RFC 9112 3 asks for 8000 octets at least.
  std::uint16_t head_bytes_max = 16384;   // At most kHeadBytesMax.
  std::uint16_t fields_max = 100;         // At most kFieldsMax.
};

// A run of bytes of the message, by offset from its first byte.
struct Slice {
  std::uint16_t at = 0;
  std::uint16_t size = 0;

  [[nodiscard]] constexpr std::size_t end() const { return std::size_t{at} + size; }
  bool operator==(const Slice&) const = default;
};

struct Field {
  Slice name;
  Slice value;  // Without blanks on either side.
  FieldId id;
  // The line is already as weir writes it: "name: value" CRLF, or "name:" CRLF when empty.
  bool canonical;

  // First byte after the line's CRLF; only meaningful for canonical lines.
  [[nodiscard]] constexpr std::size_t line_end() const {
    return (value.size != 0 ? value.end() : name.end() + 1) + 2;
  }
};

enum class ParseStatus : std::uint8_t {
  need_more,
  complete,
  error,
};

class HeadParser {
 public:
  enum class Mode : std::uint8_t {
    request,
    response,
    trailers,
  };

  // The field table stays uninitialised: an exchange holds two parsers, and clearing 256 fields
  // was 7 % of the instructions of a small request.
  HeadParser() {}

  // Starts a new message. Limits above the hard ones are cut down to them.
  void begin(Mode mode, const HeadLimits& limits);

  // `data` is the first byte of the message and `size` counts all of it that has arrived. Bytes
  // after the head are not looked at. Once complete or failed, answers the same again.
  [[nodiscard]] ParseStatus parse(const char* data, std::size_t size);

  // The bytes have moved since the last parse().
  void rebase(const char* data) { base_ = data; }

  [[nodiscard]] ParseStatus status() const {
    if (state_ < State::complete) return ParseStatus::need_more;
    return state_ == State::complete ? ParseStatus::complete : ParseStatus::error;
  }
  [[nodiscard]] ParseError error() const { return error_; }
  [[nodiscard]] Mode mode() const { return mode_; }
  // True when not one byte beyond skippable empty lines has arrived: an end of input here is the
  // end of the connection, not a truncated message.
  [[nodiscard]] bool untouched() const { return state_ <= State::start_lf || pos_ == 0; }
  // Size of the head including the empty line that ends it; only when complete.
  [[nodiscard]] std::size_t head_bytes() const { return pos_; }

  // Start line of a request.
  [[nodiscard]] Slice target_slice() const { return second_; }
  [[nodiscard]] std::string_view method() const { return view(method_); }
  [[nodiscard]] std::string_view target() const { return view(second_); }

  // Start line of a response.
  [[nodiscard]] std::uint16_t status_code() const { return status_code_; }
  [[nodiscard]] std::string_view reason() const { return view(second_); }

  // 0 or 1; a higher minor version is treated as 1 (RFC 9110 2.5).
  [[nodiscard]] unsigned minor_version() const { return minor_version_ == 0 ? 0 : 1; }
  // The start line is byte for byte as weir would write it for the same target or reason.
  [[nodiscard]] bool start_line_canonical() const { return start_line_canonical_; }
  // Offsets of the start line's first byte (after skipped empty lines) and of the first field line.
  [[nodiscard]] std::size_t start_at() const { return start_at_; }
  [[nodiscard]] std::size_t fields_at() const { return fields_at_; }

  [[nodiscard]] std::span<const Field> fields() const { return {fields_.data(), field_count_}; }
  // Ids that occur at least once; `other` counts too.
  [[nodiscard]] FieldSet present() const { return present_; }
  [[nodiscard]] const char* base() const { return base_; }
  [[nodiscard]] std::string_view view(Slice slice) const { return {base_ + slice.at, slice.size}; }
  [[nodiscard]] std::string_view name(const Field& field) const { return view(field.name); }
  [[nodiscard]] std::string_view value(const Field& field) const { return view(field.value); }

 private:
  // What the next byte belongs to.
  enum class State : std::uint8_t {
    start,          // Nothing but empty lines so far.
    start_lf,       // LF of a skipped empty line.
    method,         // Request: the method, then SP.
    target,         // Request: the target, then SP.
    version,        // "HTTP/1.1", then CR (request) or SP (response).
    status,         // Response: three digits, then SP or CR.
    reason,         // Response: the reason phrase, then CR.
    start_line_lf,  // LF of the start line.
    line_start,     // First byte of a field line or of the empty line.
    name,           // Field name, then ':'.
    value_start,    // Blanks before the value.
    value,          // The value, then CR.
    value_lf,       // LF of a field line.
    end_lf,         // LF of the empty line.
    complete,
    failed,
  };

  // Where parsing stands inside one call.
  struct Cursor {
    const char* base;
    const char* at;
    const char* end;
    [[nodiscard]] std::uint16_t offset() const { return static_cast<std::uint16_t>(at - base); }
    [[nodiscard]] Slice slice(const char* from, const char* to) const {
      return {static_cast<std::uint16_t>(from - base), static_cast<std::uint16_t>(to - from)};
    }
  };

  // The rest of the field table, and what is in the table.
  struct Run {
    Field* next;
    const Field* end;
    FieldSet present;
  };

  // Shortcuts: each takes a whole line that is there and canonical. Of anything else they leave
  // every byte to the steps below, which know what is missing or wrong.
  inline void take_request_line(Cursor& c);
  inline void take_status_line(Cursor& c);
  inline void end_canonical_start_line(Cursor& c, const char* end);
  inline void take_field_lines(Cursor& c);
  inline bool take_field_line(Cursor& c, Run& run);

  // Each consumes what it can of its part. False: out of bytes, failed, or complete.
  bool step_start_line(Cursor& c);
  bool step_start(Cursor& c);
  bool step_method(Cursor& c);
  bool step_target(Cursor& c);
  bool step_version(Cursor& c);
  bool end_version(Cursor& c);
  bool step_status(Cursor& c);
  bool step_reason(Cursor& c);
  bool step_start_line_lf(Cursor& c);
  bool step_field_line(Cursor& c);
  bool begin_field(Cursor& c);
  bool end_name(Cursor& c);
  bool end_value(Cursor& c);
  bool end_field(Cursor& c);
  bool end_head(Cursor& c);
  bool fail(ParseError error);
  [[nodiscard]] static ParseError name_error(char byte, std::size_t size);
  [[nodiscard]] ParseError limit_error() const;

  const char* base_ = nullptr;
  std::uint16_t pos_ = 0;       // First byte not yet parsed.
  std::uint16_t token_at_ = 0;  // Where the current token began.
  std::uint16_t start_at_ = 0;
  std::uint16_t fields_at_ = 0;
  Slice method_;
  Slice second_;  // Target or reason.
  std::uint16_t status_code_ = 0;
  std::uint16_t field_count_ = 0;
  HeadLimits limits_;
  Mode mode_ = Mode::request;
  State state_ = State::start;
  ParseError error_ = ParseError::none;
  std::uint8_t count_ = 0;  // Empty lines, or bytes of the version or status seen.
  std::uint8_t major_version_ = 0;
  std::uint8_t minor_version_ = 0;
  bool start_line_canonical_ = false;
  FieldSet present_;
  union {
    std::array<Field, kFieldsMax> fields_;  // The first field_count_ are set.
  };
};

// Here, because mode and limits are mostly known while compiling.
inline void HeadParser::begin(Mode mode, const HeadLimits& limits) {
  limits_ = limits;
  limits_.head_bytes_max = std::min<std::uint16_t>(limits.head_bytes_max, kHeadBytesMax);
  limits_.fields_max = std::min<std::uint16_t>(limits.fields_max, kFieldsMax);
  mode_ = mode;
  base_ = nullptr;
  pos_ = token_at_ = start_at_ = fields_at_ = 0;
  method_ = second_ = Slice{};
  status_code_ = field_count_ = 0;
  error_ = ParseError::none;
  count_ = major_version_ = minor_version_ = 0;
  start_line_canonical_ = false;
  present_.clear();
  switch (mode) {
    case Mode::request: state_ = State::start; break;
    case Mode::response: state_ = State::version; break;
    case Mode::trailers: state_ = State::line_start; break;
  }
}

static_assert(sizeof(Field) == 10);
static_assert(sizeof(HeadParser) <= 1400);

}  // namespace weir::http
