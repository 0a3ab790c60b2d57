// A view over plain vectors, and the counting that the tests of every policy share.
#pragma once

#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <vector>

#include "balance/policy.h"

namespace weir::balance {

struct FakeServers {
  explicit FakeServers(std::size_t count) : up(count, true), load(count, 0) {}

  [[nodiscard]] bool usable(std::uint32_t server) const { return up.at(server); }
  [[nodiscard]] std::uint32_t in_flight(std::uint32_t server) const { return load.at(server); }

  std::vector<bool> up;
  std::vector<std::uint32_t> load;
};

using Weights = std::vector<std::uint32_t>;

inline std::uint32_t sum(const Weights& weights) {
  return std::accumulate(weights.begin(), weights.end(), 0U);
}

// The choices of `picks` picks in a row; every pick must succeed.
template <typename Policy>
std::vector<std::uint32_t> picks(Policy& policy, const FakeServers& servers, std::size_t count) {
  std::vector<std::uint32_t> sequence;
  for (std::size_t i = 0; i < count; ++i) {
    sequence.push_back(policy.pick(servers, Attempt{}).value());
  }
  return sequence;
}

// How often each of `servers` servers occurs.
inline Weights tally(std::span<const std::uint32_t> sequence, std::size_t servers) {
  Weights counts(servers, 0);
  for (const std::uint32_t server : sequence) ++counts.at(server);
  return counts;
}

inline Attempt excluding(std::initializer_list<std::uint32_t> servers) {
  Attempt attempt;
  for (const std::uint32_t server : servers) {
    if (!attempt.exclude(server)) std::abort();
  }
  return attempt;
}

}  // namespace weir::balance
