#include "balance/peak_ewma.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace weir::balance {

namespace {

constexpr double kFallMs = 10'000;
constexpr double kForgetMs = 1'000;
constexpr std::uint32_t kForgetAfterMs = 3'000;
constexpr std::uint64_t kLatencyUsMax = 3'600'000'000;
constexpr double kPenaltyUs = 10e6;
// The workers' clocks differ by a turn: an observation from the near future is one of now.
constexpr std::uint32_t kSkewMsMax = 60'000;

}  // namespace

PeakEwma PeakEwma::unpack(std::uint64_t word) {
  PeakEwma estimate;
  estimate.average_us_ = std::bit_cast<float>(static_cast<std::uint32_t>(word >> 32));
  estimate.at_ms_ = static_cast<std::uint32_t>(word);
  return estimate;
}

std::uint64_t PeakEwma::pack() const {
  return std::uint64_t{std::bit_cast<std::uint32_t>(average_us_)} << 32 | at_ms_;
}

std::uint32_t PeakEwma::elapsed_ms(std::uint64_t now_ms) const {
  const std::uint32_t elapsed = static_cast<std::uint32_t>(now_ms) - at_ms_;
  return elapsed > 0U - kSkewMsMax ? 0 : elapsed;
}

double PeakEwma::kept(std::uint64_t now_ms) const {
  const std::uint32_t elapsed = elapsed_ms(now_ms);
  const std::uint32_t forgetting = elapsed - std::min(elapsed, kForgetAfterMs);
  return std::exp(-((elapsed - forgetting) / kFallMs + forgetting / kForgetMs));
}

void PeakEwma::observe(std::uint64_t latency_us, bool failed, std::uint64_t now_ms) {
  const double old = average_us_;
  double sample = static_cast<double>(std::clamp<std::uint64_t>(latency_us, 1, kLatencyUsMax));
  if (failed) sample = std::max({sample, kPenaltyUs, old});
  const double share = kept(now_ms);
  average_us_ = static_cast<float>(std::max(sample, old * share + sample * (1 - share)));
  at_ms_ += elapsed_ms(now_ms);
}

std::uint64_t PeakEwma::read(std::uint64_t now_ms) const {
  if (average_us_ == 0) return 0;
  return static_cast<std::uint64_t>(std::max(1.0, average_us_ * kept(now_ms)));
}

void observe(std::atomic<std::uint64_t>& word, std::uint64_t latency_us, bool failed,
             std::uint64_t now_ms) {
  // Relaxed: the word guards no other memory.
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  for (;;) {
    PeakEwma estimate = PeakEwma::unpack(seen);
    estimate.observe(latency_us, failed, now_ms);
    const std::uint64_t next = estimate.pack();
    if (next == seen || word.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return;
  }
}

}  // namespace weir::balance
