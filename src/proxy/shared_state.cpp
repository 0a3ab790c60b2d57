#include "proxy/shared_state.h"

#include <algorithm>

namespace weir::proxy {
namespace {

template <typename Part>
void append(std::vector<Part*>& to, const std::vector<Part*>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

template <typename Part>
void drop_unused(std::vector<std::unique_ptr<Part>>& parts, const std::vector<Part*>& used) {
  std::erase_if(parts, [&](const std::unique_ptr<Part>& part) {
    return std::ranges::find(used, part.get()) == used.end();
  });
}

}  // namespace

void SharedParts::add(const SharedParts& more) {
  append(servers, more.servers);
  append(backends, more.backends);
  append(limits, more.limits);
}

upstream::BackendState& SharedState::backend(const std::string& name) {
  const auto known =
      std::ranges::find(backends_, name, [](const auto& backend) { return backend->name(); });
  if (known != backends_.end()) return **known;
  return *backends_.emplace_back(std::make_unique<upstream::BackendState>(name));
}

RateLimiter& SharedState::limit(const config::RateLimit& settings) {
  const auto known =
      std::ranges::find(limits_, settings, [](const auto& limit) { return limit->settings(); });
  if (known != limits_.end()) return **known;
  return *limits_.emplace_back(std::make_unique<RateLimiter>(settings, salt_));
}

void SharedState::keep_only(const SharedParts& used) {
  servers_.keep_only(used.servers);
  drop_unused(backends_, used.backends);
  drop_unused(limits_, used.limits);
}

}  // namespace weir::proxy
