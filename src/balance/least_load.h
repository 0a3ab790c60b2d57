// least_load: the server that reports the least load.
//
// Servers say how many entries and errors they have. Fewest entries per weight wins, counting each
// request sent since the report as one more; fewer errors break the tie, then weighted turns
// (balance/turns.h): without any reports they are all there is, and the servers rotate.
//
// A server without a report counts as the median of those that have one, request by request, so
// that it neither gets everything nor nothing.
//
// What is reported may be a total since the server started. So that one which has just restarted
// at zero is not flooded, a server with more than twice its share of what is in flight (and more
// than one) is passed over. One server at least is within its share.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "balance/policy.h"
#include "balance/turns.h"

namespace weir::balance {

class LeastLoad {
 public:
  LeastLoad(std::span<const std::uint32_t> weights, std::uint64_t seed) : turns_(weights, seed) {
    candidates_.reserve(weights.size());
    known_.reserve(weights.size());
  }

  template <LoadView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    gather(servers, attempt);
    if (candidates_.empty()) return std::nullopt;
    const Load median = median_of_known();
    std::uint64_t in_flight = 0;
    std::uint64_t weight = 0;
    for (Candidate& candidate : candidates_) {
      if (candidate.load.weight == 0) candidate.load = median;
      in_flight += candidate.in_flight;
      weight += turns_[candidate.server].weight;
    }
    const Candidate* best = nullptr;
    for (const Candidate& candidate : candidates_) {
      if (exceeds_share(candidate, in_flight, weight)) continue;
      if (best == nullptr || goes_before(candidate, *best)) best = &candidate;
    }
    turns_.take(best->server);
    return best->server;
  }

 private:
  // What the server counts as. Weight 0: unknown so far.
  struct Load {
    std::uint64_t entries = 0;
    std::uint32_t weight = 0;
    std::uint32_t errors = 0;
  };
  struct Candidate {
    std::uint32_t server;
    std::uint32_t in_flight;
    Load load;
  };

  template <LoadView View>
  void gather(const View& servers, const Attempt& attempt) {
    candidates_.clear();
    known_.clear();
    for (std::uint32_t server = 0; server < turns_.count(); ++server) {
      const std::uint32_t weight = turns_[server].weight;
      if (weight == 0 || attempt.excludes(server) || !servers.usable(server)) continue;
      Load load;
      if (const ReportedLoad report = servers.load(server); report.known) {
        load = {std::uint64_t{report.entries} + report.sent_since, weight, report.errors};
        known_.push_back(load);
      }
      candidates_.push_back({server, servers.in_flight(server), load});
    }
  }

  // The lower one of the two in the middle. All servers are equal when none is known.
  Load median_of_known() {
    if (known_.empty() || known_.size() == candidates_.size()) return {0, 1, 0};
    const auto middle = known_.begin() + static_cast<std::ptrdiff_t>((known_.size() - 1) / 2);
    std::nth_element(known_.begin(), middle, known_.end(), is_less);
    return *middle;
  }

  static bool is_less(const Load& a, const Load& b) {
    const std::uint64_t entries_a = a.entries * b.weight;  // 33 bits times 16.
    const std::uint64_t entries_b = b.entries * a.weight;
    return entries_a != entries_b ? entries_a < entries_b : a.errors < b.errors;
  }

  [[nodiscard]] bool goes_before(const Candidate& a, const Candidate& b) const {
    if (is_less(a.load, b.load)) return true;
    if (is_less(b.load, a.load)) return false;
    return turns_[a.server].due < turns_[b.server].due;
  }

  // (in_flight - 1) / weight > 2 * in_flight_sum / weight_sum
  [[nodiscard]] bool exceeds_share(const Candidate& candidate, std::uint64_t in_flight_sum,
                                   std::uint64_t weight_sum) const {
    if (candidate.in_flight <= 1) return false;
    using Wide = unsigned __int128;
    return Wide{candidate.in_flight - 1} * weight_sum >
           Wide{in_flight_sum} * 2 * turns_[candidate.server].weight;
  }

  Turns turns_;
  std::vector<Candidate> candidates_;  // Of the current pick, with room for all servers.
  std::vector<Load> known_;            // Of those that have a report.
};

}  // namespace weir::balance
