// Histogram of latencies in microseconds, log-linear: exact below 32 us, then 16 equal buckets
// for every power of two. A value read back is the middle of its bucket, so it is off by at most
// 1/32 (3.2 %). The last bucket ends at 2^32 - 1 us (71 minutes) and takes everything above.
//
// Histogram is written by one thread, its worker, and may be read by any other at any time, each
// counter a moment old but never torn; record() is two plain additions. Counts are 64 bits wide
// and never reset: 32 would wrap within a day at 100,000 requests per second.
//
// HistogramCounts is the reader's plain copy: several workers' histograms are added into one and
// asked for quantiles.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/counter.h"

namespace weir {

namespace histogram {

inline constexpr unsigned kSubBucketBits = 4;
inline constexpr std::uint64_t kValueMax = 0xFFFF'FFFF;  // Microseconds.

// The bucket that counts `value_us`.
[[nodiscard]] constexpr std::size_t bucket_of(std::uint64_t value_us) {
  const std::uint64_t value = std::min(value_us, kValueMax);
  const unsigned width = static_cast<unsigned>(std::bit_width(value));
  const unsigned shift = std::max(width, kSubBucketBits + 1) - (kSubBucketBits + 1);
  return (std::size_t{shift} << kSubBucketBits) + static_cast<std::size_t>(value >> shift);
}

inline constexpr std::size_t kBuckets = bucket_of(kValueMax) + 1;

// The smallest value that falls into `bucket`; kValueMax + 1 for kBuckets.
[[nodiscard]] constexpr std::uint64_t lowest_of(std::size_t bucket) {
  constexpr std::size_t kSubBuckets = std::size_t{1} << kSubBucketBits;
  if (bucket < 2 * kSubBuckets) return bucket;
  const std::size_t shift = (bucket >> kSubBucketBits) - 1;
  return static_cast<std::uint64_t>(bucket - shift * kSubBuckets) << shift;
}

static_assert(kBuckets == 464 && lowest_of(kBuckets) == kValueMax + 1);

}  // namespace histogram

class Histogram {
 public:
  // Counts one latency in microseconds. Only the owning thread may call this.
  void record(std::uint64_t value_us) {
    buckets_[histogram::bucket_of(value_us)].add();
    sum_us_.add(value_us);
  }

 private:
  friend class HistogramCounts;

  std::array<Counter, histogram::kBuckets> buckets_;
  Counter sum_us_;
};

class HistogramCounts {
 public:
  // Adds what `source` holds now. Any thread.
  void add(const Histogram& source) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      const std::uint64_t counted = source.buckets_[i].read();
      buckets_[i] += counted;
      count_ += counted;
    }
    sum_us_ += source.sum_us_.read();
  }

  void add(const HistogramCounts& other) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_us_ += other.sum_us_;
  }

  // Leaves what was counted after `earlier`, an older state of the same source.
  void subtract(const HistogramCounts& earlier) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] -= earlier.buckets_[i];
    count_ -= earlier.count_;
    sum_us_ -= earlier.sum_us_;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t sum_us() const { return sum_us_; }

  // The latency that a share `q` (clamped to 0..1) of the values does not exceed, in
  // microseconds; 0 when nothing was recorded.
  [[nodiscard]] std::uint64_t quantile_us(double q) const {
    if (count_ == 0) return 0;
    const double share = q > 0.0 ? std::min(q, 1.0) : 0.0;  // This way round for NaN.
    const double exact_rank = std::ceil(share * static_cast<double>(count_));
    const std::uint64_t rank =
        std::clamp(static_cast<std::uint64_t>(exact_rank), std::uint64_t{1}, count_);
    std::size_t bucket = 0;
    for (std::uint64_t seen = buckets_[0]; seen < rank; seen += buckets_[bucket]) ++bucket;
    const std::uint64_t lowest = histogram::lowest_of(bucket);
    return lowest + (histogram::lowest_of(bucket + 1) - 1 - lowest) / 2;
  }

  // How many values are at most `limit_us`; the bucket `limit_us` falls into counts whole. For
  // the `le` buckets of a metrics page: never decreases from one limit to the next.
  [[nodiscard]] std::uint64_t count_at_most(std::uint64_t limit_us) const {
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i <= histogram::bucket_of(limit_us); ++i) seen += buckets_[i];
    return seen;
  }

 private:
  std::array<std::uint64_t, histogram::kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_us_ = 0;
};

}  // namespace weir
