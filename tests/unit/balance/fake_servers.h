// A view over plain vectors, and the counting that the tests of every policy share.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "balance/policy.h"

namespace weir::balance {

// Enough for shares to be what they should, within a percent.
inline constexpr std::size_t kPicks = 100'000;

struct FakeServers {
  explicit FakeServers(std::size_t count)
      : up(count, true), busy(count, 0), latency(count, 0), reports(count) {}

  [[nodiscard]] bool usable(std::uint32_t server) const { return up.at(server); }
  [[nodiscard]] std::uint32_t in_flight(std::uint32_t server) const { return busy.at(server); }
  [[nodiscard]] std::uint64_t latency_us(std::uint32_t server) const { return latency.at(server); }
  [[nodiscard]] ReportedLoad load(std::uint32_t server) const { return reports.at(server); }

  std::vector<bool> up;
  std::vector<std::uint32_t> busy;  // Requests in flight.
  std::vector<std::uint64_t> latency;
  std::vector<ReportedLoad> reports;
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

// Expects `count` of `total` to be the share `p` within five standard deviations; the seeds are
// fixed, so this either always holds or never.
inline void expect_share(std::uint32_t count, double p, std::size_t total) {
  const auto n = static_cast<double>(total);
  EXPECT_NEAR(count, n * p, 5 * std::sqrt(n * p * (1 - p)) + 1);
}

// How often each of `servers` servers occurs.
inline Weights tally(std::span<const std::uint32_t> sequence, std::size_t servers) {
  Weights counts(servers, 0);
  for (const std::uint32_t server : sequence) ++counts.at(server);
  return counts;
}

// Names "s0", "s1", ... and views of them, which is what a table is built of.
struct Names {
  explicit Names(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) texts.push_back("s" + std::to_string(i));
    views.assign(texts.begin(), texts.end());
  }
  Names(const Names&) = delete;
  std::vector<std::string> texts;
  std::vector<std::string_view> views;
};

inline Attempt excluding(std::initializer_list<std::uint32_t> servers) {
  Attempt attempt;
  for (const std::uint32_t server : servers) {
    if (!attempt.exclude(server)) std::abort();
  }
  return attempt;
}

}  // namespace weir::balance
