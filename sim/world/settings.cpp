#include "sim/world/settings.h"

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

config::Listener listener(Prng& prng, const char* name, std::uint16_t port) {
  config::Listener made;
  made.name = name;
  made.bind.push_back(endpoint("10.0.0.1", port));
  if (prng.bounded(4) == 0) made.max_connections = static_cast<std::uint32_t>(2 + prng.bounded(8));
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

// Some of the servers, one at least, with weights; sometimes under another name.
config::Backend backend(Prng& prng, const char* name, std::uint32_t servers) {
  config::Backend made;
  made.name = name;
  made.balance = static_cast<config::Balance>(prng.bounded(3));
  const std::uint64_t sure = prng.bounded(servers);
  for (std::uint32_t i = 0; i < servers; ++i) {
    if (i != sure && prng.bounded(4) == 0) continue;
    config::Server server;
    server.address = endpoint(server_ip(i), kServerPort);
    server.name = prng.bounded(8) == 0 ? "renamed-" + std::to_string(i) : server.address.text();
    server.weight = i == sure ? 1 : static_cast<std::uint32_t>(prng.bounded(4));
    made.servers.push_back(server);
  }
  return made;
}

void draw_routes(Prng& prng, config::Config& config) {
  config.routes.clear();
  if (prng.bounded(2) == 0) {
    config::Route posts;
    posts.path = "/r";
    posts.methods = {"POST", "PUT"};
    posts.backends = {{"other"}};
    config.routes.push_back(posts);
  }
  config::Route all;
  all.path = "/r";
  all.backends = {{"app"}};
  config.routes.push_back(all);
}

}  // namespace

os::Address listener_address(bool side) {
  return *os::Address::ip("10.0.0.1", side ? kSidePort : kFrontPort);
}

os::Address server_address(std::uint32_t number) {
  return *os::Address::ip(server_ip(number), kServerPort);
}

config::Config draw_config(Prng& prng, std::uint32_t servers) {
  config::Config config;
  config.listeners = {listener(prng, "front", kFrontPort), listener(prng, "side", kSidePort)};
  config.backends = {backend(prng, "app", servers), backend(prng, "other", servers)};
  draw_routes(prng, config);
  draw_timeouts(prng, config);
  return config;
}

config::Config draw_reload(Prng& prng, const config::Config& before, std::uint32_t servers) {
  config::Config config = before;
  if (prng.bounded(2) == 0) config.backends[0] = backend(prng, "app", servers);
  if (prng.bounded(2) == 0) config.backends[1] = backend(prng, "other", servers);
  if (prng.bounded(3) == 0) draw_routes(prng, config);
  if (prng.bounded(3) == 0) draw_timeouts(prng, config);
  return config;
}

}  // namespace weir::sim
