#include "control/publisher.h"

namespace weir::control {

void Publisher::publish(const config::Config& config, const WorkerSet& workers) {
  proxy::SnapshotOwner& owner = *this;
  snapshots_.push_back(std::make_unique<proxy::Snapshot>(
      config, ++generation_, workers.listener_names(), shared_, owner, workers.workers()));
  snapshots_.back()->publish();
}

void Publisher::adopted(proxy::Snapshot& snapshot) {
  if (snapshot.generation() == generation_) adopted_();
}

// A worker has let go of an old snapshot. When all have, it goes, and with it the state of servers
// that no snapshot names any more.
void Publisher::released(proxy::Snapshot& snapshot) {
  if (snapshot.users() > 0) return;
  std::erase_if(snapshots_, [&](const auto& each) { return each.get() == &snapshot; });
  proxy::SharedParts used;
  for (const auto& each : snapshots_) used.add(each->parts());
  shared_.keep_only(used);
}

}  // namespace weir::control
