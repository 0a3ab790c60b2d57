// SpliceFlow: one direction of bytes that weir need not read: socket -> pipe -> socket.
//
// It takes what the source has, up to a pipe full, then gives all of that to the sink before it
// takes more. So the pipe is empty whenever the source is asked: an end or a failure of the source
// comes after its last byte has left, and EAGAIN says that the source is empty. A pipe is held only
// while there are bytes in it; an idle flow has none.
//
// Not everything can be spliced: there may be no pipe, urgent data stops splice() with bytes
// queued, and the kernel knows sockets it cannot do it with. Then the caller copies for a while. It
// belongs to the object whose bytes it moves; used by BodyFlow and by Relay.
#pragma once

#include <cstdint>

#include "net/connection.h"
#include "net/splice_pipe.h"

namespace weir::proxy {

class SpliceFlow {
 public:
  enum class Status : std::uint8_t {
    need_input,      // Everything taken was given; the source has no more now.
    blocked_output,  // The sink's socket is full.
    working,         // The budget of this step is used up; there is more to do.
    complete,        // As many bytes as were wanted were handed to the sink's socket.
    source_ended,    // The source closed; everything before that was given.
    source_failed,   // The source's connection broke; everything before that was given.
    sink_failed,     // The sink takes no more.
    must_copy,       // Not now. Nothing is held: receive and send instead, then try again.
  };

  // Bytes moved in one step before others get their turn.
  static constexpr std::size_t kStepBytes = 256 * 1024;

  // Before that, and without a pool, there is nothing but copying.
  void begin(net::PipePool& pool) { pool_ = &pool; }

  // One bounded step. `left`: bytes that may still be taken from the source, less those taken.
  // `from.in` must be empty; what is in `to.out` is sent first.
  [[nodiscard]] Status pump(net::Connection& from, net::Connection& to, std::uint64_t& left);

  // The two halves of a step, for a caller that frames what was taken.
  // Takes once, with nothing held and `from.in` empty. `unsupported`: copy for now.
  [[nodiscard]] os::IoResult take(net::Connection& from, std::uint64_t most);
  // Gives once what is held. `to.out` must be empty, and may have bytes in it afterwards.
  [[nodiscard]] os::IoResult give(net::Connection& to);

  // Taken from the source and not yet given.
  [[nodiscard]] std::size_t held() const { return pipe_.bytes(); }
  // The bytes held are not wanted any more.
  void drop() { pipe_.release(); }
  // The last step moved something, in or out.
  [[nodiscard]] bool progressed() const { return progressed_; }

 private:
  [[nodiscard]] Status drain(net::Connection& to);
  [[nodiscard]] os::IoResult copy_out(net::Connection& to);

  net::PipePool* pool_ = nullptr;
  net::SplicePipe pipe_;
  bool unsupported_ = false;  // By one of the two sockets.
  bool progressed_ = false;
};

}  // namespace weir::proxy
