// Chance: the kernel's own random numbers, and whether a fault happens now.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/prng.h"
#include "sim/kernel/faults.h"

namespace weir::sim {

class Chance {
 public:
  Chance(std::uint64_t seed, const Faults& rates) : faults(rates), prng_(seed) {}

  Faults faults;

  // Draws whether this fault happens here, and counts it if so. A fault that is off draws nothing.
  [[nodiscard]] bool happens(Fault fault) {
    const double rate = faults.rate(fault);
    if (rate <= 0 || !one_in(rate)) return false;
    ++injected_[Faults::index(fault)];
    return true;
  }
  // The same with a `position` from 0 to 1 that is drawn already.
  [[nodiscard]] bool happens(Fault fault, double position) {
    if (position >= faults.rate(fault)) return false;
    ++injected_[Faults::index(fault)];
    return true;
  }
  [[nodiscard]] std::uint64_t injected(Fault fault) const {
    return injected_[Faults::index(fault)];
  }

  // Evenly spread, both ends included.
  [[nodiscard]] std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return low + prng_.bounded(high - low + 1);
  }
  // Spread evenly over orders of magnitude; 1 <= low <= high.
  [[nodiscard]] std::uint64_t spread(std::uint64_t low, std::uint64_t high) {
    const std::uint64_t bits = between(static_cast<std::uint64_t>(std::bit_width(low)),
                                       static_cast<std::uint64_t>(std::bit_width(high)));
    const std::uint64_t top = (std::uint64_t{1} << bits) - 1;
    return between(std::max(low, (top + 1) / 2), std::min(high, top));
  }
  [[nodiscard]] std::uint64_t next() { return prng_(); }

 private:
  [[nodiscard]] bool one_in(double rate) {
    return static_cast<double>(prng_() >> 11) * 0x1p-53 < rate;
  }

  Prng prng_;
  std::array<std::uint64_t, kFaultCount> injected_{};
};

}  // namespace weir::sim
