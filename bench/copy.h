// Moves bytes between two sockets through user space: recv, send. See relay.h.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>

#include "relay.h"

namespace weir::bench {

class Copy {
 public:
  // Bytes that the other side does not take yet; usually none, and then no memory.
  struct Held {
    std::unique_ptr<char[]> bytes;
    std::size_t begin = 0;
    std::size_t end = 0;

    [[nodiscard]] bool empty() const { return end == 0; }
  };

  Flow move(Side<Held>& from) { return move(from, from.held, kStepsPerTurn); }

  // The same with at most `steps` reads. has_more: the last one was full.
  template <class Whole>
  Flow move(Side<Whole>& from, Held& held, int steps) {
    if (!held.empty()) {
      const Flow flow = send_held(from.other->fd, held);
      if (flow != Flow::has_more) return flow;
    }
    for (int step = 0; step < steps; ++step) {
      const ssize_t got = ::recv(from.fd, buffer_.data(), buffer_.size(), 0);
      if (got < 0) return errno == EAGAIN ? Flow::waits : Flow::broken;
      if (got == 0) {
        end_flow(from);
        return Flow::waits;
      }
      const auto bytes = static_cast<std::size_t>(got);
      const ssize_t sent = ::send(from.other->fd, buffer_.data(), bytes, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return Flow::broken;
      const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
      if (done < bytes) {
        hold(held, done, bytes);
        return Flow::waits;
      }
      if (bytes < buffer_.size() && !from.hangup) return Flow::waits;
    }
    return Flow::has_more;
  }

 private:
  static constexpr std::size_t kBufferBytes = 16 * 1024;
  static constexpr int kStepsPerTurn = 64;  // Then others run.

  void hold(Held& held, std::size_t begin, std::size_t end) const {
    held.bytes = std::make_unique<char[]>(end - begin);
    std::copy(buffer_.data() + begin, buffer_.data() + end, held.bytes.get());
    held.begin = 0;
    held.end = end - begin;
  }

  // has_more: everything held is gone and reading may go on.
  static Flow send_held(int to, Held& held) {
    const ssize_t sent =
        ::send(to, held.bytes.get() + held.begin, held.end - held.begin, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN ? Flow::waits : Flow::broken;
    held.begin += static_cast<std::size_t>(sent);
    if (held.begin < held.end) return Flow::waits;
    held = Held{};
    return Flow::has_more;
  }

  std::array<char, kBufferBytes> buffer_;
};

}  // namespace weir::bench
