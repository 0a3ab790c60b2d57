// Poller: one epoll instance behind three calls, in one of three trigger modes.
//
// edge     One ADD per socket and never a MOD. The default.
// level    The interest is whatever is not latched yet: a latched bit is taken out of the interest
//          (a paused reader must not spin) and put back once an I/O call cleared it.
// oneshot  Every event disarms the socket; it is armed again for what is not latched.
//
// Level and oneshot exist for study and for the benchmark that shows what they cost. Nothing above
// the loop knows which one runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/handle.h"
#include "os/os.h"

namespace weir::loop {

enum class Trigger : std::uint8_t {
  edge,
  level,
  oneshot,
};

class Poller {
 public:
  static constexpr std::uint8_t kSocketBits =
      os::kReadable | os::kWritable | os::kHangup | os::kUrgent;

  explicit Poller(Trigger trigger) : epoll_(os::epoll_create()), trigger_(trigger) {}

  // Watches a socket with the given latches set already. Returns false when the kernel refuses.
  [[nodiscard]] bool add(const os::Fd& fd, Handle handle, std::uint8_t latched,
                         std::uint8_t& installed) {
    installed = trigger_ == Trigger::edge ? kSocketBits : wanted(latched);
    return os::epoll_add(epoll_, fd, handle.raw, installed, mode());
  }

  // An event was delivered: a oneshot socket is disarmed now.
  void fired(std::uint8_t& installed) const {
    if (trigger_ == Trigger::oneshot) installed = 0;
  }

  // A latch was set or cleared.
  void rearm(const os::Fd& fd, Handle handle, std::uint8_t latched, std::uint8_t& installed) {
    if (trigger_ == Trigger::edge) return;
    if ((latched & os::kError) != 0) {
      forget_broken(fd, installed);
      return;
    }
    const std::uint8_t bits = wanted(latched);
    if (bits == installed) return;
    installed = bits;
    (void)os::epoll_change(epoll_, fd, handle.raw, bits, mode());
  }

  [[nodiscard]] std::size_t wait(std::span<os::Event> events, int timeout_ms) {
    return os::epoll_wait(epoll_, events, timeout_ms);
  }

  [[nodiscard]] const os::Fd& epoll() const { return epoll_; }
  [[nodiscard]] Trigger trigger() const { return trigger_; }

 private:
  static constexpr std::uint8_t kForgotten = 0x80;  // No bit of an interest.

  // HUP and ERR are told at every wait, whatever the interest is, and nothing new follows them: a
  // source that does not read just now would spin.
  void forget_broken(const os::Fd& fd, std::uint8_t& installed) {
    if (installed == kForgotten) return;
    installed = kForgotten;
    os::epoll_remove(epoll_, fd);
  }
  static std::uint8_t wanted(std::uint8_t latched) {
    return static_cast<std::uint8_t>(kSocketBits & ~latched);
  }
  [[nodiscard]] os::Mode mode() const {
    switch (trigger_) {
      case Trigger::edge: return os::Mode::edge;
      case Trigger::level: return os::Mode::level;
      case Trigger::oneshot: return os::Mode::oneshot;
    }
    return os::Mode::edge;
  }

  os::Fd epoll_;
  Trigger trigger_;
};

}  // namespace weir::loop
