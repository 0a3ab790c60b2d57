#include "proxy/shared_state.h"

namespace weir::proxy {

std::shared_ptr<upstream::BackendState> SharedState::backend(const std::string& name) {
  std::erase_if(backends_, [](const auto& entry) { return entry.second.expired(); });
  std::shared_ptr<upstream::BackendState> state = backends_[name].lock();
  if (state == nullptr) {
    state = std::make_shared<upstream::BackendState>(name);
    backends_[name] = state;
  }
  return state;
}

std::shared_ptr<RateLimiter> SharedState::limit(const config::RateLimit& settings) {
  std::erase_if(limits_, [](const auto& entry) { return entry.second.expired(); });
  std::shared_ptr<RateLimiter> limiter = limits_[settings.name].lock();
  if (limiter == nullptr || limiter->settings() != settings) {
    limiter = std::make_shared<RateLimiter>(settings, salt_);
    limits_[settings.name] = limiter;
  }
  return limiter;
}

}  // namespace weir::proxy
