// A second decoder of the chunked coding, to compare weir's with: all bytes at once, one byte after
// the other, straight from the grammar of RFC 9112 7.1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/framing.h"
#include "http/number.h"
#include "http/scan.h"

namespace weir::fuzz {

enum class ChunkedEnd : std::uint8_t {
  more,      // The bytes end within the body.
  trailers,  // Behind the line of the last chunk.
  error,
};

struct Decoded {
  ChunkedEnd end = ChunkedEnd::more;
  std::string data;
  std::size_t used = 0;  // Bytes in front of the trailer section; 0 without one.
  bool operator==(const Decoded&) const = default;
};

class PlainDecoder {
 public:
  PlainDecoder(std::string_view in, std::uint32_t extension_bytes_max)
      : in_(in), extension_bytes_left_(extension_bytes_max) {}

  Decoded decode() {
    try {
      while (const std::uint64_t size = read_line()) {
        data_ += in_.substr(at_, size);
        at_ += in_.substr(at_, size).size();
        expect(next() == '\r');
        expect(next() == '\n');
      }
      return {ChunkedEnd::trailers, data_, at_};
    } catch (const ChunkedEnd end) {
      return {end, data_, 0};
    }
  }

 private:
  char next() { return at_ == in_.size() ? throw ChunkedEnd::more : in_[at_++]; }

  static void expect(bool right) {
    if (!right) throw ChunkedEnd::error;
  }

  std::uint64_t read_line() {
    std::uint64_t size = 0;
    int digits = 0;
    char byte = next();
    for (; http::scan::is(http::scan::kHex, byte); byte = next()) {
      expect(++digits <= 16 && size <= http::kLengthMax / 16);
      size = size * 16 + http::hex_value(byte);
    }
    expect(digits != 0);
    if (byte != '\r') read_extensions(byte);
    expect(next() == '\n');
    return size;
  }

  // Blanks, then ";" and anything up to the first CR outside of quotes.
  void read_extensions(char byte) {
    for (; byte != ';'; byte = next()) {
      expect(http::scan::is_blank(byte));
      take_extension_byte(byte);
    }
    bool quoted = false;
    for (; byte != '\r' || quoted; byte = next()) {
      take_extension_byte(byte);
      if (byte == '"') quoted = !quoted;
      if (byte == '\\' && quoted) take_extension_byte(next());
    }
  }

  void take_extension_byte(char byte) {
    expect(http::scan::is(http::scan::kValue, byte) && extension_bytes_left_ != 0);
    --extension_bytes_left_;
  }

  std::string_view in_;
  std::uint32_t extension_bytes_left_;
  std::size_t at_ = 0;
  std::string data_;
};

}  // namespace weir::fuzz
