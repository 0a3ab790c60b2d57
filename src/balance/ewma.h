// ewma: of two random servers the one whose answer is expected first.
//
// What a server would cost is its expected latency (balance/peak_ewma.h) times the requests it
// would have in flight, per weight. Two latencies that differ by less than half are the same:
// measured ones always differ a little, and identical servers would be used one at a time.
// Between such servers ewma decides as p2c does.
#pragma once

#include <algorithm>
#include <span>

#include "balance/policy.h"
#include "balance/sampler.h"

namespace weir::balance {

class Ewma {
 public:
  Ewma(std::span<const std::uint32_t> weights, std::uint64_t seed) : sampler_(weights, seed) {}

  template <LatencyView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    const Choice one = sampler_.sample(servers, attempt, std::nullopt);
    if (!one) return one;
    const Choice two = sampler_.sample(servers, attempt, one);
    if (!two) return one;
    const std::uint64_t latency_one = servers.latency_us(*one);
    const std::uint64_t latency_two = servers.latency_us(*two);
    const auto [less, more] = std::minmax(latency_one, latency_two);
    if (more - less <= less / 2) {
      return load(servers, *two, 0) < load(servers, *one, 0) ? two : one;
    }
    // Doubles: the product of all three does not fit 64 bits. Nothing known costs nothing, so a
    // new server is tried at once; its first requests' age then speaks for it.
    const double cost_one = static_cast<double>(latency_one) * load(servers, *one, 1);
    const double cost_two = static_cast<double>(latency_two) * load(servers, *two, 1);
    return cost_two < cost_one ? two : one;
  }

 private:
  // In flight per weight, with `more` requests.
  template <ServerView View>
  [[nodiscard]] double load(const View& servers, std::uint32_t server, double more) const {
    return (servers.in_flight(server) + more) / sampler_.weight(server);
  }

  Sampler sampler_;
};

}  // namespace weir::balance
