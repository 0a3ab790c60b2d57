// A backend of ten servers under Poisson arrivals, simulated without sockets: the product's own
// balancing policies choose and its own verdicts eject (errors in a row, and what the control
// thread makes of a window and of silence); everything around them is the model below.
//
// Servers: each works on four requests at a time, first come first served, exponential work with a
// mean of 10 ms. One is ten times slower, one answers every request with an error after 1 ms
// without doing it, one stands still for 500 ms every 10 s.
// Requests: not repeatable (POST), so nobody sends one again. After 60 s without an answer, the
// default timeout of most proxies, the client gets an error; a server drops what it has not begun.
// Load: of what the servers that answer can do together, 100 % would be full.
// Proxies: four workers with a policy each, requests in flight counted over all of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "balance/balancer.h"

namespace balance_sim {

inline constexpr std::uint32_t kServers = 10;
inline constexpr std::uint32_t kSlow = 3;
inline constexpr std::uint32_t kFailing = 6;
inline constexpr std::uint32_t kPausing = 8;

// What a proxy does about a server that answers badly.
enum class Ejection {
  none,           // HAProxy, Traefik, Caddy, unless configured.
  after_timeout,  // nginx: max_fails=1 fail_timeout=10s, answers of 500 do not count.
  weir,           // health::Passive, with the verdicts over windows and over silence.
};

struct Contestant {
  std::string name;
  weir::balance::Algorithm algorithm;
  Ejection ejection;
  bool peer_default = false;       // What another proxy does when nothing is configured.
  std::uint32_t server_limit = 0;  // Most in flight per server; 0: none.
};

struct Result {
  double p50_ms = 0;  // Of good answers and timeouts; quick errors would improve it.
  double p99_ms = 0;
  double p999_ms = 0;
  double errors = 0;                     // Share of the requests.
  std::array<double, kServers> share{};  // Of the requests.
};

// `load` is 0..1. The same seed gives the same arrivals to every contestant.
[[nodiscard]] Result simulate(const Contestant& contestant, double load, std::uint64_t seconds,
                              std::uint64_t seed);

}  // namespace balance_sim
