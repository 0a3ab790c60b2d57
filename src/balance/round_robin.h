// round_robin: smooth weighted rotation.
//
// Servers of equal weight take turns by a cursor, in a few instructions however many there are.
// With different weights the usable server that is due first is chosen (balance/turns.h), which
// looks at every server once but asks the view only about those that would win.
#pragma once

#include <span>

#include "balance/policy.h"
#include "balance/turns.h"

namespace weir::balance {

class RoundRobin {
 public:
  RoundRobin(std::span<const std::uint32_t> weights, std::uint64_t seed)
      : turns_(weights, seed),
        cursor_(weights.empty() ? 0 : static_cast<std::uint32_t>(seed % weights.size())) {
    std::uint32_t shared = 0;
    for (const std::uint32_t weight : weights) {
      if (weight == 0) continue;
      if (shared != 0 && weight != shared) equal_weights_ = false;
      shared = weight;
    }
  }

  template <ServerView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    return equal_weights_ ? pick_at_cursor(servers, attempt) : pick_due(servers, attempt);
  }

 private:
  template <ServerView View>
  Choice pick_at_cursor(const View& servers, const Attempt& attempt) {
    for (std::uint32_t seen = 0; seen < turns_.count(); ++seen) {
      const std::uint32_t server = cursor_;
      cursor_ = server + 1 == turns_.count() ? 0 : server + 1;
      if (turns_[server].weight == 0 || attempt.excludes(server)) continue;
      if (servers.usable(server)) return server;
    }
    return std::nullopt;
  }

  template <ServerView View>
  Choice pick_due(const View& servers, const Attempt& attempt) {
    Choice best;
    std::int64_t best_due = Turns::kNever;
    for (std::uint32_t server = 0; server < turns_.count(); ++server) {
      if (turns_[server].due >= best_due) continue;
      if (attempt.excludes(server) || !servers.usable(server)) continue;
      best = server;
      best_due = turns_[server].due;
    }
    if (best) turns_.take(*best);
    return best;
  }

  Turns turns_;
  std::uint32_t cursor_;
  bool equal_weights_ = true;
};

}  // namespace weir::balance
