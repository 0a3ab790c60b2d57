// BodyFlow: moves one message body from one connection to another, through bounded buffers.
//
//   from.in --decode--> pending_ bytes at the front of from.in --emit--> to.out or the socket
//   the source's socket --take--> a pipe --give--> the sink's socket
//
// Decoding follows the framing that was decided with the head; emitting re-frames: as it is, or in
// chunks of our own. Body bytes are sent from the buffer they were received into; small ones ride
// behind the head in `to.out`, in one send. What is left of a large body, or of a large chunk, does
// not enter user space at all (splice_flow.h); its framing does. Nothing is read while `to` cannot
// take more: that is the back-pressure. One flow per direction of an exchange.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/chunked.h"
#include "http/framing.h"
#include "http/head_parser.h"
#include "net/connection.h"
#include "proxy/splice_flow.h"

namespace weir::proxy {

class BodyFlow {
 public:
  enum class Status : std::uint8_t {
    need_input,      // Everything received was sent; the source has no more now.
    blocked_output,  // The sink's socket is full.
    working,         // The budget of this step is used up; there is more to do.
    complete,        // The last byte was handed to the sink's socket.
    source_ended,    // The source closed before the end of the body.
    source_failed,   // The source's connection broke.
    sink_failed,     // The sink's connection broke.
    malformed,       // The source broke the chunked coding: error().
    no_buffer,       // The pool is exhausted.
  };

  // Work done in one step before others get their turn, in bytes copied; a spliced one costs less
  // than half of that. Every piece of a body counts as kPieceBytes more: a chunk of one byte costs
  // about as much as copying that many.
  static constexpr std::size_t kStepBytes = 128 * 1024;
  static constexpr std::size_t kPieceBytes = 64;
  // Bodies and chunks are spliced while more than one receive would take is still to come; bodies
  // that last to the end of their connection, once so much has come. docs/decisions/0016 has the
  // measurements. What is spliced would not have fitted the block of a held request either.
  static constexpr std::size_t kSpliceBytesMin = net::kBlockBytes;

  // `trailers` is used to parse a trailer section, and belongs to the flow until it is complete.
  void begin(const http::BodyFraming& framing, bool chunked_out, http::HeadParser& trailers,
             const http::HeadLimits& limits);

  // Large pieces may go through pipes; both connections are plain sockets.
  void splice_through(net::PipePool& pipes) { splice_.begin(pipes); }

  // The sink's bytes are to be kept for repeating as long as they fit `to.out`.
  void hold() { hold_ = true; }

  // One bounded step. `to.out` may hold a head that has not been sent yet.
  [[nodiscard]] Status pump(net::Connection& from, net::Connection& to);
  // One bounded step that throws the body away.
  [[nodiscard]] Status discard(net::Connection& from);

  // The source has given everything; what is left lies in `to.out`.
  [[nodiscard]] bool decoded() const { return stage_ == Stage::done; }
  // Every byte the sink was given since its `out` was filled is still in it: rewind() repeats it.
  [[nodiscard]] bool repeatable() const { return repeatable_; }
  // The last step moved something, in or out.
  [[nodiscard]] bool progressed() const { return progressed_; }
  // Payload bytes decoded so far, without framing.
  [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_; }
  [[nodiscard]] http::ParseError error() const { return error_; }

 private:
  // What the next undecoded byte belongs to.
  enum class Stage : std::uint8_t {
    length,       // `left_` bytes follow.
    chunked,      // The decoder knows.
    trailers,     // A trailer section after the last chunk.
    until_close,  // Everything is body.
    done,
  };

  [[nodiscard]] bool step_over() const {
    return spent_ >= kStepBytes && (pending_ > 0 || splice_.held() > 0 || stage_ != Stage::done);
  }
  Status fill(net::Connection& from);
  Status without_input(os::IoStatus status);
  [[nodiscard]] std::uint64_t spliceable() const;
  Status read_on(net::Connection& from, net::Connection& to);
  Status take(net::Connection& from, net::Connection& to);
  void taken(std::size_t bytes, net::Buffer& out);
  Status give(net::Connection& to);
  Status decode(net::Connection& from, net::Connection* to);
  Status decode_chunked(net::Connection& from);
  Status decode_trailers(net::Connection& from, net::Connection* to);
  Status emit_plain(net::Connection& from, net::Connection& to);
  Status emit_chunk(net::Connection& from, net::Connection& to);
  Status emit_end(net::Connection& to, std::string_view end, bool& owed);
  Status flush(net::Connection& to, Status when_empty);
  Status make_room(net::Connection& to, std::size_t room);

  Stage stage_ = Stage::done;
  bool chunked_out_ = false;
  bool spliced_last_ = false;     // Since the last receive.
  bool chunk_end_owed_ = false;   // The end of a spliced chunk of our own is still to be written.
  bool last_chunk_owed_ = false;  // The end of our own chunked coding is still to be written.
  bool hold_ = false;
  bool repeatable_ = true;
  bool progressed_ = false;
  http::ParseError error_ = http::ParseError::none;
  std::uint64_t left_ = 0;
  std::size_t pending_ = 0;  // Decoded, unsent bytes at the front of from.in.
  std::size_t spent_ = 0;    // Of kStepBytes.
  std::uint64_t body_bytes_ = 0;
  http::HeadParser* trailers_ = nullptr;
  http::HeadLimits limits_;
  http::ChunkedDecoder decoder_;
  SpliceFlow splice_;
};

}  // namespace weir::proxy
