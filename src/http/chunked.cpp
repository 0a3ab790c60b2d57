#include "http/chunked.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "http/framing.h"
#include "http/number.h"
#include "http/scan.h"

namespace weir::http {
namespace {

// 16 digits are 64 bits. More, even zeros, serve nobody and would make a line without an end.
constexpr unsigned kDigitsMax = 16;

bool begins_with_crlf(const char* data, std::size_t size) {
  return size >= 2 && data[0] == '\r' && data[1] == '\n';
}

// Size of a plain size line that is all there, hexadecimal digits and CRLF; 0 for any other, which
// goes byte by byte.
std::size_t read_size_line(const char* data, std::size_t size, std::uint64_t& chunk_bytes) {
  std::uint64_t number = 0;
  std::size_t digits = 0;
  // One digit less than allowed cannot pass kLengthMax.
  const std::size_t digits_max = std::min<std::size_t>(size, kDigitsMax - 1);
  while (digits < digits_max && scan::is(scan::kHex, data[digits])) {
    number = number << 4 | hex_value(data[digits++]);
  }
  if (digits == 0) return 0;
  if (!begins_with_crlf(data + digits, size - digits)) return 0;
  chunk_bytes = number;
  return digits + 2;
}

}  // namespace

void ChunkedDecoder::begin(std::uint32_t extension_bytes_max) {
  *this = ChunkedDecoder{};
  extension_bytes_left_ = extension_bytes_max;
}

ChunkedDecoder::Step ChunkedDecoder::step(const char* data, std::size_t size) {
  std::size_t at = take_plain(data, size);
  while (at < size && state_ < State::trailers) {
    if (state_ == State::data) {
      const std::size_t run = std::min<std::uint64_t>(left_, size - at);
      skip(run);
      return {at + run, at, run, Status::data};
    }
    if (!step_line(data[at])) break;
    ++at;
  }
  if (state_ == State::failed) return {at, 0, 0, Status::error};
  return {at, 0, 0, state_ == State::trailers ? Status::trailers : Status::need_more};
}

// What nearly always lies between two runs of data, in one piece: CRLF and a plain size line.
std::size_t ChunkedDecoder::take_plain(const char* data, std::size_t size) {
  std::size_t at = 0;
  if (state_ == State::data_cr && begins_with_crlf(data, size)) {
    at = 2;
    digits_ = 0;
    state_ = State::size_first;
  }
  if (state_ != State::size_first) return at;
  const std::size_t line = read_size_line(data + at, size - at, left_);
  if (line != 0) state_ = left_ == 0 ? State::trailers : State::data;
  return at + line;
}

void ChunkedDecoder::skip(std::uint64_t count) {
  CHECK(state_ == State::data && count <= left_, "more than the chunk holds");
  left_ -= count;
  if (left_ == 0) state_ = State::data_cr;
}

// One byte of anything but data.
bool ChunkedDecoder::step_line(char byte) {
  switch (state_) {
    case State::size_first:
    case State::size: return step_size(byte);
    case State::blank: return step_blank(byte);
    case State::extension:
    case State::quoted:
    case State::escaped: return step_extension(byte);
    case State::size_lf:
      if (byte != '\n') return fail(ParseError::bare_cr);
      state_ = left_ == 0 ? State::trailers : State::data;
      return true;
    case State::data_cr:
      if (byte != '\r') return fail(ParseError::bad_chunk_end);
      state_ = State::data_lf;
      return true;
    case State::data_lf:
      if (byte != '\n') return fail(ParseError::bad_chunk_end);
      digits_ = 0;
      state_ = State::size_first;
      return true;
    case State::data:
    case State::trailers:
    case State::failed: break;
  }
  CHECK(false, "not a framing byte");
}

// RFC 9112 7.1: 1*HEXDIG, and a receiver must expect numbers too large for it.
bool ChunkedDecoder::step_size(char byte) {
  if (!scan::is(scan::kHex, byte)) return step_size_end(byte);
  if (digits_ == kDigitsMax || left_ > kLengthMax >> 4) return fail(ParseError::bad_chunk_size);
  left_ = left_ << 4 | hex_value(byte);
  ++digits_;
  state_ = State::size;
  return true;
}

bool ChunkedDecoder::step_size_end(char byte) {
  if (state_ == State::size_first) return fail(ParseError::bad_chunk_size);
  if (byte == '\r') {
    state_ = State::size_lf;
    return true;
  }
  if (byte == '\n') return fail(ParseError::bare_lf);
  return step_blank(byte);
}

// RFC 9112 7.1.1: blanks may stand before the ';' of an extension, and nowhere else.
bool ChunkedDecoder::step_blank(char byte) {
  if (byte != ';' && !scan::is_blank(byte)) return fail(ParseError::bad_chunk_size);
  state_ = byte == ';' ? State::extension : State::blank;
  return count_extension_byte();
}

// RFC 9112 7.1.1: unknown extensions are ignored. No control byte may hide in them, no line end in
// their quotes (readers that know quotes would go on where others stop), and all of them together
// are bounded.
bool ChunkedDecoder::step_extension(char byte) {
  if (byte == '\n') return fail(ParseError::bare_lf);
  if (byte == '\r' && state_ == State::extension) {
    state_ = State::size_lf;
    return true;
  }
  if (!scan::is(scan::kValue, byte)) return fail(ParseError::bad_chunk_extension);
  if (state_ == State::escaped) {
    state_ = State::quoted;
  } else if (byte == '"') {
    state_ = state_ == State::quoted ? State::extension : State::quoted;
  } else if (byte == '\\' && state_ == State::quoted) {
    state_ = State::escaped;
  }
  return count_extension_byte();
}

bool ChunkedDecoder::count_extension_byte() {
  if (extension_bytes_left_ == 0) return fail(ParseError::chunk_extensions_too_large);
  --extension_bytes_left_;
  return true;
}

bool ChunkedDecoder::fail(ParseError error) {
  error_ = error;
  state_ = State::failed;
  return false;
}

std::size_t write_chunk_begin(char* out, std::uint64_t size) {
  CHECK(size != 0, "a chunk of size 0 ends the body");
  char* to = out;
  int shift = (63 - std::countl_zero(size)) / 4 * 4;
  for (; shift >= 0; shift -= 4) *to++ = "0123456789abcdef"[(size >> shift) & 0xf];
  *to++ = '\r';
  *to++ = '\n';
  return static_cast<std::size_t>(to - out);
}

}  // namespace weir::http
