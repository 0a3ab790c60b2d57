// random: any usable server, in proportion to the weights. It looks at nothing else.
#pragma once

#include <span>

#include "balance/policy.h"
#include "balance/sampler.h"

namespace weir::balance {

class Random {
 public:
  Random(std::span<const std::uint32_t> weights, std::uint64_t seed) : sampler_(weights, seed) {}

  template <ServerView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    return sampler_.sample(servers, attempt, std::nullopt);
  }

 private:
  Sampler sampler_;
};

}  // namespace weir::balance
