#include "proxy/snapshot.h"

#include <algorithm>

#include "base/check.h"
#include "proxy/worker.h"

namespace weir::proxy {
namespace {

std::uint64_t ms(config::Milliseconds duration) {
  return static_cast<std::uint64_t>(duration.count());
}

balance::Algorithm algorithm_of(config::Balance balance) {
  switch (balance) {
    case config::Balance::round_robin: return balance::Algorithm::round_robin;
    case config::Balance::least_connections: return balance::Algorithm::least_connections;
    case config::Balance::p2c: return balance::Algorithm::p2c;
    default: return balance::Algorithm::p2c;
  }
  return balance::Algorithm::round_robin;
}

upstream::BackendPlan compile(const config::Backend& from, upstream::ServerRegistry& registry) {
  upstream::BackendPlan plan;
  plan.name = from.name;
  plan.algorithm = algorithm_of(from.balance);
  plan.connect_timeout_ms = ms(from.timeouts.connect);
  plan.response_head_timeout_ms = ms(from.timeouts.response_head);
  plan.response_body_timeout_ms = ms(from.timeouts.response_body);
  plan.idle_timeout_ms = ms(from.timeouts.idle);
  plan.unavailable_status = from.unavailable_status;
  for (const config::Server& server : from.servers) {
    plan.servers.push_back(&registry.find_or_create(from.name, server));
    plan.weights.push_back(server.weight);
  }
  return plan;
}

ListenerPlan compile(const config::Listener& from) {
  return {from.forwarded, ms(from.timeouts.client_head), ms(from.timeouts.client_idle),
          ms(from.timeouts.client_body)};
}

}  // namespace

Snapshot::Snapshot(const config::Config& config, std::uint64_t generation,
                   const std::vector<std::string>& listeners, upstream::ServerRegistry& registry,
                   SnapshotOwner& owner, const std::vector<Worker*>& workers)
    : generation_(generation),
      router_(config, listeners),
      owner_(owner),
      offers_(workers.size()),
      adoptions_(workers.size()),
      releases_(workers.size()),
      adopting_(workers.size()),
      users_(workers.size()) {
  for (const std::string& name : listeners) {
    const auto at = std::find_if(config.listeners.begin(), config.listeners.end(),
                                 [&](const config::Listener& l) { return l.name == name; });
    CHECK(at != config.listeners.end(), "a running listener without a configuration");
    listeners_.push_back(compile(*at));
  }
  for (const config::Backend& backend : config.backends) {
    backends_.push_back(compile(backend, registry));
    const std::vector<upstream::ServerState*>& named = backends_.back().servers;
    servers_.insert(servers_.end(), named.begin(), named.end());
  }
  for (std::size_t i = 0; i < workers.size(); ++i) {
    offers_[i].snapshot = this;
    offers_[i].worker = workers[i];
    adoptions_[i].snapshot = this;
    releases_[i].snapshot = this;
  }
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
