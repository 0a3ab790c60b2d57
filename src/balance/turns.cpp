#include "balance/turns.h"

#include <algorithm>

namespace weir::balance {

namespace {

// The fraction of n times the golden ratio, in 30 bits: the points for any run of consecutive
// numbers lie evenly between 0 and 1, however many there are (Weyl, Fibonacci hashing).
std::uint32_t spread(std::uint64_t n) {
  return static_cast<std::uint32_t>((n * 0x9E37'79B9'7F4A'7C15) >> 34);
}

}  // namespace

Turns::Turns(std::span<const std::uint32_t> weights, std::uint64_t seed) : clock_(spread(seed)) {
  servers_.reserve(weights.size());
  for (const std::uint32_t weight : weights) {
    CHECK(weight <= kWeightMax);
    servers_.push_back({weight == 0 ? kNever : turn_after(clock_, count(), weight), weight});
  }
}

void Turns::take(std::uint32_t server) {
  Server& taken = servers_[server];
  clock_ = std::max(clock_, taken.due);
  taken.due = turn_after(clock_, server, taken.weight);
  if (clock_ >= kRound) begin_round();
}

std::int64_t Turns::turn_after(std::int64_t time, std::uint32_t server, std::uint32_t weight) {
  // Turn n lies at floor((n * kRound + phase) / weight), for n >= weight in a later round. It is
  // later than `time` when n * kRound >= (time + 1) * weight - phase.
  const std::int64_t phase = spread(server);
  const std::int64_t reached = (time + 1) * weight;
  const std::int64_t turn = reached <= phase ? 0 : (reached - phase + kRound - 1) / kRound;
  return (turn * kRound + phase) / weight;
}

void Turns::begin_round() {
  clock_ -= kRound;
  for (Server& server : servers_) {
    if (server.weight != 0) server.due = std::max(server.due - kRound, -kPast);
  }
}

}  // namespace weir::balance
