// BackendState: what all workers and the control thread must agree on about one backend.
//
// Its identity is the backend's name. Like ServerState it outlives snapshots: the control thread's
// registry makes it when a snapshot first names it and drops it when none does any more.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <utility>

#include "upstream/gate.h"

namespace weir::upstream {

class BackendState {
 public:
  explicit BackendState(std::string name) : name_(std::move(name)) {}

  [[nodiscard]] const std::string& name() const { return name_; }

  // The limits over all workers, and the queue.
  Gate gate;
  // So few servers are healthy that all are used. Control thread.
  std::atomic<bool> panic{false};
  // Held while servers are counted and one of them is ejected for its answers: otherwise two
  // workers could eject the last two at once.
  std::mutex ejecting;

 private:
  std::string name_;
};

}  // namespace weir::upstream
