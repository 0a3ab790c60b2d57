#include "sim/world/settings.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace weir::sim {
namespace {

using config::Milliseconds;

constexpr std::uint16_t kServerPort = 9000;

std::string server_ip(std::uint32_t number) { return "10.0.1." + std::to_string(number + 1); }

config::Endpoint endpoint(const std::string& ip, std::uint16_t port) {
  return {config::Endpoint::Family::ipv4, ip, port};
}

// Long enough that nothing but a stall lets them pass.
Milliseconds draw_ms(Prng& prng, std::int64_t least, std::int64_t most) {
  const auto span = static_cast<std::uint64_t>(most - least);
  return Milliseconds(least + static_cast<std::int64_t>(prng.bounded(span + 1)));
}

bool one_in(Prng& prng, std::uint64_t share) { return prng.bounded(share) == 0; }

std::uint32_t between(Prng& prng, std::uint32_t least, std::uint32_t most) {
  return least + static_cast<std::uint32_t>(prng.bounded(most - least + 1));
}

config::Listener listener(Prng& prng, const char* name, std::uint16_t port) {
  config::Listener made;
  made.name = name;
  made.bind.push_back(endpoint("10.0.0.1", port));
  if (one_in(prng, 4)) made.max_connections = between(prng, 2, 9);
  return made;
}

void draw_timeouts(Prng& prng, config::Config& config) {
  for (config::Listener& each : config.listeners) {
    each.timeouts = {draw_ms(prng, 10'000, 30'000), draw_ms(prng, 5'000, 60'000),
                     draw_ms(prng, 10'000, 30'000)};
  }
  for (config::Backend& each : config.backends) {
    each.timeouts = {draw_ms(prng, 1'000, 5'000), draw_ms(prng, 20'000, 40'000),
                     draw_ms(prng, 10'000, 30'000), draw_ms(prng, 500, 8'000)};
  }
}

// Some of the `servers` from number `first` on, one at least, with weights and tiers. Now and then
// one has another name, or all names stand for other addresses, as after a change of theirs.
void draw_servers(Prng& prng, config::Backend& into, std::uint32_t first, std::uint32_t servers) {
  const std::uint64_t sure = prng.bounded(servers);
  const std::uint32_t moved = one_in(prng, 4) ? between(prng, 1, servers) : 0;
  const bool tiers = one_in(prng, 4);
  for (std::uint32_t i = 0; i < servers; ++i) {
    if (i != sure && one_in(prng, 4)) continue;
    config::Server server;
    server.address = endpoint(server_ip(first + (i + moved) % servers), kServerPort);
    server.name = moved > 0 ? "moved-" + std::to_string(i) : server.address.text();
    if (one_in(prng, 8)) server.name = "renamed-" + std::to_string(i);
    server.weight = i == sure ? 1 : between(prng, 0, 3);
    if (tiers) server.priority = between(prng, 0, 2);
    if (one_in(prng, 8)) server.limit = between(prng, 1, 4);
    into.servers.push_back(server);
  }
}

void draw_balance(Prng& prng, config::Backend& into) {
  constexpr auto kBalances = static_cast<std::uint64_t>(config::Balance::query_hash) + 1;
  into.balance = static_cast<config::Balance>(prng.bounded(kBalances));
  if (into.balance == config::Balance::header_hash) into.hash_key = "X-Id";
  if (into.balance == config::Balance::cookie_hash) into.hash_key = "user";
  if (into.balance == config::Balance::query_hash) into.hash_key = "a";
  if (one_in(prng, 4)) into.sticky.cookie = "server";
  if (one_in(prng, 2)) into.sticky.secret = "a secret of the simulation";
  into.slow_start = one_in(prng, 2) ? Milliseconds{0} : draw_ms(prng, 100, 10'000);
  into.panic_percent = one_in(prng, 2) ? 0 : between(prng, 10, 70);
}

void draw_overload(Prng& prng, config::Backend& into) {
  if (one_in(prng, 2)) into.server_limit = one_in(prng, 2) ? 1 : between(prng, 1, 4);
  if (one_in(prng, 3)) into.limit = one_in(prng, 2) ? 1 : between(prng, 1, 6);
  if (one_in(prng, 8)) into.server_pending_limit = between(prng, 1, 3);
  if (one_in(prng, 8)) into.server_retry_limit = 1;
  into.queue.size = one_in(prng, 3) ? between(prng, 0, 4) : 1'000;
  into.queue.timeout = draw_ms(prng, 200, kQueueTimeoutMs);
  into.queue.target = one_in(prng, 3) ? Milliseconds{0} : draw_ms(prng, 1, 200);
  into.queue.target_interval = draw_ms(prng, 10, 500);
  if (one_in(prng, 2)) into.queue.priority_header = "X-Urgency";
  if (one_in(prng, 4)) into.request_timeout = draw_ms(prng, 500, 30'000);
}

void draw_failures(Prng& prng, config::Backend& into) {
  into.retry.enabled = !one_in(prng, 4);
  into.retry.max = between(prng, 0, 7);
  if (one_in(prng, 2)) into.retry.statuses = {500, 503};
  into.retry.backoff = draw_ms(prng, 1, 100);
  into.retry.backoff_max = draw_ms(prng, 100, 1'000);
  into.retry.budget_percent = one_in(prng, 4) ? 0 : 20;
  if (one_in(prng, 4)) into.retry.try_timeout = draw_ms(prng, 500, 10'000);
  config::Ejection& ejection = into.ejection;
  ejection.enabled = !one_in(prng, 4);
  ejection.consecutive_errors = between(prng, 0, 3);
  ejection.error_percent = one_in(prng, 2) ? 0 : between(prng, 20, 90);
  ejection.latency_factor = one_in(prng, 2) ? 0 : between(prng, 2, 6);
  ejection.min_requests = between(prng, 2, 20);
  ejection.window = draw_ms(prng, 1'000, 5'000);
  ejection.time = draw_ms(prng, 100, 5'000);
  ejection.time_max = ejection.time * 4;
  ejection.silence = ejection.time / 4;
  ejection.max_ejected_percent = between(prng, 0, 100);
}

void draw_health(Prng& prng, config::Backend& into) {
  if (one_in(prng, 2)) return;
  config::HealthCheck& health = into.health;
  health.type = one_in(prng, 4) ? config::HealthCheck::Type::tcp : config::HealthCheck::Type::http;
  health.path = kProbePath;
  if (one_in(prng, 2)) {  // Of bare TCP: the same as bytes.
    health.send =
        std::string("GET ") + kProbePath + " HTTP/1.1\r\nHost: bytes\r\nConnection: close\r\n\r\n";
    health.expect = "X-Probe";
  }
  health.method = one_in(prng, 4) ? "HEAD" : "GET";
  health.interval = draw_ms(prng, 500, 3'000);
  health.fast_interval = draw_ms(prng, 200, 500);
  health.timeout = draw_ms(prng, 1'000, 3'000);
  health.rise = between(prng, 1, 3);
  health.fall = between(prng, 1, 3);
  if (one_in(prng, 3)) health.every_requests = between(prng, 1, 20);
  health.load_report = health.method == "GET" && health.type == config::HealthCheck::Type::http &&
                       (into.balance == config::Balance::least_load || one_in(prng, 3));
}

config::Backend backend(Prng& prng, const char* name, std::uint32_t first, std::uint32_t servers) {
  config::Backend made;
  made.name = name;
  draw_servers(prng, made, first, servers);
  draw_balance(prng, made);
  if (!one_in(prng, 3)) draw_overload(prng, made);
  draw_failures(prng, made);
  draw_health(prng, made);
  return made;
}

// One of those that requests go to. With names some of its servers are given by name; these have
// weight, so that a name that stands for all addresses is enough to be served.
config::Backend main_backend(Prng& prng, const char* name, const Manners& manners) {
  config::Backend made = backend(prng, name, 0, manners.servers);
  if (!manners.names) return made;
  for (std::size_t i = 0; i < made.servers.size(); ++i) {
    if (one_in(prng, 2)) continue;
    config::Server& server = made.servers[i];
    server.host = host_name(between(prng, 0, kHostNames - 1));
    server.name = "named-" + std::to_string(i);
    server.address = {};
    server.weight = std::max(server.weight, 1u);
  }
  return made;
}

void draw_rates(Prng& prng, config::Config& config) {
  config.limits.clear();
  for (config::Listener& each : config.listeners) each.limits.clear();
  if (!one_in(prng, 6)) return;
  config::RateLimit limit;
  limit.name = "rate";
  limit.key = static_cast<config::RateLimit::Key>(prng.bounded(3));
  if (limit.key == config::RateLimit::Key::header) limit.header = "X-Id";
  limit.count = between(prng, 1, 50);
  limit.burst = between(prng, 1, 20);
  limit.keys_max = between(prng, 16, 1'024);
  config.limits.push_back(limit);
  const bool connections = limit.key != config::RateLimit::Key::header && one_in(prng, 3);
  if (connections) config.listeners[0].limits = {limit.name};
}

void draw_routes(Prng& prng, config::Config& config) {
  draw_rates(prng, config);
  config.routes.clear();
  if (one_in(prng, 2)) {
    config::Route posts;
    posts.path = "/r";
    posts.methods = {"POST", "PUT"};
    posts.backends = {{"other"}};
    posts.priority = between(prng, 0, 3);
    config.routes.push_back(posts);
  }
  config::Route all;
  all.path = "/r";
  all.backends = {{"app"}};
  if (one_in(prng, 4)) all.backends.push_back({"other", 2});
  all.priority = between(prng, 0, 3);
  if (!config.limits.empty()) all.limits = {config.limits[0].name};
  config.routes.push_back(all);
}

// One for all routes, or none. Behind the other backends, whose places reloads know.
void draw_mirror(Prng& prng, config::Config& config, const Manners& manners) {
  if (manners.mirrors == 0) return;
  std::erase_if(config.backends, [](const auto& each) { return each.name == kMirrorName; });
  std::optional<config::Mirror> mirror;
  if (!one_in(prng, 5)) {
    config.backends.push_back(backend(prng, kMirrorName, manners.servers, manners.mirrors));
    mirror = {kMirrorName, one_in(prng, 3) ? between(prng, 0, 100) : 100};
  }
  for (config::Route& each : config.routes) each.mirror = mirror;
}

}  // namespace

os::Address listener_address(bool side) {
  return *os::Address::ip("10.0.0.1", side ? kSidePort : kFrontPort);
}

os::Address server_address(std::uint32_t number) {
  return *os::Address::ip(server_ip(number), kServerPort);
}

config::Endpoint server_endpoint(std::uint32_t number) {
  return endpoint(server_ip(number), kServerPort);
}

std::string server_text(std::uint32_t number) { return server_endpoint(number).text(); }

config::HostName host_name(std::uint32_t number) {
  static const std::array<config::HostName, kHostNames> kHosts = {{{"one.sim", kServerPort},
                                                                   {"two.sim", kServerPort},
                                                                   {"_app._tcp.sim", 0},
                                                                   {"_other._tcp.sim", 0}}};
  return kHosts[number];
}

config::Config draw_config(Prng& prng, const Manners& manners) {
  config::Config config;
  config.listeners = {listener(prng, "front", kFrontPort), listener(prng, "side", kSidePort)};
  config.backends = {main_backend(prng, "app", manners), main_backend(prng, "other", manners)};
  draw_routes(prng, config);
  draw_mirror(prng, config, manners);
  draw_timeouts(prng, config);
  return config;
}

config::Config draw_reload(Prng& prng, const config::Config& before, const Manners& manners) {
  config::Config config = before;
  if (prng.bounded(2) == 0) config.backends[0] = main_backend(prng, "app", manners);
  if (prng.bounded(2) == 0) config.backends[1] = main_backend(prng, "other", manners);
  if (prng.bounded(3) == 0) {
    draw_routes(prng, config);
    draw_mirror(prng, config, manners);
  }
  if (prng.bounded(3) == 0) draw_timeouts(prng, config);
  return config;
}

config::Config calmed(const config::Config& before) {
  config::Config config = before;
  config.limits.clear();
  for (config::Listener& each : config.listeners) each.limits.clear();
  for (config::Route& each : config.routes) each.limits.clear();
  for (config::Backend& each : config.backends) {
    each.queue.size = 1'000;
    each.queue.timeout = Milliseconds{60'000};
    each.queue.target = Milliseconds{0};
    each.request_timeout.reset();
    each.retry.try_timeout.reset();
    each.retry.statuses.clear();  // When the budget is used up, an answer becomes a 502.
    each.server_pending_limit = 1'024;
    each.server_retry_limit = 64;
  }
  return config;
}

}  // namespace weir::sim
