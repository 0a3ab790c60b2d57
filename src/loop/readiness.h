// Readiness: what the kernel may have for us, kept as latches because an edge is told only once.
//
// Edge-triggered epoll reports a change, not a state. A latch set by an event stays set until an
// I/O call proves that nothing is left; then, and only then, will the kernel report the next
// change. Clearing a latch too early loses a wake-up for ever, clearing it too late costs one call
// that says EAGAIN. Every rule that clears a latch is in this file and nowhere else. The cases
// marked [seen] lost a wake-up on a real kernel when they were left out; each has a test that runs
// them on the kernel (tests/unit/loop/readiness_kernel_test.cpp).
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/os.h"

namespace weir::loop {

class Readiness {
 public:
  // A new socket may have anything: the first I/O call finds out.
  static constexpr std::uint8_t kUnknown = os::kReadable | os::kWritable;

  void latch(std::uint8_t bits) { bits_ = static_cast<std::uint8_t>(bits_ | bits); }
  void reset(std::uint8_t bits) { bits_ = bits; }
  [[nodiscard]] std::uint8_t bits() const { return bits_; }

  // A receive may return bytes, the end or an error.
  [[nodiscard]] bool may_receive() const {
    return (bits_ & (os::kReadable | os::kHangup | os::kError)) != 0;
  }
  [[nodiscard]] bool may_send() const { return (bits_ & (os::kWritable | os::kError)) != 0; }
  // The peer has sent FIN. What it sent before may still be unread.
  [[nodiscard]] bool hangup() const { return (bits_ & os::kHangup) != 0; }
  // Both directions are dead; the next call says how.
  [[nodiscard]] bool error() const { return (bits_ & os::kError) != 0; }
  // splice() stops at the urgent mark and says EAGAIN with bytes queued [seen].
  [[nodiscard]] bool may_splice() const { return (bits_ & os::kUrgent) == 0; }

  // After a receive that asked for `asked` bytes.
  void after_receive(const os::IoResult& result, std::size_t asked) {
    if (result.status == os::IoStatus::again) {
      // Urgent data was consumed or skipped by reading to the end of what is there.
      clear(os::kReadable | os::kUrgent);
      return;
    }
    if (result.status != os::IoStatus::done || result.bytes == asked) return;
    // A short read has emptied the socket, except:
    // with FIN latched the end itself is still to be read, and no further event will tell
    // [seen: data and FIN in one edge, short read, then silence];
    // with urgent data latched the read stopped at the mark, not at the end of the data [seen].
    if ((bits_ & (os::kHangup | os::kUrgent)) == 0) clear(os::kReadable);
  }

  // After a send that offered `offered` bytes.
  void after_send(const os::IoResult& result, std::size_t offered) {
    const bool full = result.status == os::IoStatus::again ||
                      (result.status == os::IoStatus::done && result.bytes < offered);
    if (full) clear(os::kWritable);
  }

  // After a splice from this socket into a pipe that held `pipe_bytes` before the call. A short
  // splice proves nothing [seen: 1 MiB asked; 65536, 53248, 45056 came with data left]. EAGAIN
  // proves an empty socket only when the pipe was empty; otherwise the pipe's slots may be full
  // [seen: 60 small segments; 1600 bytes, then EAGAIN with 1400 left].
  void after_splice_in(const os::IoResult& result, std::size_t pipe_bytes) {
    if (result.status == os::IoStatus::again && pipe_bytes == 0 && may_splice()) {
      clear(os::kReadable);
    }
  }

  // After a splice into this socket from a pipe that held `pipe_bytes` before the call. A short one
  // may only mean an empty pipe, and so may EAGAIN.
  void after_splice_out(const os::IoResult& result, std::size_t pipe_bytes) {
    if (result.status == os::IoStatus::again && pipe_bytes > 0) clear(os::kWritable);
  }

 private:
  void clear(std::uint8_t bits) { bits_ = static_cast<std::uint8_t>(bits_ & ~bits); }

  std::uint8_t bits_ = 0;
};

}  // namespace weir::loop
