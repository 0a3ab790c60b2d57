// Outliers: which servers of a backend answered so much worse than the others in one window that
// they are better left alone for a while. Pure; the control thread asks once per window and
// applies Passive::Event::ejected to what comes back.
//
// Error rate: error_percent of a server's answers or more were errors, unless that holds for all
// servers that are judged, for then the fault is behind them. Latency: the server's median is more
// than latency_factor times the median of the other servers' medians, and latency_floor_us above
// it, so that 200 us against 30 us ejects nobody. Of an even number of others the slower of the
// middle two counts: where half of them are slow, slow is normal. Quick errors look like a fast
// server, hence one with errors in half of its answers or more is no measure for others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "health/ejection_floor.h"

namespace weir::health {

struct OutlierSettings {
  std::uint32_t error_percent = 50;        // 0: never for that.
  std::uint32_t latency_factor = 5;        // 0: never for that.
  std::uint32_t min_requests = 20;         // Fewer in a window say nothing; 0 means 1.
  std::uint32_t max_ejected_percent = 50;  // See ejection_floor.h.
  std::uint32_t latency_floor_us = 5'000;
};

// What one server did in the window.
struct ServerWindow {
  bool judged = false;          // Takes requests now, hence may be ejected and is a measure.
  std::uint64_t answers = 0;    // Attempts that ended one way or the other.
  std::uint64_t errors = 0;     // Of those: 5xx, resets, timeouts.
  std::uint64_t latencies = 0;  // How many were measured, best of good answers only.
  std::uint64_t median_us = 0;  // Of those.
};

struct Outlier {
  enum class Reason : std::uint8_t {
    error_rate,
    latency,
    silence,  // health/silence.h
  };
  static constexpr std::size_t kReasons = 3;

  std::uint32_t server = 0;  // Index in the windows.
  Reason reason = Reason::error_rate;
  ServerWindow window;
  std::uint64_t others_median_us = 0;  // Of `latency`: what it was compared with.
  std::uint64_t unanswered = 0;        // Of `silence`: requests that wait,
  std::uint64_t silent_ms = 0;         // and for how long at least.
};

// Whom to eject, no more than the floor allows, the worst first: error rates, then latencies.
[[nodiscard]] std::vector<Outlier> find_outliers(std::span<const ServerWindow> windows,
                                                 const ServerCounts& counts,
                                                 const OutlierSettings& settings);

[[nodiscard]] std::string_view to_string(Outlier::Reason reason);

// For the log: "120 of 200 answers were errors", "median 812 ms, backend's 41 ms",
// "12 requests without an answer for 1250 ms".
[[nodiscard]] std::string describe(const Outlier& outlier);

}  // namespace weir::health
