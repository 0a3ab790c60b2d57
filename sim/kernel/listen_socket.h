// ListenSocket: a listening socket with its queue of connections nobody has accepted yet, of the
// program or of a script. Closing it resets what is in the queue.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "sim/kernel/file.h"
#include "sim/kernel/machine.h"
#include "sim/kernel/peer.h"
#include "sim/kernel/place.h"
#include "sim/kernel/stream.h"

namespace weir::sim {

class Network;

class ListenSocket final : public File {
 public:
  ListenSocket(Machine& machine, Network& network, Place place, std::size_t backlog, bool shares)
      : machine_(machine),
        network_(network),
        place_(std::move(place)),
        backlog_(backlog),
        shares_(shares) {}

  [[nodiscard]] const Place& place() const { return place_; }
  // SO_REUSEPORT: others may be bound to the same place.
  [[nodiscard]] bool shares() const { return shares_; }
  void refuse_sharing() { shares_ = false; }

  [[nodiscard]] bool full() const { return queue_.size() > backlog_; }
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }
  void enqueue(std::shared_ptr<StreamSocket> connection);
  // Null when nobody waits.
  [[nodiscard]] std::shared_ptr<StreamSocket> take();
  // Fault: those who wait seem to come a moment later.
  void hold(const std::shared_ptr<ListenSocket>& self);
  [[nodiscard]] bool held() const { return held_; }
  // Nobody new from now on: who waits now has to be accepted before the socket is closed.
  void refuse_handshakes();
  // A fault kept the program from accepting: nobody can be owed that any more.
  void excuse() { owed_ = 0; }

  [[nodiscard]] std::uint8_t poll() override { return queue_.empty() || held_ ? 0 : kIn; }
  void released() override;
  [[nodiscard]] std::string describe() const override;

  // --- Of scripts --------------------------------------------------------------------------------

  Listener::Answer answer = Listener::Answer::accept;
  EndpointOptions options;                                  // Of the ends it accepts.
  std::function<void(std::shared_ptr<StreamSocket>)> tell;  // Set for scripts only.
  bool scripted = false;                                    // A script's, with or without `tell`.
  void tell_waiting(const std::shared_ptr<ListenSocket>& self);

 private:
  Machine& machine_;
  Network& network_;
  Place place_;
  std::size_t backlog_;
  bool shares_;
  std::size_t owed_ = 0;  // Of the queue's front.
  bool held_ = false;
  bool telling_ = false;
  std::deque<std::shared_ptr<StreamSocket>> queue_;
};

}  // namespace weir::sim
