#include "health/outliers.h"

#include <algorithm>
#include <optional>

namespace weir::health {

namespace {

using Wide = unsigned __int128;  // Percentages of any 64-bit count.

class Judge {
 public:
  Judge(std::span<const ServerWindow> windows, const OutlierSettings& settings)
      : windows_(windows), settings_(settings) {
    for (std::uint32_t server = 0; server < windows.size(); ++server) {
      if (is_measure(windows[server])) by_median_.push_back(server);
    }
    const auto median = [&](std::uint32_t server) { return windows[server].median_us; };
    std::ranges::sort(by_median_, {}, median);
  }

  // Empty when all of them err, those included that have answered too little to be ejected for it.
  [[nodiscard]] std::vector<Outlier> by_error_rate() const {
    std::vector<Outlier> found;
    bool all = true;
    for (std::uint32_t server = 0; server < windows_.size(); ++server) {
      const ServerWindow& window = windows_[server];
      all = all && (!window.judged || too_many_errors(window));
      if (errs(window)) found.push_back({server, Outlier::Reason::error_rate, window});
    }
    if (all) found.clear();
    std::ranges::stable_sort(found, [](const Outlier& one, const Outlier& other) {
      return Wide{one.window.errors} * other.window.answers >
             Wide{other.window.errors} * one.window.answers;
    });
    return found;
  }

  // The median of the others is the same for all that are slower than the middle, and nobody else
  // can be an outlier: of all, counted from the fastest, it is the last of the faster half.
  [[nodiscard]] std::vector<Outlier> by_latency() const {
    std::vector<Outlier> found;
    if (settings_.latency_factor == 0 || by_median_.size() < 2) return found;
    const std::size_t middle = (by_median_.size() - 1) / 2;
    const std::uint64_t reference = windows_[by_median_[middle]].median_us;
    for (std::size_t rank = by_median_.size() - 1; rank > middle; --rank) {
      const ServerWindow& window = windows_[by_median_[rank]];
      if (window.median_us <= Wide{reference} * settings_.latency_factor) break;
      if (window.median_us < Wide{reference} + settings_.latency_floor_us) break;
      found.push_back({by_median_[rank], Outlier::Reason::latency, window, reference});
    }
    return found;
  }

 private:
  [[nodiscard]] std::uint64_t enough() const { return std::max(settings_.min_requests, 1U); }

  [[nodiscard]] bool errs(const ServerWindow& window) const {
    return settings_.error_percent > 0 && window.judged && window.answers >= enough() &&
           too_many_errors(window);
  }

  [[nodiscard]] bool too_many_errors(const ServerWindow& window) const {
    return window.answers > 0 &&
           Wide{window.errors} * 100 >= Wide{window.answers} * settings_.error_percent;
  }

  [[nodiscard]] bool is_measure(const ServerWindow& window) const {
    if (!window.judged || window.latencies < enough() || errs(window)) return false;
    return Wide{window.errors} * 2 < window.answers;
  }

  std::span<const ServerWindow> windows_;
  const OutlierSettings& settings_;
  std::vector<std::uint32_t> by_median_;  // The measures, fastest first.
};

std::string duration(std::uint64_t us) {
  if (us >= 10'000'000) return std::to_string(us / 1'000'000) + " s";
  if (us >= 10'000) return std::to_string(us / 1'000) + " ms";
  return std::to_string(us) + " us";
}

}  // namespace

std::vector<Outlier> find_outliers(std::span<const ServerWindow> windows,
                                   const ServerCounts& counts, const OutlierSettings& settings) {
  const std::size_t room = ejection_room(counts, settings.max_ejected_percent);
  if (room == 0) return {};
  const Judge judge(windows, settings);
  std::vector<Outlier> found = judge.by_error_rate();
  const std::vector<Outlier> slow = judge.by_latency();
  found.insert(found.end(), slow.begin(), slow.end());
  found.resize(std::min(found.size(), room));
  return found;
}

std::string_view to_string(Outlier::Reason reason) {
  switch (reason) {
    case Outlier::Reason::error_rate: return "error_rate";
    case Outlier::Reason::latency: return "latency";
    case Outlier::Reason::silence: return "silence";
  }
  return "?";
}

std::string describe(const Outlier& outlier) {
  const ServerWindow& window = outlier.window;
  switch (outlier.reason) {
    case Outlier::Reason::error_rate:
      return std::to_string(window.errors) + " of " + std::to_string(window.answers) +
             " answers were errors";
    case Outlier::Reason::latency:
      return "median " + duration(window.median_us) + ", backend's " +
             duration(outlier.others_median_us);
    case Outlier::Reason::silence:
      return std::to_string(outlier.unanswered) + " requests without an answer for " +
             duration(outlier.silent_ms * 1'000);
  }
  return "?";
}

}  // namespace weir::health
