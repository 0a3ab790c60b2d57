#include "control/prober.h"

#include <tuple>
#include <utility>

namespace weir::control {
namespace {

// Connections begun in one step, so that the control thread stays responsive.
constexpr int kBeginsPerStep = 8;
constexpr std::uint64_t kNoMemoryPauseMs = 1'000;

}  // namespace

bool Prober::ByIdentity::operator()(const upstream::ServerState* one,
                                    const upstream::ServerState* other) const {
  return std::tie(one->backend(), one->name(), one->address_text()) <
         std::tie(other->backend(), other->name(), other->address_text());
}

Prober::Prober(loop::Loop& loop, std::function<void(const std::string&)> say, std::uint64_t seed)
    : Source(loop::SourceKind::none), loop_(loop), say_(std::move(say)), random_(seed) {}

Prober::~Prober() {
  for (const auto& [state, check] : checks_) drop(*check);
  loop_.reap_retired();
}

void Prober::watch(std::vector<CheckedServer> servers) {
  decltype(checks_) before = std::exchange(checks_, {});
  std::vector<CheckedServer*> beginning;
  for (CheckedServer& server : servers) {
    server.state->probe_callee = this;
    const auto known = before.find(server.state);
    if (known == before.end() || !known->second->serves(server)) {
      beginning.push_back(&server);
      continue;
    }
    known->second->follow(server);
    checks_.insert(before.extract(known));
  }
  const auto count = static_cast<std::uint32_t>(beginning.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    const upstream::ServerState* state = beginning[i]->state;
    CheckHistory history;
    if (const auto known = before.find(state); known != before.end()) {
      history = known->second->history();
      drop(*known->second);
      before.erase(known);
    }
    auto check = std::make_unique<ServerCheck>(*this, std::move(*beginning[i]), std::move(history),
                                               loop_.now_ms(), i, count);
    wait(*check);
    checks_.emplace(state, std::move(check));
  }
  for (const auto& [state, check] : before) {
    drop(*check);
    check->forget();
  }
}

std::vector<CheckedServer> checked_servers(const config::Config& config,
                                           const proxy::Snapshot& snapshot) {
  std::vector<CheckedServer> checked;
  for (std::size_t i = 0; i < config.backends.size(); ++i) {
    const config::Backend& backend = config.backends[i];
    if (backend.health.type == config::HealthCheck::Type::none) continue;
    for (std::size_t j = 0; j < backend.servers.size(); ++j) {
      const upstream::BackendPlan& plan = snapshot.backends()[i];
      checked.push_back({plan.gate.servers[j].state, backend.servers[j], backend.health,
                         &plan.state->gate, backend.slow_start, backend.send_proxy});
    }
  }
  return checked;
}

void Prober::asked(upstream::ServerState& server) {
  const auto known = checks_.find(&server);
  if (known == checks_.end()) return;
  ServerCheck& check = *known->second;
  check.hurry(loop_.now_ms());
  const bool queued = static_cast<ListLink<DueTag>&>(check).linked();
  if (check.probe() == nullptr && !queued) wait(check);
}

// --- The queue -----------------------------------------------------------------------------------

void Prober::wait(ServerCheck& check) { loop_.set_deadline(check, *check.next_ms()); }

void Prober::due(ServerCheck& check) {
  due_.push_back(check);
  loop_.schedule(*this);
}

void Prober::run() {
  for (int begun = 0; begun < kBeginsPerStep && flying_.size() < kProbesMax; ++begun) {
    ServerCheck* check = due_.front();
    if (check == nullptr) return;
    if (!begin(*check)) return loop_.set_deadline(*this, loop_.now_ms() + kNoMemoryPauseMs);
  }
  // At kProbesMax the end of a probe goes on.
  if (!due_.empty() && flying_.size() < kProbesMax) loop_.schedule(*this);
}

// False without memory: the check stays in the queue.
bool Prober::begin(ServerCheck& check) {
  upstream::ProbeOwner& owner = *this;
  upstream::Probe* probe = probes_.create(owner, check.plan(), loop_, buffers_, traffic_);
  if (probe == nullptr) return false;
  static_cast<ListLink<DueTag>&>(check).unlink();
  flying_.emplace(probe, &check);
  check.begin(*probe, loop_.now_ms());
  probe->start();
  return true;
}

void Prober::probed(upstream::Probe& probe) {
  ServerCheck* check = flying_.extract(&probe).mapped();
  if (check != nullptr) {
    check->end(probe.outcome(), loop_.now_ms(), static_cast<std::uint32_t>(random_()));
    wait(*check);
  }
  probes_.destroy(probe);
  if (!due_.empty()) loop_.schedule(*this);
}

// The check goes; a probe of its own outlives it until the end of the turn.
void Prober::drop(ServerCheck& check) {
  loop_.cancel_deadline(check);
  static_cast<ListLink<DueTag>&>(check).unlink();
  upstream::Probe* probe = check.probe();
  if (probe == nullptr) return;
  flying_[probe] = nullptr;
  if (probe->state() != upstream::Probe::State::done) probe->cancel();
}

// --- Looking -------------------------------------------------------------------------------------

std::size_t Prober::waiting() {
  std::size_t count = 0;
  due_.for_each([&](ServerCheck&) { ++count; });
  return count;
}

const CheckHistory* Prober::history(const upstream::ServerState& server) const {
  const auto known = checks_.find(&server);
  return known == checks_.end() ? nullptr : &known->second->history();
}

std::optional<std::uint64_t> Prober::next_check_ms(const upstream::ServerState& server) const {
  const auto known = checks_.find(&server);
  return known == checks_.end() ? std::nullopt : known->second->next_ms();
}

}  // namespace weir::control
