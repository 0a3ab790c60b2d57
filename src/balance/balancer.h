// Balancer: any one of the algorithms, behind one pick(). The only list of them is here; a new
// algorithm is its own header, an enumerator and an alternative.
//
// One per worker and backend; not shared between threads. A backend that a reload does not touch
// keeps its Balancer. A new one starts at the place its seed says; nothing is carried over,
// because a position in a rotation over other servers means nothing. Seeds should differ between
// the workers (consecutive numbers spread best) and between builds, or frequent reloads would
// always favour the same servers.
#pragma once

#include <span>
#include <variant>

#include "balance/ewma.h"
#include "balance/first.h"
#include "balance/keyed.h"
#include "balance/least_connections.h"
#include "balance/least_load.h"
#include "balance/maglev.h"
#include "balance/p2c.h"
#include "balance/policy.h"
#include "balance/random.h"
#include "balance/round_robin.h"

namespace weir::balance {

enum class Algorithm : std::uint8_t {
  round_robin,
  least_connections,
  p2c,
  ewma,
  least_load,
  random,
  first,
  maglev,  // All that map a key; where the key comes from is the driver's.
};

struct Settings {
  Algorithm algorithm = Algorithm::round_robin;
  SharedMaglev maglev;                    // With Algorithm::maglev, of the same servers.
  std::uint32_t hash_load_percent = 150;  // Of the mean load; 0: no bound. With maglev only.
};

class Balancer {
 public:
  // `weights`, one per server, each 0..kWeightMax. No servers is allowed and never picks.
  Balancer(const Settings& settings, std::span<const std::uint32_t> weights, std::uint64_t seed);
  // The same for an algorithm that needs no more.
  Balancer(Algorithm algorithm, std::span<const std::uint32_t> weights, std::uint64_t seed)
      : Balancer(Settings{.algorithm = algorithm, .maglev = nullptr}, weights, seed) {}

  // A server that is usable, has a weight and is not excluded by the attempt; none when there is
  // no such server. The view must answer for every index of the weights.
  template <typename View>
    requires LatencyView<View> && LoadView<View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    if (single_) return attempt.excludes(0) || !servers.usable(0) ? Choice() : Choice(0);
    return std::visit([&](auto& policy) { return policy.pick(servers, attempt); }, policy_);
  }

 private:
  using Policy =
      std::variant<RoundRobin, LeastConnections, P2c, Ewma, LeastLoad, Random, First, Keyed>;
  [[nodiscard]] static Policy make(const Settings& settings, std::span<const std::uint32_t> weights,
                                   std::uint64_t seed);

  Policy policy_;
  bool single_;  // One server, with a weight: no algorithm has anything to decide.
};

}  // namespace weir::balance
