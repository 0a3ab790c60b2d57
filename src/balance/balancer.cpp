#include "balance/balancer.h"

namespace weir::balance {

Balancer::Balancer(const Settings& settings, std::span<const std::uint32_t> weights,
                   std::uint64_t seed)
    : policy_(make(settings, weights, seed)), single_(weights.size() == 1 && weights[0] > 0) {}

Balancer::Policy Balancer::make(const Settings& settings, std::span<const std::uint32_t> weights,
                                std::uint64_t seed) {
  switch (settings.algorithm) {
    case Algorithm::round_robin: return RoundRobin(weights, seed);
    case Algorithm::least_connections: return LeastConnections(weights, seed);
    case Algorithm::p2c: return P2c(weights, seed);
    case Algorithm::ewma: return Ewma(weights, seed);
    case Algorithm::least_load: return LeastLoad(weights, seed);
    case Algorithm::random: return Random(weights, seed);
    case Algorithm::first: return First(weights);
    case Algorithm::maglev: return Keyed(settings.maglev, weights, settings.hash_load_percent);
  }
  check_failed(__FILE__, __LINE__, "algorithm", "not an enumerator");
}

}  // namespace weir::balance
