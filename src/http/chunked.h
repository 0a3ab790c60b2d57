// The chunked transfer coding (RFC 9112 7.1): an incremental decoder and what an encoder needs.
//
// The decoder hands out data where it lies and keeps no bytes. Chunk extensions are checked and
// dropped. After the last chunk the trailer section follows; HeadParser reads it in mode trailers.
// An error is raised at the first offending byte, however the bytes are cut.
#pragma once

#include <cstdint>

#include "http/parse_error.h"

namespace weir::http {

// Extension bytes in one body, all chunks together: enough for any known use, and a body of
// one-byte chunks with huge extensions ends here.
inline constexpr std::uint32_t kChunkExtensionBytesMax = 4096;

class ChunkedDecoder {
 public:
  enum class Status : std::uint8_t {
    need_more,  // Everything given was consumed.
    data,       // data_at and data_size name body bytes; call again with what follows `consumed`.
    trailers,   // The last chunk's line was consumed; the next byte begins the trailer section.
    error,
  };

  struct Step {
    std::size_t consumed;   // Bytes done with, data included.
    std::size_t data_at;    // Offset from `data`.
    std::size_t data_size;  // 0 unless status is data.
    Status status;
  };

  void begin(std::uint32_t extension_bytes_max = kChunkExtensionBytesMax);

  // Looks at `size` bytes that follow what was consumed before. At most one run of data per call.
  [[nodiscard]] Step step(const char* data, std::size_t size);

  // Bytes of the current chunk's data still to come; 0 between chunks.
  [[nodiscard]] std::uint64_t chunk_left() const { return state_ == State::data ? left_ : 0; }
  // `count` bytes of chunk_left() were moved without passing through step().
  void skip(std::uint64_t count);

  [[nodiscard]] ParseError error() const { return error_; }

 private:
  // What the next byte belongs to.
  enum class State : std::uint8_t {
    size_first,  // First digit of a chunk size.
    size,        // More digits, then CR, ';' or a blank.
    blank,       // Blanks after the size: only ';' may follow them.
    extension,   // Anything but control bytes, then CR.
    quoted,      // Inside quotes: no line can end here.
    escaped,     // After a backslash inside quotes.
    size_lf,     // LF of the size line.
    data,        // `left_` bytes of data.
    data_cr,     // CR after the data.
    data_lf,
    trailers,  // Done.
    failed,
  };

  std::size_t take_plain(const char* data, std::size_t size);
  bool step_line(char byte);
  bool step_size(char byte);
  bool step_size_end(char byte);
  bool step_blank(char byte);
  bool step_extension(char byte);
  bool count_extension_byte();
  bool fail(ParseError error);

  State state_ = State::size_first;
  ParseError error_ = ParseError::none;
  std::uint8_t digits_ = 0;
  std::uint32_t extension_bytes_left_ = kChunkExtensionBytesMax;
  std::uint64_t left_ = 0;
};

// Longest output of write_chunk_begin, and the CRLF that ends a chunk.
inline constexpr std::size_t kChunkBeginBytesMax = 16 + 2;
inline constexpr std::size_t kChunkOverheadMax = kChunkBeginBytesMax + 2;

inline constexpr std::string_view kChunkEnd = "\r\n";
// The last chunk without its trailer section: trailers or one more CRLF follow.
inline constexpr std::string_view kLastChunkLine = "0\r\n";
// A complete end of a chunked body without trailers.
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// Size in canonical hexadecimal and CRLF. `size` is not 0: that would end the body. Returns the
// number of bytes written, at most kChunkBeginBytesMax.
[[nodiscard]] std::size_t write_chunk_begin(char* out, std::uint64_t size);

}  // namespace weir::http
