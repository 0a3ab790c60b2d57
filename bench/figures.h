// What the clients of this folder make of their measurements.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace weir::bench {

// Latencies in nanoseconds, log-linear: 128 equal buckets for every power of two, so that a value
// read back is off by at most 1/256, whatever its size, and memory does not grow with the run.
class Latencies {
 public:
  void record(std::uint64_t value_ns) {
    ++(*buckets_)[bucket_of(value_ns)];
    ++count_;
    max_ns_ = std::max(max_ns_, value_ns);
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }

  // What a share of the values does not exceed; 0 without values, the exact maximum for 1.
  [[nodiscard]] double quantile_ms(double share) const {
    if (count_ == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    if (rank >= count_) return static_cast<double>(max_ns_) / 1e6;
    std::size_t bucket = 0;
    for (std::uint64_t seen = (*buckets_)[0]; seen < rank; seen += (*buckets_)[bucket]) ++bucket;
    return std::min(middle_of(bucket), static_cast<double>(max_ns_)) / 1e6;
  }

 private:
  static constexpr unsigned kSubBits = 7;
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) << kSubBits;

  // Values below 2^(kSubBits + 1) have buckets of their own.
  static unsigned shift_of(std::uint64_t value) {
    const auto width = static_cast<unsigned>(std::bit_width(value));
    return std::max(width, kSubBits + 1) - (kSubBits + 1);
  }
  static std::size_t bucket_of(std::uint64_t value) {
    const unsigned shift = shift_of(value);
    return (std::size_t{shift} << kSubBits) + static_cast<std::size_t>(value >> shift);
  }
  static double middle_of(std::size_t bucket) {
    const std::size_t shift = std::max<std::size_t>(bucket >> kSubBits, 1) - 1;
    const std::uint64_t lowest = std::uint64_t{bucket - (shift << kSubBits)} << shift;
    return static_cast<double>(lowest) + static_cast<double>((std::uint64_t{1} << shift) - 1) / 2;
  }

  using Buckets = std::array<std::uint64_t, kBuckets>;
  std::unique_ptr<Buckets> buckets_ = std::make_unique<Buckets>();
  std::uint64_t count_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace weir::bench
