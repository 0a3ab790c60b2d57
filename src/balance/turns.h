// Weighted turns: who is due next when every server is to be chosen in proportion to its weight.
//
// Virtual time runs in rounds. A server of weight w has w turns in each round, evenly spaced, the
// first one somewhere in the first w-th of the round: each server at another place, so that many
// light servers lie between the turns of a heavy one. Serving in order of due time gives
//   - exactness: the order repeats every round, so that any window of sum(weights) choices holds
//     each server exactly `weight` times, and the same over the rest when some are left out;
//   - smoothness: a heavy server is not served in bursts;
//   - no debts: a server that was left out keeps one turn, its other missed turns are forgotten,
//     so that one which returns after an hour is not flooded;
//   - order: of those that were left out, the one that was longest is first.
//
// Invariants after each call: clock_ < kRound and -kPast <= due < 2 * kRound for every weighted
// server. At the end of a round all of them are moved back by kRound, hence nothing ever overflows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "balance/policy.h"

namespace weir::balance {

class Turns {
 public:
  static constexpr std::int64_t kNever = INT64_MAX;

  struct Server {
    std::int64_t due;  // The earliest is next. kNever for weight 0.
    std::uint32_t weight;
  };

  // Starts at a point of the round that depends on the seed: workers that get consecutive seeds
  // start far apart and do not march in step.
  Turns(std::span<const std::uint32_t> weights, std::uint64_t seed);

  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(servers_.size()); }
  [[nodiscard]] const Server& operator[](std::uint32_t server) const { return servers_[server]; }

  // `server` (weight > 0) was chosen: moves it to its first turn after this one and after all
  // that were served.
  void take(std::uint32_t server);

 private:
  static constexpr std::int64_t kRound = std::int64_t{1} << 30;
  static constexpr std::int64_t kPast = 4096 * kRound;

  // The first turn later than `time` of the server with this number and weight > 0.
  [[nodiscard]] static std::int64_t turn_after(std::int64_t time, std::uint32_t server,
                                               std::uint32_t weight);
  void begin_round();

  std::vector<Server> servers_;
  std::int64_t clock_;  // The latest turn served.
};

}  // namespace weir::balance
