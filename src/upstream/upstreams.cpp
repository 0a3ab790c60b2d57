#include "upstream/upstreams.h"

#include <algorithm>
#include <unordered_set>

namespace weir::upstream {

ServerPool& Upstreams::pool(ServerState& server) {
  ServerPool*& entry = by_server_[&server];
  if (entry == nullptr) {
    pools_.push_back(std::make_unique<ServerPool>(server, resources_));
    entry = pools_.back().get();
  }
  entry->revive();
  return *entry;
}

void Upstreams::keep_only(const std::vector<ServerState*>& named, bool forget) {
  const std::unordered_set<ServerState*> kept(named.begin(), named.end());
  std::erase_if(pools_, [&](const std::unique_ptr<ServerPool>& pool) {
    if (kept.contains(&pool->state())) return false;
    pool->retire();
    if (!forget || !pool->unused()) return false;
    by_server_.erase(&pool->state());
    return true;
  });
}

bool Upstreams::only_kept(const std::vector<ServerState*>& named) const {
  const std::unordered_set<ServerState*> kept(named.begin(), named.end());
  return std::all_of(pools_.begin(), pools_.end(),
                     [&](const auto& pool) { return kept.contains(&pool->state()); });
}

void Upstreams::retire_all() {
  for (const auto& pool : pools_) pool->retire();
}

}  // namespace weir::upstream
