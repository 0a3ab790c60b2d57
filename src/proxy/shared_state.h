// SharedState: what outlives snapshots because traffic has shaped it: servers, backends, limits.
//
// Control thread only. A snapshot takes what it names from here; keep_only() drops what none of the
// snapshots still in use names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/rate_limiter.h"
#include "upstream/backend_state.h"
#include "upstream/server_registry.h"

namespace weir::proxy {

// What snapshots name.
struct SharedParts {
  std::vector<upstream::ServerState*> servers;
  std::vector<upstream::BackendState*> backends;
  std::vector<RateLimiter*> limits;

  void add(const SharedParts& more);
};

class SharedState {
 public:
  // `salt`: for the keys of rate limits; a secret.
  SharedState(unsigned workers, std::uint64_t salt) : servers_(workers), salt_(salt) {}

  // Each the one there is, or a new one. A limit is the same while it is described in the same way.
  [[nodiscard]] upstream::ServerState& server(const std::string& backend,
                                              const config::Server& server) {
    return servers_.find_or_create(backend, server);
  }
  [[nodiscard]] upstream::BackendState& backend(const std::string& name);
  [[nodiscard]] RateLimiter& limit(const config::RateLimit& settings);

  void keep_only(const SharedParts& used);
  [[nodiscard]] std::size_t server_count() const { return servers_.size(); }

 private:
  upstream::ServerRegistry servers_;
  std::vector<std::unique_ptr<upstream::BackendState>> backends_;
  std::vector<std::unique_ptr<RateLimiter>> limits_;
  std::uint64_t salt_;
};

}  // namespace weir::proxy
