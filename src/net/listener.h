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
  Counter accepts_deferred;  // Steps that took one connection only, for the loop was saturated.
  Counter rate_limited;      // Connections reset because a limit on new ones was reached.
  Counter hellos_unusable;   // Connections whose server name was looked for, and no hello had it.
};

class Acceptor {
 public:
  enum class Verdict : std::uint8_t {
    go_on,
    full,  // No further connection may be taken now.
  };
  // Asked before each accept; `go_on` reserves a place. `waiting`: the kernel has just said that
  // somebody waits, so that it is right to make room.
  [[nodiscard]] virtual Verdict may_accept(bool waiting) = 0;
  // The place is not needed: nobody was there.
  virtual void nobody_accepted() {}
  // Takes ownership of a fresh, non-blocking connection.
  virtual void accepted(os::Fd fd, const os::Peer& peer) = 0;
  // There was no descriptor for a connection that waits. True: one has been freed, try again.
  // Otherwise accepting pauses.
  [[nodiscard]] virtual bool descriptors_exhausted() { return false; }

 protected:
  ~Acceptor() = default;
};

class Listener final : public loop::Source {
 public:
  Listener(loop::Loop& loop, Acceptor& acceptor, ListenerCounters& counters, os::Fd fd,
           bool shared_socket);

  // Starts accepting. False when the kernel has no room for the watch: paused, it tries again.
  [[nodiscard]] bool start();
  // Lets no handshake begin any more, and once what has begun had the time to arrive, takes
  // everything that waits in the queue and closes. Closing resets whatever the queue holds, and
  // whatever completes afterwards.
  void drain();
  // The same without waiting.
  void drain_and_close();
  // Something was freed: a paused listener tries again.
  void resume();
  [[nodiscard]] bool paused() const { return paused_; }

  void run() override;
  void expire() override { draining_ ? drain_and_close() : resume(); }

 private:
  enum class Outcome : std::uint8_t {
    accepted,
    skipped,  // The client left before we came; look at the next.
    empty,
    paused,
  };
  Outcome accept_one(bool waiting);
  void pause(Counter& reason);

  static constexpr int kAcceptsPerStep = 32;
  static constexpr std::uint64_t kRetryMs = 100;
  // A handshake takes one round trip of the network: most are shorter than this.
  static constexpr std::uint64_t kHandshakeMs = 100;

  loop::Loop& loop_;
  Acceptor& acceptor_;
  ListenerCounters& counters_;
  bool shared_socket_;
  bool paused_ = false;
  bool limited_ = false;  // Nothing was accepted since a limit stopped it.
  bool draining_ = false;
};

}  // namespace weir::net
