// Reader: reads a connection's messages with weir's codec as the product does, from bytes that come
// in pieces, and writes down everything it says about them.
//
// Each piece is joined with what is still unread in a new block of exactly that size. So a read
// outside of the given bytes and a pointer into bytes that have moved are both seen. What must hold
// of any head by its bytes alone is checked on the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/chunked.h"
#include "http/head_parser.h"
#include "http/request.h"
#include "http/response.h"
#include "input.h"

namespace weir::fuzz {

struct ReaderOptions {
  http::HeadParser::Mode mode = http::HeadParser::Mode::request;
  // Of the requests that responses answer.
  http::MethodId request_method = http::MethodId::get;
  std::string_view upgrade_offer;
  http::HeadLimits limits;
  std::uint32_t extension_bytes_max = http::kChunkExtensionBytesMax;
  bool one_head = false;     // Stop behind the first head.
  bool one_message = false;  // Stop behind the first message.
};

// From two steering bytes: ordinary limits and GET for zeros.
[[nodiscard]] ReaderOptions take_reader_options(Input& input, http::HeadParser::Mode mode);

struct Line {
  std::string name;
  std::string value;
  bool operator==(const Line&) const = default;
};

struct Message {
  std::string first;   // Method or status.
  std::string second;  // Target or reason.
  std::string version;
  std::string path;  // Of a request.
  std::vector<Line> fields;
  std::string meaning;  // What analyse_request() or analyse_response() concluded, as text.
  http::BodyFraming framing;
  bool last = false;  // The connection ends with it.
  std::string body;
  std::vector<Line> trailers;
  bool operator==(const Message&) const = default;
};

struct Reading {
  std::vector<Message> messages;  // All complete ones, and the one that is not.
  std::size_t complete = 0;       // How many are.
  std::size_t consumed = 0;       // Bytes of the complete ones.
  http::ParseError error = http::ParseError::none;
  bool untouched = false;  // The end of the bytes is the end of the connection.
  bool operator==(const Reading&) const = default;
};

class Reader {
 public:
  explicit Reader(const ReaderOptions& options);
  void feed(std::string_view piece);
  // No more bytes will come.
  [[nodiscard]] Reading finish();

 private:
  enum class Stage : std::uint8_t {
    head,
    length,
    chunked,
    until_close,
    trailers,
    ended,
  };
  // Bytes used, or nothing when more are needed.
  using Used = std::optional<std::size_t>;

  Used step(const char* data, std::size_t size);
  Used step_head(const char* data, std::size_t size);
  Used step_length(const char* data, std::size_t size);
  Used step_chunked(const char* data, std::size_t size);
  Used step_trailers(const char* data, std::size_t size);
  Used fail(http::ParseError error);
  void read_request();
  void read_response();
  void enter_body(const http::BodyFraming& framing, bool last);
  void end_message();

  ReaderOptions options_;
  Stage stage_ = Stage::head;
  http::HeadParser parser_;
  http::ChunkedDecoder decoder_;
  std::uint64_t length_left_ = 0;
  bool last_ = false;  // No message follows the present one.
  std::string unread_;
  std::size_t read_ = 0;  // All bytes used so far.
  Reading out_;
};

[[nodiscard]] Reading read(const ReaderOptions& options, std::string_view bytes,
                           const PieceSizes& sizes);

// Reads the bytes whole, in pieces of these sizes and, when they are few, one by one, and insists
// on the same outcome (RFC 9112 2.2).
[[nodiscard]] Reading read_every_way(const ReaderOptions& options, std::string_view bytes,
                                     const PieceSizes& sizes);

}  // namespace weir::fuzz
