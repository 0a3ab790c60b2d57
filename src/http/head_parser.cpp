#include "http/head_parser.h"

#include <algorithm>
#include <cstring>

#include "http/field_table.h"
#include "http/scan.h"

namespace weir::http {
namespace {

constexpr std::string_view kVersion11 = "HTTP/1.1";
constexpr std::uint8_t kStatusDigits = 3;
constexpr char kRequestLineEnd[] = " HTTP/1.1\r\n";
constexpr char kStatusLineBegin[] = "HTTP/1.1 ";
constexpr char kLineEnd[] = "\r\n";
// Most messages begin so: to compare is less than to scan.
constexpr char kUsualMethod[] = "GET ";
constexpr char kUsualStatusLine[] = "HTTP/1.1 200 OK\r\n";

// Whether these bytes come next, which must be there. They are known while compiling: a comparison
// of a word or two.
template <std::size_t kBytes>
bool begins_with(const char* at, const char (&text)[kBytes]) {
  return std::memcmp(at, text, kBytes - 1) == 0;
}

// Neither a blank nor a control byte.
bool is_solid(char byte) { return static_cast<unsigned char>(byte) > ' '; }

// Is `byte` possible at this index of "HTTP/" DIGIT "." DIGIT (RFC 9112 2.3)?
bool fits_version(char byte, std::size_t index) {
  constexpr std::size_t kMajorAt = 5;
  constexpr std::size_t kMinorAt = 7;
  if (index == kMajorAt || index == kMinorAt) return scan::is(scan::kDigit, byte);
  return byte == kVersion11[index];
}

}  // namespace

bool HeadParser::fail(ParseError error) {
  error_ = error;
  state_ = State::failed;
  return false;
}

ParseError HeadParser::limit_error() const {
  if (mode_ == Mode::trailers) return ParseError::trailers_too_large;
  return state_ == State::target ? ParseError::target_too_long : ParseError::head_too_large;
}

inline void HeadParser::end_canonical_start_line(Cursor& c, const char* end) {
  c.at = end;
  fields_at_ = c.offset();
  start_line_canonical_ = true;
  major_version_ = minor_version_ = 1;
  state_ = State::line_start;
}

inline void HeadParser::take_request_line(Cursor& c) {
  constexpr std::size_t kEndBytes = sizeof(kRequestLineEnd) - 1;
  if (static_cast<std::size_t>(c.end - c.at) <= kEndBytes) return;
  const char* const last = c.end - kEndBytes;
  const char* const space = begins_with(c.at, kUsualMethod)
                                ? c.at + sizeof(kUsualMethod) - 2
                                : scan::find_end<scan::kToken>(c.base, c.at, last);
  const Slice method = c.slice(c.at, space);
  if (space >= last || *space != ' ' || method.size - 1U >= kMethodBytesMax) return;
  const char* const end = scan::find_end<scan::kTarget>(c.base, space + 1, last);
  const Slice target = c.slice(space + 1, end);
  if (target.size == 0 || target.size > limits_.target_bytes_max) return;
  if (!begins_with(end, kRequestLineEnd)) return;
  method_ = method;
  second_ = target;
  end_canonical_start_line(c, end + kEndBytes);
}

inline void HeadParser::take_status_line(Cursor& c) {
  constexpr std::size_t kDigitsAt = sizeof(kStatusLineBegin) - 1;
  constexpr std::size_t kReasonAt = kDigitsAt + kStatusDigits + 1;
  constexpr std::size_t kUsualBytes = sizeof(kUsualStatusLine) - 1;
  const auto size = static_cast<std::size_t>(c.end - c.at);
  if (size >= kUsualBytes && begins_with(c.at, kUsualStatusLine)) {
    status_code_ = 200;
    second_ = c.slice(c.at + kReasonAt, c.at + kUsualBytes - 2);
    return end_canonical_start_line(c, c.at + kUsualBytes);
  }
  if (size < kReasonAt + 2) return;
  if (!begins_with(c.at, kStatusLineBegin) || c.at[kReasonAt - 1] != ' ') return;
  const auto digit = [&](std::size_t i) {
    return static_cast<unsigned>(c.at[kDigitsAt + i] - '0');
  };
  if (digit(0) - 1 > 4 || digit(1) > 9 || digit(2) > 9) return;
  const char* const reason = c.at + kReasonAt;
  const char* const end = scan::find_end<scan::kValue>(c.base, reason, c.end - 2);
  if (!begins_with(end, kLineEnd)) return;
  status_code_ = static_cast<std::uint16_t>(digit(0) * 100 + digit(1) * 10 + digit(2));
  second_ = c.slice(reason, end);
  end_canonical_start_line(c, end + 2);
}

// RFC 9112 5. An empty value is left to the steps, too. No scan goes so far that what must follow
// could not be there.
[[gnu::always_inline]] inline bool HeadParser::take_field_line(Cursor& c, Run& run) {
  if (c.end - c.at < 5 || begins_with(c.at, kLineEnd) || run.next == run.end) return false;
  const char* const colon = scan::find_end<scan::kNotColon>(c.base, c.at, c.end - 4);
  if (!begins_with(colon, ": ")) return false;
  const std::string_view name(c.at, static_cast<std::size_t>(colon - c.at));
  std::optional<FieldId> id = field_table::find(name);
  if (!id) {  // The bytes of a name need no look when it is in the list.
    if (name.empty() || scan::find_end<scan::kToken>(c.base, c.at, colon) != colon) return false;
    id = field_table::find_unlisted(name);
  }
  const char* const value = colon + 2;
  const char* const end = scan::find_end<scan::kValue>(c.base, value, c.end - 2);
  if (!begins_with(end, kLineEnd) || !is_solid(*value) || !is_solid(end[-1])) return false;
  *run.next++ = {c.slice(c.at, colon), c.slice(value, end), *id, true};
  run.present.insert(*id);
  c.at = end + 2;
  return true;
}

// A cursor and a run of its own, which no call has seen, stay in registers.
[[gnu::always_inline]] inline void HeadParser::take_field_lines(Cursor& cursor) {
  Cursor c = cursor;
  Run run{fields_.data() + field_count_, fields_.data() + limits_.fields_max, present_};
  while (take_field_line(c, run)) {
  }
  field_count_ = static_cast<std::uint16_t>(run.next - fields_.data());
  present_ = run.present;
  if (c.end - c.at >= 2 && begins_with(c.at, kLineEnd)) {
    c.at += 2;
    state_ = State::complete;
  }
  cursor = c;
}

// RFC 9112 2.2: a server ignores at least one empty line before the request line. A client that
// sends nothing else is not listened to for long.
bool HeadParser::step_start(Cursor& c) {
  for (; c.at != c.end; ++c.at) {
    const char byte = *c.at;
    if (state_ == State::start_lf) {
      if (byte != '\n') return fail(ParseError::bare_cr);
      state_ = State::start;
    } else if (byte == '\r') {
      if (++count_ > kEmptyLinesMax) return fail(ParseError::empty_lines);
      state_ = State::start_lf;
    } else if (byte == '\n') {
      return fail(ParseError::bare_lf);
    } else {
      start_at_ = token_at_ = c.offset();
      state_ = State::method;
      return true;
    }
  }
  return false;
}

// RFC 9110 9.1: method = token. RFC 9112 3: one SP after it; a method longer than any known one is
// answered with 501.
bool HeadParser::step_method(Cursor& c) {
  c.at = scan::find_end<scan::kToken>(c.base, c.at, c.end);
  const std::size_t size = c.offset() - std::size_t{token_at_};
  if (size > kMethodBytesMax) return fail(ParseError::method_too_long);
  if (c.at == c.end) return false;
  if (*c.at != ' ' || size == 0) return fail(ParseError::bad_method);
  method_ = {token_at_, static_cast<std::uint16_t>(size)};
  ++c.at;
  token_at_ = c.offset();
  state_ = State::target;
  return true;
}

// RFC 9112 3.2: no whitespace in the target, and it is passed on as it is. Bytes that no URI can
// contain (controls, DEL, above 0x7f) and fragments are refused.
bool HeadParser::step_target(Cursor& c) {
  c.at = scan::find_end<scan::kTarget>(c.base, c.at, c.end);
  const std::size_t size = c.offset() - std::size_t{token_at_};
  if (size > limits_.target_bytes_max) return fail(ParseError::target_too_long);
  if (c.at == c.end) return false;
  if (size != 0 && *c.at == '\n') return fail(ParseError::bare_lf);
  if (size != 0 && *c.at == '\r') return fail(ParseError::bad_version);  // HTTP/0.9.
  if (*c.at != ' ' || size == 0) return fail(ParseError::bad_target);
  second_ = {token_at_, static_cast<std::uint16_t>(size)};
  ++c.at;
  count_ = 0;
  state_ = State::version;
  return true;
}

bool HeadParser::step_version(Cursor& c) {
  for (; c.at != c.end; ++c.at) {
    if (count_ == kVersion11.size()) return end_version(c);
    if (!fits_version(*c.at, count_)) return fail(ParseError::bad_version);
    if (scan::is(scan::kDigit, *c.at)) {
      major_version_ = count_ == 5 ? static_cast<std::uint8_t>(*c.at - '0') : major_version_;
      minor_version_ = static_cast<std::uint8_t>(*c.at - '0');
    }
    ++count_;
  }
  return false;
}

// RFC 9110 2.5: another major version cannot be understood; a higher minor one can.
bool HeadParser::end_version(Cursor& c) {
  const bool request = mode_ == Mode::request;
  if (request && *c.at == '\n') return fail(ParseError::bare_lf);
  if (*c.at != (request ? '\r' : ' ')) return fail(ParseError::bad_version);
  if (major_version_ != 1) return fail(ParseError::version_unsupported);
  start_line_canonical_ = minor_version_ == 1;
  ++c.at;
  count_ = 0;
  state_ = request ? State::start_line_lf : State::status;
  return true;
}

// RFC 9112 4, RFC 9110 15: three digits, 100 to 599. The SP before an empty reason phrase is
// required of senders; many leave it out, and nothing else can be meant, so its absence is accepted
// and repaired.
bool HeadParser::step_status(Cursor& c) {
  for (; c.at != c.end && count_ < kStatusDigits; ++c.at, ++count_) {
    const char byte = *c.at;
    if (!scan::is(scan::kDigit, byte)) return fail(ParseError::bad_status);
    if (count_ == 0 && (byte < '1' || byte > '5')) return fail(ParseError::bad_status);
    status_code_ = static_cast<std::uint16_t>(status_code_ * 10 + (byte - '0'));
  }
  if (c.at == c.end) return false;
  if (*c.at == '\n') return fail(ParseError::bare_lf);
  if (*c.at != ' ' && *c.at != '\r') return fail(ParseError::bad_status);
  const bool has_reason = *c.at == ' ';
  start_line_canonical_ = start_line_canonical_ && has_reason;
  ++c.at;
  token_at_ = c.offset();
  second_ = {token_at_, 0};
  state_ = has_reason ? State::reason : State::start_line_lf;
  return true;
}

bool HeadParser::step_reason(Cursor& c) {
  c.at = scan::find_end<scan::kValue>(c.base, c.at, c.end);
  if (c.at == c.end) return false;
  if (*c.at == '\n') return fail(ParseError::bare_lf);
  if (*c.at != '\r') return fail(ParseError::bad_reason);
  second_.size = static_cast<std::uint16_t>(c.offset() - token_at_);
  ++c.at;
  state_ = State::start_line_lf;
  return true;
}

bool HeadParser::step_start_line_lf(Cursor& c) {
  if (c.at == c.end) return false;
  if (*c.at != '\n') return fail(ParseError::bare_cr);
  ++c.at;
  fields_at_ = c.offset();
  state_ = State::line_start;
  return true;
}

bool HeadParser::begin_field(Cursor& c) {
  token_at_ = c.offset();
  if (field_count_ != limits_.fields_max) return true;
  return fail(scan::is(scan::kToken, *c.at) ? ParseError::too_many_fields : name_error(*c.at, 0));
}

// Why a name of `size` bytes cannot be followed by this byte. RFC 9112 5.2: a line that begins with
// a blank continues the one before, which weir refuses; right after the start line it must be
// refused (RFC 9112 2.2).
ParseError HeadParser::name_error(char byte, std::size_t size) {
  if (scan::is_blank(byte)) {
    return size == 0 ? ParseError::folded_field : ParseError::space_before_colon;
  }
  return size == 0 && byte == '\n' ? ParseError::bare_lf : ParseError::bad_field_name;
}

// RFC 9112 5.1: a token, and ':' directly after it.
bool HeadParser::end_name(Cursor& c) {
  const std::size_t size = c.offset() - std::size_t{token_at_};
  if (*c.at != ':' || size == 0) return fail(name_error(*c.at, size));
  Field& field = fields_[field_count_];
  field.name = {token_at_, static_cast<std::uint16_t>(size)};
  field.id = field_id({c.at - size, size});
  ++c.at;
  return true;
}

// RFC 9110 5.5: control bytes are refused, blanks on both sides are not part of the value.
bool HeadParser::end_value(Cursor& c) {
  if (*c.at != '\r') {
    return fail(*c.at == '\n' ? ParseError::bare_lf : ParseError::bad_field_value);
  }
  Field& field = fields_[field_count_];
  const char* const begin = c.base + field.value.at;
  const char* last = c.at;
  while (last != begin && scan::is_blank(last[-1])) --last;
  field.value.size = static_cast<std::uint16_t>(last - begin);
  const char* const colon = c.base + field.name.end();
  field.canonical =
      last == c.at && (begin == last ? begin == colon + 1 : begin == colon + 2 && colon[1] == ' ');
  ++c.at;
  return true;
}

bool HeadParser::end_field(Cursor& c) {
  if (*c.at != '\n') return fail(ParseError::bare_cr);
  ++c.at;
  present_.insert(fields_[field_count_].id);
  ++field_count_;
  state_ = State::line_start;
  return true;
}

// The LF of the empty line.
bool HeadParser::end_head(Cursor& c) {
  state_ = State::end_lf;
  if (c.at == c.end) return false;
  if (*c.at != '\n') return fail(ParseError::bare_cr);
  ++c.at;
  state_ = State::complete;
  return false;
}

bool HeadParser::step_start_line(Cursor& c) {
  if (state_ <= State::start_lf && !step_start(c)) return false;
  if (state_ == State::method && !step_method(c)) return false;
  if (state_ == State::target && !step_target(c)) return false;
  if (state_ == State::version && !step_version(c)) return false;
  if (state_ == State::status && !step_status(c)) return false;
  if (state_ == State::reason && !step_reason(c)) return false;
  return step_start_line_lf(c);
}

// RFC 9112 5. Falls through the parts of a line; the state is written only where bytes run out.
bool HeadParser::step_field_line(Cursor& c) {
  const auto wait_in = [this](State state) {
    state_ = state;
    return false;
  };
  switch (state_) {
    case State::line_start:
      if (c.at == c.end) return false;
      if (*c.at == '\r') {
        ++c.at;
        return end_head(c);
      }
      if (!begin_field(c)) return false;
      [[fallthrough]];
    case State::name:
      c.at = scan::find_end<scan::kToken>(c.base, c.at, c.end);
      if (c.at == c.end) return wait_in(State::name);
      if (!end_name(c)) return false;
      [[fallthrough]];
    case State::value_start:
      while (c.at != c.end && scan::is_blank(*c.at)) ++c.at;
      if (c.at == c.end) return wait_in(State::value_start);
      fields_[field_count_].value.at = c.offset();
      [[fallthrough]];
    case State::value:
      c.at = scan::find_end<scan::kValue>(c.base, c.at, c.end);
      if (c.at == c.end) return wait_in(State::value);
      if (!end_value(c)) return false;
      [[fallthrough]];
    case State::value_lf:
      if (c.at == c.end) return wait_in(State::value_lf);
      return end_field(c);
    default: return end_head(c);
  }
}

ParseStatus HeadParser::parse(const char* data, std::size_t size) {
  base_ = data;
  if (state_ >= State::complete) return status();
  const std::size_t usable = std::min<std::size_t>(size, limits_.head_bytes_max);
  Cursor c{data, data + pos_, data + usable};
  if (pos_ == 0 && mode_ == Mode::request) take_request_line(c);
  if (pos_ == 0 && mode_ == Mode::response) take_status_line(c);
  if (state_ >= State::line_start || step_start_line(c)) {
    do {
      if (state_ == State::line_start) take_field_lines(c);
    } while (state_ < State::complete && step_field_line(c));
  }
  pos_ = c.offset();
  // RFC 9112 3, RFC 6585 5: full and not complete. Raised without waiting for the byte too many, so
  // that a buffer of exactly this size is never waited on.
  if (state_ < State::complete && usable == limits_.head_bytes_max) fail(limit_error());
  return status();
}

}  // namespace weir::http
