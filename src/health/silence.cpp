#include "health/silence.h"

#include <algorithm>

namespace weir::health {

namespace {

using Wide = unsigned __int128;  // Products of any 64-bit counts.

class Audience {
 public:
  Audience(std::span<const Listened> servers, std::uint64_t now_ms, const SilenceSettings& settings)
      : servers_(servers), now_ms_(now_ms), settings_(settings) {}

  [[nodiscard]] bool is_outlier(std::size_t server) const {
    const Listened& one = servers_[server];
    return one.judged && one.silence.is_long(now_ms_, settings_) && is_unusual(one) &&
           others_do_well(server);
  }

 private:
  [[nodiscard]] std::uint64_t enough() const { return std::max(settings_.min_requests, 1U); }

  [[nodiscard]] bool is_unusual(const Listened& one) const {
    return one.latencies >= enough() &&
           Wide{one.silence.lasts_ms(now_ms_)} * 1000 > Wide{one.usual_us} * settings_.usual_factor;
  }

  [[nodiscard]] bool others_do_well(std::size_t server) const {
    Wide requests = 0;
    Wide answers = 0;
    std::size_t others = 0;
    std::size_t speaking = 0;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      const Listened& other = servers_[i];
      if (i == server || !other.judged) continue;
      ++others;
      speaking += other.silence.speaks_beside(servers_[server].silence);
      requests += other.requests;
      answers += other.answers;
    }
    return others > 0 && speaking * 2 >= others && answers >= enough() &&
           answers * 100 >= requests * settings_.answer_percent;
  }

  std::span<const Listened> servers_;
  std::uint64_t now_ms_;
  const SilenceSettings& settings_;
};

}  // namespace

std::vector<Outlier> find_silent(std::span<const Listened> servers, std::uint64_t now_ms,
                                 const ServerCounts& counts, const SilenceSettings& settings) {
  const std::size_t room = ejection_room(counts, settings.max_ejected_percent);
  const Audience audience(servers, now_ms, settings);
  std::vector<Outlier> found;
  for (std::uint32_t i = 0; i < servers.size() && found.size() < room; ++i) {
    if (!audience.is_outlier(i)) continue;
    Outlier& outlier = found.emplace_back();
    outlier.server = i;
    outlier.reason = Outlier::Reason::silence;
    outlier.unanswered = servers[i].silence.unanswered();
    outlier.silent_ms = servers[i].silence.lasts_ms(now_ms);
  }
  return found;
}

}  // namespace weir::health
