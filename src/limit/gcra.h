// Gcra: so many in a time, and so many at once (generic cell rate algorithm).
//
// The state of a key is one number: the theoretical arrival time (tat) of its next request, which
// is when all it has used would be paid for at the steady rate. 0 is a key that used nothing. A
// request may come up to burst - 1 intervals before that time. Nothing ticks: an unused key needs
// no refill, and is as good as new once its tat has passed.
//
// Never more than burst + t / interval requests are allowed in any time t. Rounding is in favour of
// the limit. Pure: time is an argument, nanoseconds of a steady clock, below 2^62.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weir::limit {

class Gcra {
 public:
  // `count` in every `per_ns`, and `burst` at once. All at least 1.
  constexpr Gcra(std::uint32_t count, std::uint64_t per_ns, std::uint32_t burst)
      : interval_ns_(std::clamp<std::uint64_t>(rounded_up(per_ns, count), 1, kIntervalMax)),
        tolerance_ns_((std::max<std::uint32_t>(burst, 1) - 1) <= kToleranceMax / interval_ns_
                          ? (std::max<std::uint32_t>(burst, 1) - 1) * interval_ns_
                          : kToleranceMax) {}

  struct Verdict {
    std::uint64_t tat_ns = 0;          // The key's new state; unchanged when refused.
    std::uint64_t retry_after_ns = 0;  // 0: allowed. Else when the next one would be.
  };

  [[nodiscard]] constexpr Verdict decide(std::uint64_t tat_ns, std::uint64_t now_ns) const {
    const std::uint64_t latest_ns = now_ns + tolerance_ns_;
    if (tat_ns > latest_ns) return {tat_ns, tat_ns - latest_ns};
    return {std::max(tat_ns, now_ns) + interval_ns_, 0};
  }

  [[nodiscard]] constexpr std::uint64_t interval_ns() const { return interval_ns_; }

 private:
  // So that now + tolerance + interval stays below 2^63: 36 and 73 years.
  static constexpr std::uint64_t kIntervalMax = std::uint64_t{1} << 60;
  static constexpr std::uint64_t kToleranceMax = std::uint64_t{1} << 61;

  static constexpr std::uint64_t rounded_up(std::uint64_t per_ns, std::uint32_t count) {
    const std::uint64_t divisor = std::max<std::uint32_t>(count, 1);
    return per_ns / divisor + (per_ns % divisor != 0 ? 1 : 0);
  }

  std::uint64_t interval_ns_;   // What one request costs.
  std::uint64_t tolerance_ns_;  // How far the tat may lie ahead of now.
};

}  // namespace weir::limit
