#include "balance/sampler.h"

#include <algorithm>
#include <functional>

namespace weir::balance {

Sampler::Sampler(std::span<const std::uint32_t> weights, std::uint64_t seed)
    : weights_(weights.begin(), weights.end()), prng_(seed) {
  const bool equal_weights =
      std::adjacent_find(weights_.begin(), weights_.end(), std::not_equal_to<>()) == weights_.end();
  if (equal_weights) return;
  std::uint64_t sum = 0;
  for (const std::uint32_t weight : weights_) weight_up_to_.push_back(sum += weight);
}

std::uint32_t Sampler::draw_weighted() {
  const std::uint64_t point = prng_.bounded(weight_up_to_.back());
  // Upper, not lower: a server of weight 0 has the sum of the one before it and is never hit.
  const auto hit = std::upper_bound(weight_up_to_.begin(), weight_up_to_.end(), point);
  return static_cast<std::uint32_t>(hit - weight_up_to_.begin());
}

}  // namespace weir::balance
