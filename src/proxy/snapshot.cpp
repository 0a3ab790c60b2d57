#include "proxy/snapshot.h"

#include <algorithm>

#include "base/check.h"
#include "proxy/backend_compiler.h"
#include "proxy/worker.h"

namespace weir::proxy {
namespace {

std::uint64_t ms(config::Milliseconds duration) {
  return static_cast<std::uint64_t>(duration.count());
}

ListenerPlan compile(const config::Listener& from) {
  ListenerPlan plan;
  plan.mode = from.mode;
  plan.forwarded = from.forwarded;
  plan.client_head_timeout_ms = ms(from.timeouts.client_head);
  plan.client_idle_timeout_ms = ms(from.timeouts.client_idle);
  plan.client_body_timeout_ms = ms(from.timeouts.client_body);
  plan.tunnel_idle_timeout_ms = ms(from.timeouts.tunnel_idle);
  plan.accept_proxy = from.accept_proxy;
  return plan;
}

}  // namespace

Snapshot::Snapshot(const config::Config& config, std::uint64_t generation,
                   const std::vector<std::string>& listeners, SharedState& shared,
                   SnapshotOwner& owner, const std::vector<Worker*>& workers)
    : generation_(generation),
      router_(config, listeners),
      owner_(owner),
      offers_(workers.size()),
      adoptions_(workers.size()),
      releases_(workers.size()),
      adopting_(workers.size()),
      users_(workers.size()) {
  for (const config::RateLimit& limit : config.limits) {
    parts_.limits.push_back(&shared.limit(limit));
  }
  for (const std::string& name : listeners) {
    const auto at = std::find_if(config.listeners.begin(), config.listeners.end(),
                                 [&](const config::Listener& l) { return l.name == name; });
    CHECK(at != config.listeners.end(), "a running listener without a configuration");
    listeners_.push_back(compile(*at));
    for (const std::string& limit : at->limits) {
      listeners_.back().limits.push_back(find_limit(config, limit));
    }
  }
  for (const config::Backend& backend : config.backends) {
    parts_.backends.push_back(&shared.backend(backend.name));
    backends_.push_back(compile_backend(backend, shared, *parts_.backends.back()));
    for (const upstream::GatePlan::Server& server : backends_.back().gate.servers) {
      parts_.servers.push_back(server.state);
    }
  }
  for (std::size_t i = 0; i < workers.size(); ++i) {
    offers_[i].snapshot = this;
    offers_[i].worker = workers[i];
    adoptions_[i].snapshot = this;
    releases_[i].snapshot = this;
  }
}

RateLimiter* Snapshot::find_limit(const config::Config& config, const std::string& name) const {
  const auto at = std::find_if(config.limits.begin(), config.limits.end(),
                               [&](const config::RateLimit& limit) { return limit.name == name; });
  CHECK(at != config.limits.end(), "a listener names a limit that was not validated");
  return parts_.limits[static_cast<std::size_t>(at - config.limits.begin())];
}

void Snapshot::publish() {
  for (Offer& offer : offers_) offer.worker->loop().mailbox().post(offer);
}

void Snapshot::release(unsigned worker) {
  offers_[worker].worker->control().post(releases_[worker]);
}

void Snapshot::Offer::deliver() {
  worker->take_snapshot(*snapshot);
  worker->control().post(snapshot->adoptions_[worker->index()]);
}

void Snapshot::Adoption::deliver() {
  if (--snapshot->adopting_ == 0) snapshot->owner_.adopted(*snapshot);
}

void Snapshot::Release::deliver() {
  --snapshot->users_;
  snapshot->owner_.released(*snapshot);
}

}  // namespace weir::proxy
