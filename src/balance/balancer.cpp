#include "balance/balancer.h"

namespace weir::balance {

Balancer::Balancer(Algorithm algorithm, std::span<const std::uint32_t> weights, std::uint64_t seed)
    : policy_(make(algorithm, weights, seed)) {}

Balancer::Policy Balancer::make(Algorithm algorithm, std::span<const std::uint32_t> weights,
                                std::uint64_t seed) {
  switch (algorithm) {
    case Algorithm::round_robin: return RoundRobin(weights, seed);
    case Algorithm::least_connections: return LeastConnections(weights, seed);
    case Algorithm::p2c: return P2c(weights, seed);
  }
  check_failed(__FILE__, __LINE__, "algorithm", "not an enumerator");
}

}  // namespace weir::balance
