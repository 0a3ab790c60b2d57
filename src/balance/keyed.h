// maglev: the server that the attempt's key belongs to (ip_hash, uri_hash, header_hash,
// cookie_hash, query_hash).
//
// When that one cannot be chosen, or has more in flight than its share allows (consistent hashing
// with bounded loads, Mirrokni and others 2018), the key goes on to further slots of the table:
// always the same ones, so that it has a second and a third server of its own. When they give
// nothing, the servers are ranked by the key (weighted rendezvous).
#pragma once

#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "balance/maglev.h"
#include "balance/policy.h"
#include "base/prng.h"

namespace weir::balance {

class Keyed {
 public:
  // `load_percent`: the most that a server may have in flight, in percent of the mean of the
  // usable servers per weight, beside one that is always allowed. 0: no bound.
  Keyed(SharedMaglev table, std::span<const std::uint32_t> weights, std::uint32_t load_percent)
      : table_(std::move(table)),
        weights_(weights.begin(), weights.end()),
        load_percent_(load_percent) {
    CHECK(table_ != nullptr && table_->server_count() == weights.size());
  }

  template <ServerView View>
  [[nodiscard]] Choice pick(const View& servers, const Attempt& attempt) {
    if (table_->empty()) return std::nullopt;
    if (sum_is_good_for_ != 0) --sum_is_good_for_;
    std::uint64_t sequence = attempt.key();
    for (int probe = 0; probe < kProbesMax; ++probe) {
      const std::uint32_t server = (*table_)[splitmix64(sequence)];
      if (attempt.excludes(server) || !servers.usable(server)) continue;
      if (!is_overloaded(servers, server)) return server;
    }
    return pick_ranked(servers, attempt);
  }

 private:
  // Half of the servers down: one key in 65,000 needs the ranking, which looks at all of them.
  static constexpr int kProbesMax = 16;
  // The sum over n servers serves n / 16 picks: 16 servers are looked at per pick, on average.
  static constexpr std::uint32_t kServersPerPick = 16;

  template <ServerView View>
  bool is_overloaded(const View& servers, std::uint32_t server) {
    const std::uint64_t in_flight = servers.in_flight(server);
    if (load_percent_ == 0 || in_flight <= 1) return false;
    if (sum_is_good_for_ == 0) sum_up(servers);
    // (in_flight - 1) / weight > percent / 100 * in_flight_sum / weight_sum
    using Wide = unsigned __int128;
    return Wide{in_flight - 1} * 100 * weight_sum_ >
           Wide{in_flight_sum_} * load_percent_ * weights_[server];
  }

  template <ServerView View>
  void sum_up(const View& servers) {
    in_flight_sum_ = weight_sum_ = 0;
    for (std::uint32_t server = 0; server < weights_.size(); ++server) {
      if (weights_[server] == 0 || !servers.usable(server)) continue;
      in_flight_sum_ += servers.in_flight(server);
      weight_sum_ += weights_[server];
    }
    sum_is_good_for_ = table_->server_count() / kServersPerPick + 1;
  }

  template <ServerView View>
  Choice pick_ranked(const View& servers, const Attempt& attempt) {
    Choice best;
    std::pair<bool, double> best_rank;  // Within its share, score.
    for (std::uint32_t server = 0; server < weights_.size(); ++server) {
      if (weights_[server] == 0 || attempt.excludes(server) || !servers.usable(server)) continue;
      const std::pair rank{!is_overloaded(servers, server), score(attempt.key(), server)};
      if (best && rank <= best_rank) continue;
      best = server;
      best_rank = rank;
    }
    return best;
  }

  // The greatest of weight / -ln(u), u uniform in (0, 1), is each server with probability
  // weight / sum.
  [[nodiscard]] double score(std::uint64_t key, std::uint32_t server) const {
    std::uint64_t mixed = key ^ table_->identity(server);
    const double u = (static_cast<double>(splitmix64(mixed) >> 12) + 0.5) * 0x1p-52;
    return weights_[server] / -std::log(u);
  }

  SharedMaglev table_;
  std::vector<std::uint32_t> weights_;
  std::uint32_t load_percent_;
  std::uint32_t sum_is_good_for_ = 0;  // Picks; sum_up() is due at 0.
  std::uint64_t in_flight_sum_ = 0;    // Of the usable servers, like weight_sum_.
  std::uint64_t weight_sum_ = 0;
};

}  // namespace weir::balance
