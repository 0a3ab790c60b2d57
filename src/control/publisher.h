// Publisher: every snapshot there is, and the state of every server that one of them names.
//
//   publish() ─► compiled, handed to every worker ─► adopted by all ─► serves
//   a newer one is published ─► released by each worker after its last exchange ─► freed
//
// Control thread only. Outlives the workers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "config/config.h"
#include "control/worker_set.h"
#include "os/os.h"
#include "proxy/snapshot.h"

namespace weir::control {

class Publisher final : private proxy::SnapshotOwner {
 public:
  // `adopted` is told when every worker serves by the newest snapshot.
  Publisher(unsigned workers, std::function<void()> adopted)
      : shared_(workers, os::random_seed()), adopted_(std::move(adopted)) {}

  void publish(const config::Config& config, const WorkerSet& workers);

  // 1 for the first snapshot, one more for each after it; 0 before.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  // The newest; there is one.
  [[nodiscard]] const proxy::Snapshot& newest() const { return *snapshots_.back(); }
  // Those not freed yet.
  [[nodiscard]] std::size_t snapshots() const { return snapshots_.size(); }

 private:
  void adopted(proxy::Snapshot& snapshot) override;
  void released(proxy::Snapshot& snapshot) override;

  proxy::SharedState shared_;
  std::vector<std::unique_ptr<proxy::Snapshot>> snapshots_;  // The last one is the newest.
  std::function<void()> adopted_;
  std::uint64_t generation_ = 0;
};

}  // namespace weir::control
