#include "upstream/upstreams.h"

#include <algorithm>
#include <unordered_set>

namespace weir::upstream {

ServerPool& Upstreams::pool(ServerState& server) {
  std::unique_ptr<ServerPool>& entry = pools_[&server];
  if (entry == nullptr) entry = std::make_unique<ServerPool>(server, resources_);
  entry->revive();
  return *entry;
}

void Upstreams::keep_only(const std::vector<ServerState*>& named, bool forget) {
  const std::unordered_set<ServerState*> kept(named.begin(), named.end());
  for (auto at = pools_.begin(); at != pools_.end();) {
    const bool gone = !kept.contains(at->first);
    if (gone) at->second->retire();
    at = gone && forget && at->second->unused() ? pools_.erase(at) : std::next(at);
  }
}

bool Upstreams::only_kept(const std::vector<ServerState*>& named) const {
  const std::unordered_set<ServerState*> kept(named.begin(), named.end());
  return std::all_of(pools_.begin(), pools_.end(),
                     [&](const auto& entry) { return kept.contains(entry.first); });
}

void Upstreams::retire_all() {
  for (auto& [server, pool] : pools_) pool->retire();
}

}  // namespace weir::upstream
