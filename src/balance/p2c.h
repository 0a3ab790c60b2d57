// p2c: the better of two random choices.
//
// Two different servers are drawn in proportion to their weights, and the one with fewer
// requests in flight per weight wins; when they are equally loaded the first drawn wins, so that
// an idle backend is used in proportion to the weights. Constant work for any number of servers,
// and no herd: workers with the same view choose differently.
#pragma once

#include <span>

#include "balance/policy.h"
#include "balance/sampler.h"

namespace weir::balance {

class P2c {
 public:
  P2c(std::span<const std::uint32_t> weights, std::uint64_t seed) : sampler_(weights, seed) {}

  template <ServerView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    const Choice one = sampler_.sample(servers, attempt, std::nullopt);
    if (!one || sampler_.count() == 1) return one;
    const Choice two = sampler_.sample(servers, attempt, one);
    if (!two) return one;
    // a / b < c / d without the division: both products fit 64 bits.
    const std::uint64_t load_one = std::uint64_t{servers.in_flight(*one)} * sampler_.weight(*two);
    const std::uint64_t load_two = std::uint64_t{servers.in_flight(*two)} * sampler_.weight(*one);
    return load_two < load_one ? two : one;
  }

 private:
  Sampler sampler_;
};

}  // namespace weir::balance
