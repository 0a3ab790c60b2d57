// Listener: one worker's listening socket for one bound address.
//
// The only level-triggered source: a bounded batch is accepted per turn, and what is left is told
// again. It pauses when a limit is reached (descriptors, connections) instead of spinning, and
// tries again when its owner says that room was made or after a short wait, since another worker
// or the system may have freed what was missing.
#pragma once

#include <cstdint>

#include "base/counter.h"
#include "loop/loop.h"
#include "os/os.h"

namespace weir::net {

struct ListenerCounters {
  Counter accepted;
  Counter accept_errors;          // Kernel out of memory, and other rare failures.
  Counter descriptors_exhausted;  // Times accepting stopped for lack of a descriptor.
  Counter connections_max_hit;    // Times accepting stopped at max_connections.
};

class Acceptor {
 public:
  enum class Verdict : std::uint8_t {
    go_on,
    full,  // No further connection may be taken now.
  };
  // Asked before each accept; `go_on` reserves a place.
  [[nodiscard]] virtual Verdict may_accept() = 0;
  // The place is not needed: nobody was there.
  virtual void nobody_accepted() {}
  // Takes ownership of a fresh, non-blocking connection.
  virtual void accepted(os::Fd fd, const os::Peer& peer) = 0;
  // Accepting stops for want of a descriptor: told once per pause.
  virtual void descriptors_exhausted() {}

 protected:
  ~Acceptor() = default;
};

class Listener final : public loop::Source {
 public:
  Listener(loop::Loop& loop, Acceptor& acceptor, ListenerCounters& counters, os::Fd fd,
           bool shared_socket);

  // Starts accepting. False when the kernel has no room for the watch.
  [[nodiscard]] bool start();
  // Takes everything that waits in the queue, so that closing resets nobody, and closes.
  void drain_and_close();
  // Something was freed: a paused listener tries again.
  void resume();
  [[nodiscard]] bool paused() const { return paused_; }

  void run() override;
  void expire() override { resume(); }

 private:
  enum class Outcome : std::uint8_t {
    accepted,
    skipped,  // The client left before we came; look at the next.
    empty,
    paused,
  };
  Outcome accept_one();
  void pause(Counter& reason);

  static constexpr int kAcceptsPerStep = 32;
  static constexpr std::uint64_t kRetryMs = 100;

  loop::Loop& loop_;
  Acceptor& acceptor_;
  ListenerCounters& counters_;
  bool shared_socket_;
  bool paused_ = false;
  bool limited_ = false;  // Nothing was accepted since a limit stopped it.
};

}  // namespace weir::net
