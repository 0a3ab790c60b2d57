// least_connections: the server with the fewest requests in flight per weight.
//
// Servers that are equally loaded take weighted turns (balance/turns.h): an idle backend of
// weights 3 and 1 is used 3 to 1, and equal servers rotate.
#pragma once

#include <span>

#include "balance/policy.h"
#include "balance/turns.h"

namespace weir::balance {

class LeastConnections {
 public:
  LeastConnections(std::span<const std::uint32_t> weights, std::uint64_t seed)
      : turns_(weights, seed) {}

  template <ServerView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    Choice best;
    Turns::Server best_turn{Turns::kNever, 0};
    std::uint64_t best_in_flight = 1;  // 1 / 0: any server is less loaded than none.
    for (std::uint32_t server = 0; server < turns_.count(); ++server) {
      const Turns::Server turn = turns_[server];
      if (turn.weight == 0) continue;
      const std::uint64_t in_flight = servers.in_flight(server);
      // a / b < c / d without the division: both products fit 64 bits.
      const std::uint64_t load = in_flight * best_turn.weight;
      const std::uint64_t best_load = best_in_flight * turn.weight;
      if (load > best_load || (load == best_load && turn.due >= best_turn.due)) continue;
      if (attempt.excludes(server) || !servers.usable(server)) continue;
      best = server;
      best_turn = turn;
      best_in_flight = in_flight;
    }
    if (best) turns_.take(*best);
    return best;
  }

 private:
  Turns turns_;
};

}  // namespace weir::balance
