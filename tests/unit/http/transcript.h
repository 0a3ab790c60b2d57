// Transcript: everything the codec says about one message, as lines of text, for input cut in any
// way. Two ways of cutting the same bytes must give the same transcript.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/chunked.h"
#include "http/head_parser.h"
#include "http/request.h"
#include "http/response.h"

namespace weir::http::test {

struct MessageKind {
  HeadParser::Mode mode = HeadParser::Mode::request;
  bool body_only = false;  // Begin with a chunked body.
  MethodId request_method = MethodId::get;
  std::vector<std::string> upgrades;  // That a client may be offered, or that its server was.
  HeadLimits limits;
  std::uint32_t extension_bytes_max = kChunkExtensionBytesMax;
};

class Transcript {
 public:
  explicit Transcript(const MessageKind& kind);

  // All bytes so far; each call may bring them to another place. False once nothing more is wanted.
  bool feed(const char* data, std::size_t size);
  // No more bytes will come. The finished transcript.
  [[nodiscard]] std::vector<std::string> finish(std::size_t size);
  // How many bytes had been given when the error was seen, 0 without one.
  [[nodiscard]] std::size_t failed_at() const { return failed_at_; }

 private:
  enum class Stage {
    head,
    length,
    chunked,
    until_close,
    trailers,
    done
  };

  bool feed_head(const char* data, std::size_t size);
  bool feed_length(const char* data, std::size_t size);
  bool feed_chunked(const char* data, std::size_t size);
  bool feed_trailers(const char* data, std::size_t size);
  bool describe_request();
  bool describe_response();
  void describe_fields(std::string_view label);
  bool enter_body(const BodyFraming& body);
  bool fail(ParseError error, std::size_t size);
  void say(const std::string& line);  // Escaped as vectors write it.

  MessageKind kind_;
  Stage stage_;
  HeadParser parser_;
  ChunkedDecoder decoder_;
  BodyFraming body_;
  std::size_t consumed_ = 0;  // Bytes before the current stage, or decoded.
  std::string data_;
  std::vector<std::string> lines_;
  std::size_t failed_at_ = 0;
};

// The transcript of `bytes` given in pieces that end at each of `cuts` and at the end. Every call
// gets its own copy in a block of exactly that size, so that a read outside is seen.
[[nodiscard]] std::vector<std::string> read_in_pieces(const MessageKind& kind,
                                                      std::string_view bytes,
                                                      const std::vector<std::size_t>& cuts,
                                                      std::size_t* failed_at = nullptr);

}  // namespace weir::http::test
