// first: the first usable server in written order. The next one gets what the earlier ones cannot
// take: usable() is false at a server's limit.
#pragma once

#include <span>
#include <vector>

#include "balance/policy.h"

namespace weir::balance {

class First {
 public:
  explicit First(std::span<const std::uint32_t> weights)
      : weights_(weights.begin(), weights.end()) {}

  template <ServerView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) const {
    for (std::uint32_t server = 0; server < weights_.size(); ++server) {
      if (weights_[server] == 0 || attempt.excludes(server)) continue;
      if (servers.usable(server)) return server;
    }
    return std::nullopt;
  }

 private:
  std::vector<std::uint32_t> weights_;
};

}  // namespace weir::balance
