// The contract between a balancing algorithm and the driver that asks it.
//
// A policy is built per worker and backend from the weights of a snapshot and answers pick(). It
// keeps only its own small position (whose turn it is, a random generator); what changes while
// traffic runs belongs to the driver and is read through a view, in place, without a copy:
//
//   struct BackendView {                                      // in the upstream layer
//     bool usable(std::uint32_t server) const;
//     std::uint32_t in_flight(std::uint32_t server) const;    // over all workers
//     std::uint64_t latency_us(std::uint32_t server) const;   // only ewma asks
//     ReportedLoad load(std::uint32_t server) const;          // only least_load asks
//   };
//
// The view decides alone what "usable" means (health, limits, slow start, priority, drain). It
// costs the most, so policies ask it last; within one pick it always gives the same answer. The
// calls inline into the algorithm, therefore policies are templates over the view, one header
// each, and balance/balancer.h is the one place that lists them.
//
// Servers are numbered 0..count-1 in the order of the weights. Weight 0 takes no new requests.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>

#include "base/check.h"

namespace weir::balance {

// Weights are 0..kWeightMax. The configuration allows less; the arithmetic allows this much.
inline constexpr std::uint32_t kWeightMax = 65'535;

// What a server has said about itself in its last report.
struct ReportedLoad {
  bool known = false;  // False: there is no report, or it is too old. The rest means nothing then.
  std::uint32_t entries = 0;
  std::uint32_t errors = 0;
  std::uint32_t sent_since = 0;  // Requests sent there after the report, by all workers.
};

template <typename View>
concept ServerView = requires(const View& view, std::uint32_t server) {
  { view.usable(server) } -> std::same_as<bool>;
  { view.in_flight(server) } -> std::same_as<std::uint32_t>;
};

template <typename View>
concept LatencyView = ServerView<View> && requires(const View& view, std::uint32_t server) {
  // What a request there is expected to take; 0: nothing is known.
  { view.latency_us(server) } -> std::same_as<std::uint64_t>;
};

template <typename View>
concept LoadView = ServerView<View> && requires(const View& view, std::uint32_t server) {
  { view.load(server) } -> std::same_as<ReportedLoad>;
};

// What one request asks of a policy. Lives in the exchange, so that a retry goes elsewhere.
class Attempt {
 public:
  static constexpr std::uint32_t kTriedMax = 7;

  Attempt() = default;
  // `key` is the hash that keyed algorithms map to a server; the others ignore it.
  explicit Attempt(std::uint64_t key) : key_(key) {}

  [[nodiscard]] std::uint64_t key() const { return key_; }

  // Nobody has been chosen for it yet. Later choices must not disturb the order of first ones.
  [[nodiscard]] bool first() const { return first_; }
  void note_choice() { first_ = false; }

  // Excludes `server` from further picks. False when kTriedMax are excluded already: the driver
  // then stops trying, which is also the most servers one request may bother.
  [[nodiscard]] bool exclude(std::uint32_t server) {
    if (count_ == kTriedMax) return false;
    tried_[count_++] = server;
    first_ = false;
    return true;
  }

  [[nodiscard]] bool excludes(std::uint32_t server) const {
    for (std::uint32_t i = 0; i < count_; ++i) {
      if (tried_[i] == server) return true;
    }
    return false;
  }

 private:
  std::uint64_t key_ = 0;
  std::uint32_t count_ = 0;
  bool first_ = true;
  std::array<std::uint32_t, kTriedMax> tried_;  // The first count_ are set.
};

// The chosen server, or none when no server is usable, weighted and not excluded.
using Choice = std::optional<std::uint32_t>;

}  // namespace weir::balance
