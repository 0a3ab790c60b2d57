// p2c: the better of two random choices.
//
// Two different servers are drawn in proportion to their weights, and the one with fewer
// requests in flight per weight wins; when they are equally loaded the first drawn wins, so that
// an idle backend is used in proportion to the weights. Constant work for any number of servers
// as long as most of them are usable, and no herd: workers with the same view choose differently.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "balance/policy.h"
#include "base/prng.h"

namespace weir::balance {

class P2c {
 public:
  P2c(std::span<const std::uint32_t> weights, std::uint64_t seed);

  template <ServerView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    const Choice one = sample(servers, attempt, std::nullopt);
    if (!one) return one;
    const Choice two = sample(servers, attempt, one);
    if (!two) return one;
    // a / b < c / d without the division: both products fit 64 bits.
    const std::uint64_t load_one = std::uint64_t{servers.in_flight(*one)} * weight(*two);
    const std::uint64_t load_two = std::uint64_t{servers.in_flight(*two)} * weight(*one);
    return load_two < load_one ? two : one;
  }

 private:
  // A draw that hits a server which may not be chosen is repeated, which keeps the proportions
  // among the others. After kDrawsMax, and where there are only a few servers to look at, a scan
  // is cheaper and certain.
  static constexpr int kDrawsMax = 16;
  static constexpr std::uint32_t kFewServers = 4;

  // A server other than `except`, in proportion to the weights of those that may be chosen.
  template <ServerView View>
  Choice sample(const View& servers, const Attempt& attempt, Choice except) {
    const auto allowed = [&](std::uint32_t server) {
      return server != except && !attempt.excludes(server) && servers.usable(server);
    };
    const int draws_max = count() <= kFewServers ? 0 : kDrawsMax;
    for (int draws = 0; draws < draws_max; ++draws) {
      const std::uint32_t server = draw();
      if (weight(server) != 0 && allowed(server)) return server;
    }
    // One pass: each server replaces the earlier ones with its share of the weight so far.
    Choice chosen;
    std::uint64_t weight_so_far = 0;
    for (std::uint32_t server = 0; server < count(); ++server) {
      if (weight(server) == 0 || !allowed(server)) continue;
      weight_so_far += weight(server);
      if (!chosen || prng_.bounded(weight_so_far) < weight(server)) chosen = server;
    }
    return chosen;
  }

  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(weights_.size()); }
  [[nodiscard]] std::uint32_t weight(std::uint32_t server) const { return weights_[server]; }
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
