// round_robin: smooth weighted rotation.
//
// Servers of equal weight take turns by a cursor, in a few instructions however many there are.
// With different weights the usable server that is due first is chosen (balance/turns.h), which
// looks at every server once but asks the view only about those that would win. Requests that are
// tried again rotate by themselves: they go where the failure left room, and take nobody's turn.
#pragma once

#include <span>

#include "balance/policy.h"
#include "balance/turns.h"

namespace weir::balance {

class RoundRobin {
 public:
  RoundRobin(std::span<const std::uint32_t> weights, std::uint64_t seed)
      : firsts_(weights, seed), others_(weights, seed) {
    std::uint32_t shared = 0;
    for (const std::uint32_t weight : weights) {
      if (weight == 0) continue;
      if (shared != 0 && weight != shared) equal_weights_ = false;
      shared = weight;
    }
  }

  template <ServerView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    Rotation& rotation = attempt.first() ? firsts_ : others_;
    return equal_weights_ ? pick_at_cursor(rotation, servers, attempt)
                          : pick_due(rotation.turns, servers, attempt);
  }

 private:
  struct Rotation {
    Rotation(std::span<const std::uint32_t> weights, std::uint64_t seed)
        : turns(weights, seed),
          cursor(weights.empty() ? 0 : static_cast<std::uint32_t>(seed % weights.size())) {}
    Turns turns;
    std::uint32_t cursor;  // Of equal weights.
  };

  template <ServerView View>
  static Choice pick_at_cursor(Rotation& rotation, const View& servers, const Attempt& attempt) {
    const Turns& turns = rotation.turns;
    for (std::uint32_t seen = 0; seen < turns.count(); ++seen) {
      const std::uint32_t server = rotation.cursor;
      rotation.cursor = server + 1 == turns.count() ? 0 : server + 1;
      if (turns[server].weight == 0 || attempt.excludes(server)) continue;
      if (servers.usable(server)) return server;
    }
    return std::nullopt;
  }

  template <ServerView View>
  static Choice pick_due(Turns& turns, const View& servers, const Attempt& attempt) {
    Choice best;
    std::int64_t best_due = Turns::kNever;
    for (std::uint32_t server = 0; server < turns.count(); ++server) {
      if (turns[server].due >= best_due) continue;
      if (attempt.excludes(server) || !servers.usable(server)) continue;
      best = server;
      best_due = turns[server].due;
    }
    if (best) turns.take(*best);
    return best;
  }

  Rotation firsts_;
  Rotation others_;
  bool equal_weights_ = true;
};

}  // namespace weir::balance
