// SharedState: what outlives snapshots because traffic has shaped it: servers, backends, limits.
//
// Control thread only. A snapshot takes what it names from here and keeps it alive; what no
// snapshot names any more goes.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "proxy/rate_limiter.h"
#include "upstream/backend_state.h"
#include "upstream/server_registry.h"

namespace weir::proxy {

class SharedState {
 public:
  // `salt`: for the keys of rate limits; a secret.
  SharedState(unsigned workers, std::uint64_t salt) : servers(workers), salt_(salt) {}

  // The one of this name that a snapshot still has, or a new one.
  [[nodiscard]] std::shared_ptr<upstream::BackendState> backend(const std::string& name);
  // The same for a limit, as long as it is described in the same way.
  [[nodiscard]] std::shared_ptr<RateLimiter> limit(const config::RateLimit& settings);

  upstream::ServerRegistry servers;

 private:
  std::map<std::string, std::weak_ptr<upstream::BackendState>> backends_;
  std::map<std::string, std::weak_ptr<RateLimiter>> limits_;
  std::uint64_t salt_;
};

}  // namespace weir::proxy
