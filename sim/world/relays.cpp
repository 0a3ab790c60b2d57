#include "sim/world/relays.h"

#include <algorithm>
#include <utility>

#include "sim/world/checkers.h"
#include "sim/world/settings.h"

namespace weir::sim {
namespace {

using config::Milliseconds;

constexpr std::uint16_t kRelayPort = 82;
constexpr std::uint16_t kTunnelPort = 83;
constexpr std::uint16_t kServerPort = 7000;
constexpr std::size_t kGroups = static_cast<std::size_t>(RelayGroup::count_);
constexpr const char* kBackends[kGroups] = {"relay", "relay-below", "relay-upgrade"};

config::Endpoint endpoint(const std::string& ip, std::uint16_t port) {
  return {config::Endpoint::Family::ipv4, ip, port};
}

std::string server_ip(RelayGroup group, std::uint32_t number) {
  return "10.0." + std::to_string(2 + static_cast<unsigned>(group)) + "." +
         std::to_string(number + 1);
}

Milliseconds between_ms(Prng& prng, std::int64_t least, std::int64_t most) {
  const auto span = static_cast<std::uint64_t>(most - least);
  return Milliseconds(least + static_cast<std::int64_t>(prng.bounded(span + 1)));
}

config::Route route_to(RelayGroup group) {
  config::Route route;
  route.backends = {{kBackends[static_cast<std::size_t>(group)]}};
  return route;
}

}  // namespace

os::Address relay_listener(bool tunnel) {
  return *os::Address::ip("10.0.0.1", tunnel ? kTunnelPort : kRelayPort);
}

os::Peer trusted_proxy() {
  os::Peer peer;
  peer.ip = {10, 0, 9, 1};
  peer.family = os::Peer::Family::ipv4;
  return peer;
}

Relays::Relays(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const Limits& limits)
    : kernel_(kernel),
      seed_(seed),
      ledger_(ledger),
      limits_(limits),
      manners_(draw_relay_manners(seed)),
      prng_(mix(seed, 10)) {
  relays_.send_proxy = manners_.send_proxy;
  if (any()) redraw();
}

// --- The configuration ---------------------------------------------------------------------------

config::Backend Relays::backend(const char* name, RelayGroup group) {
  config::Backend made;
  made.name = name;
  const std::uint64_t sure = prng_.bounded(manners_.servers);
  for (std::uint32_t i = 0; i < manners_.servers; ++i) {
    if (i != sure && percent(prng_, 20)) continue;
    config::Server server;
    server.address = endpoint(server_ip(group, i), kServerPort);
    server.name = server.address.text();
    if (percent(prng_, 10)) server.limit = 1 + static_cast<std::uint32_t>(prng_.bounded(3));
    made.servers.push_back(server);
  }
  constexpr config::Balance kBalances[] = {config::Balance::p2c, config::Balance::ip_hash,
                                           config::Balance::round_robin,
                                           config::Balance::least_connections};
  made.balance = kBalances[prng_.bounded(std::size(kBalances))];
  if (percent(prng_, 30)) made.server_limit = 1 + static_cast<std::uint32_t>(prng_.bounded(4));
  if (percent(prng_, 15)) made.limit = 1 + static_cast<std::uint32_t>(prng_.bounded(5));
  made.queue.timeout = between_ms(prng_, 200, kQueueTimeoutMs);
  made.timeouts.connect = between_ms(prng_, 1'000, 5'000);
  made.retry.enabled = !percent(prng_, 15);
  made.retry.max = static_cast<std::uint32_t>(prng_.bounded(5));
  made.ejection.enabled = percent(prng_, 40);
  made.ejection.consecutive_errors = 2;
  made.ejection.time = between_ms(prng_, 100, 3'000);
  if (percent(prng_, 25)) {
    made.health.type = config::HealthCheck::Type::tcp;
    made.health.interval = between_ms(prng_, 500, 3'000);
  }
  made.tcp_keepalive = Milliseconds(percent(prng_, 50) ? 0 : 60'000);
  made.send_proxy = manners_.send_proxy;
  return made;
}

void Relays::redraw() {
  if (!any()) return;
  backends_.clear();
  for (std::size_t i = 0; i < kGroups; ++i) {
    backends_.push_back(backend(kBackends[i], static_cast<RelayGroup>(i)));
  }
  constexpr auto kIdleMs = static_cast<std::int64_t>(kTunnelIdleMinNs / kMillisecond);
  constexpr auto kHeadMs = static_cast<std::int64_t>(kClientHeadMinNs / kMillisecond);
  tunnel_idle_ = between_ms(prng_, kIdleMs, 2 * kIdleMs);
  client_head_ = between_ms(prng_, kHeadMs, 4 * kHeadMs);
}

void Relays::note_rules() {
  for (const config::Backend& each : backends_) {
    const bool some = std::ranges::any_of(
        each.servers, [](const config::Server& server) { return server.limit.has_value(); });
    relays_.limits = relays_.limits || each.limit || each.server_limit || some;
    relays_.checks = relays_.checks || each.health.type != config::HealthCheck::Type::none;
  }
}

config::Config Relays::add_to(config::Config config) {
  if (!any()) return config;
  note_rules();
  config.backends.insert(config.backends.end(), backends_.begin(), backends_.end());
  for (const bool tunnel : {false, true}) {
    config::Listener made;
    made.name = tunnel ? kTunnelName : kRelayName;
    made.bind.push_back(endpoint("10.0.0.1", tunnel ? kTunnelPort : kRelayPort));
    made.mode = tunnel ? config::ListenerMode::http : config::ListenerMode::tcp;
    if (!tunnel && manners_.default_backend) made.backend = kBackends[0];
    if (manners_.accept_proxy) made.accept_proxy.push_back({{10, 0, 9, 0}, false, 24});
    made.timeouts.client_head = client_head_;
    made.timeouts.tunnel_idle = tunnel_idle_;
    config.listeners.push_back(made);
  }
  config::Route upgrade = route_to(RelayGroup::upgrade);
  upgrade.path = "/tunnel";
  config.routes.push_back(upgrade);
  config::Route connect = route_to(RelayGroup::any);
  connect.connect = {"relay.sim:443"};
  config.routes.push_back(connect);
  if (!manners_.by_name) return config;
  config::Route exact = route_to(RelayGroup::any);
  exact.sni = {"one.exact.sim"};
  config.routes.push_back(exact);
  config::Route below = route_to(RelayGroup::below);
  below.sni = {"*.below.sim"};
  config.routes.push_back(below);
  return config;
}

// --- Peers ---------------------------------------------------------------------------------------

void Relays::listen() {
  if (!any()) return;
  for (std::size_t i = 0; i < kGroups; ++i) {
    for (std::uint32_t at = 0; at < manners_.servers; ++at) {
      const auto group = static_cast<RelayGroup>(i);
      const auto number = static_cast<std::uint32_t>(servers_.size());
      const os::Address address = *os::Address::ip(server_ip(group, at), kServerPort);
      servers_.push_back(std::make_unique<RelayServer>(kernel_, seed_, ledger_, relays_, manners_,
                                                       group, number, address));
      servers_.back()->listen(Listener::Answer::accept);
    }
  }
}

void Relays::add_client(const RelayManners& manners) {
  const auto number = static_cast<std::uint32_t>(relays_.clients.size());
  RelayClientRecord& record = relays_.clients.emplace_back();
  record.script = draw_relay(seed_, number, manners);
  record.end.script = record.script.end;
  if (!limits_.relay_comes(number)) return;
  clients_.push_back(
      std::make_unique<RelayClient>(kernel_, seed_, ledger_, relays_, manners, record.script));
  clients_.back()->begin();
}

void Relays::begin() {
  for (std::uint32_t i = 0; i < manners_.clients; ++i) add_client(manners_);
  if (!any() || manners_.plain || !limits_.events) return;
  const std::uint64_t count = prng_.bounded(5);
  for (std::uint64_t i = 0; i < count; ++i) {
    kernel_.after(prng_.bounded(10 * kSecond), [this] { trouble(); });
  }
}

void Relays::trouble() {
  using Answer = Listener::Answer;
  if (manners_.plain) return;
  constexpr Answer kAnswers[] = {Answer::hold, Answer::refuse, Answer::ignore, Answer::unreachable};
  RelayServer& server = *servers_[prng_.bounded(servers_.size())];
  const std::uint64_t kind = prng_.bounded(std::size(kAnswers) + 1);
  kernel_.trace("trouble of a relay server", kind);
  relays_.servers_leave = true;
  if (kind < std::size(kAnswers)) {
    server.listen(kAnswers[kind]);
  } else {
    server.vanish();
  }
  kernel_.after(prng_.bounded(10 * kSecond),
                [&server] { server.listen(Listener::Answer::accept); });
}

bool Relays::finished() const {
  return std::ranges::all_of(clients_, [](const auto& each) { return each->finished(); });
}

std::string Relays::unfinished() const {
  std::string text;
  for (const auto& client : clients_) {
    if (!client->finished()) text += client->describe() + "; ";
  }
  return text;
}

// --- After the storm -----------------------------------------------------------------------------

void Relays::settle() {
  if (!any()) return;
  manners_ = calmed(manners_);
  for (config::Backend& each : backends_) {
    each.queue.timeout = Milliseconds{60'000};
    each.queue.target = Milliseconds{0};
  }
  for (const auto& server : servers_) {
    server->listen(Listener::Answer::accept);
    server->behave();
  }
}

void Relays::probe() {
  if (!any()) return;
  relays_.servers_leave = relays_.checks = false;
  probes_from_ = relays_.clients.size();
  for (unsigned i = 0; i < 4; ++i) add_client(manners_);
}

void Relays::check_probes() const {
  if (!any()) return;
  for (std::size_t i = probes_from_; i < relays_.clients.size(); ++i) {
    const RelayClientRecord& client = relays_.clients[i];
    if (client.begun_ns == 0 || client.word == "no_route") continue;
    const bool waits = client.end.script.ending == EndScript::Ending::wait;
    const bool idle = waits && client.word == "tunnel_idle_timeout";
    const bool relayed = client.formed && client.serial;
    check(relayed && (client.word.empty() || idle), "weir relays after the storm",
          clients_[clients_.size() - (relays_.clients.size() - i)]->describe() + " " + client.word);
  }
}

}  // namespace weir::sim
