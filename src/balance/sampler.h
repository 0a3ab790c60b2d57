// Sampler: a random server among those that may be chosen, in proportion to the weights.
//
// Constant work for any number of servers as long as most of them are usable; the shares are
// exact in any case. Owned by a policy; one Prng, one thread.
#pragma once

#include <span>
#include <vector>

#include "balance/policy.h"
#include "base/prng.h"

namespace weir::balance {

class Sampler {
 public:
  Sampler(std::span<const std::uint32_t> weights, std::uint64_t seed);

  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(weights_.size()); }
  [[nodiscard]] std::uint32_t weight(std::uint32_t server) const { return weights_[server]; }

  // A usable server other than `except` that the attempt does not exclude.
  template <ServerView View>
  [[nodiscard]] Choice sample(const View& servers, const Attempt& attempt, Choice except) {
    const auto allowed = [&](std::uint32_t server) {
      return weight(server) != 0 && server != except && !attempt.excludes(server) &&
             servers.usable(server);
    };
    const int draws_max = count() <= kFewServers ? 0 : kDrawsMax;
    for (int draws = 0; draws < draws_max; ++draws) {
      const std::uint32_t server = draw();
      if (allowed(server)) return server;
    }
    // One pass: each server replaces the earlier ones with its share of the weight so far.
    Choice chosen;
    std::uint64_t weight_so_far = 0;
    for (std::uint32_t server = 0; server < count(); ++server) {
      if (!allowed(server)) continue;
      weight_so_far += weight(server);
      if (!chosen || prng_.bounded(weight_so_far) < weight(server)) chosen = server;
    }
    return chosen;
  }

 private:
  // A draw that hits a server which may not be chosen is repeated, which keeps the proportions
  // among the others. After kDrawsMax, and where there are only a few servers to look at, a scan
  // is cheaper and certain.
  static constexpr int kDrawsMax = 16;
  static constexpr std::uint32_t kFewServers = 4;

  // Any server, in proportion to the weights; any at all when all weights are 0.
  [[nodiscard]] std::uint32_t draw() {
    if (!weight_up_to_.empty()) return draw_weighted();
    return static_cast<std::uint32_t>(prng_.bounded(count()));
  }
  [[nodiscard]] std::uint32_t draw_weighted();

  std::vector<std::uint32_t> weights_;
  std::vector<std::uint64_t> weight_up_to_;  // Running sums; empty when all weights are equal.
  Prng prng_;
};

}  // namespace weir::balance
