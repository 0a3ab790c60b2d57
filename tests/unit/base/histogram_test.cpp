#include "base/histogram.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "base/prng.h"

namespace weir {
namespace {

using histogram::bucket_of;
using histogram::kBuckets;
using histogram::kValueMax;
using histogram::lowest_of;

HistogramCounts read(const Histogram& source) {
  HistogramCounts counts;
  counts.add(source);
  return counts;
}

TEST(Histogram, BucketsTileTheRange) {
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    const std::uint64_t lowest = lowest_of(bucket);
    const std::uint64_t highest = lowest_of(bucket + 1) - 1;
    ASSERT_LE(lowest, highest);
    ASSERT_EQ(bucket_of(lowest), bucket);
    ASSERT_EQ(bucket_of(highest), bucket);
  }
  EXPECT_EQ(lowest_of(0), 0U);
  EXPECT_EQ(lowest_of(kBuckets), kValueMax + 1);
}

TEST(Histogram, FitsInFourKibibytes) { EXPECT_LE(sizeof(Histogram), 4096U); }

TEST(Histogram, EmptyHasNothingToSay) {
  const HistogramCounts counts;
  EXPECT_EQ(counts.count(), 0U);
  EXPECT_EQ(counts.sum_us(), 0U);
  EXPECT_EQ(counts.quantile_us(0.5), 0U);
  EXPECT_EQ(counts.count_at_most(kValueMax), 0U);
}

TEST(Histogram, OneValueReadsBackWithinOneThirtySecond) {
  Prng prng(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t value = prng() >> (32 + prng.bounded(32));
    Histogram histogram;
    histogram.record(value);
    const auto back = static_cast<double>(read(histogram).quantile_us(0.5));
    const auto exact = static_cast<double>(value);
    ASSERT_LE(std::abs(back - exact), exact / 32) << value;
    if (value < 32) {
      ASSERT_EQ(back, exact);
    }
  }
}

TEST(Histogram, ValuesAboveTheRangeCountInTheLastBucket) {
  Histogram histogram;
  histogram.record(kValueMax);
  histogram.record(kValueMax + 1);
  histogram.record(std::numeric_limits<std::uint64_t>::max() / 4);
  const HistogramCounts counts = read(histogram);
  EXPECT_EQ(counts.count(), 3U);
  EXPECT_GE(counts.quantile_us(0), kValueMax - kValueMax / 32);
  EXPECT_LE(counts.quantile_us(1), kValueMax);
  EXPECT_EQ(counts.count_at_most(kValueMax / 2), 0U);
}

TEST(Histogram, QuantilesAreRanks) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 20; ++value) histogram.record(value);
  const HistogramCounts counts = read(histogram);
  EXPECT_EQ(counts.count(), 20U);
  EXPECT_EQ(counts.sum_us(), 210U);
  EXPECT_EQ(counts.quantile_us(0), 1U);
  EXPECT_EQ(counts.quantile_us(0.05), 1U);
  EXPECT_EQ(counts.quantile_us(0.051), 2U);
  EXPECT_EQ(counts.quantile_us(0.5), 10U);
  EXPECT_EQ(counts.quantile_us(0.95), 19U);
  EXPECT_EQ(counts.quantile_us(1), 20U);
}

TEST(Histogram, QuantileOutsideItsRangeIsClamped) {
  Histogram histogram;
  histogram.record(3);
  histogram.record(9);
  const HistogramCounts counts = read(histogram);
  EXPECT_EQ(counts.quantile_us(-1), 3U);
  EXPECT_EQ(counts.quantile_us(7), 9U);
  EXPECT_EQ(counts.quantile_us(std::nan("")), 3U);
}

TEST(Histogram, QuantilesOfManyValuesAreClose) {
  Prng prng(2);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 50'000; ++i) {
    values.push_back(100 + prng.bounded(1'000'000) * prng.bounded(100) / 100);
    histogram.record(values.back());
  }
  std::sort(values.begin(), values.end());
  const HistogramCounts counts = read(histogram);
  for (const double q : {0.01, 0.25, 0.5, 0.9, 0.99, 0.999}) {
    const std::size_t rank = static_cast<std::size_t>(std::ceil(q * 50'000)) - 1;
    const auto exact = static_cast<double>(values[rank]);
    EXPECT_NEAR(static_cast<double>(counts.quantile_us(q)), exact, exact / 32) << q;
  }
}

TEST(Histogram, AddingIsLikeRecordingEverythingInOne) {
  Prng prng(3);
  Histogram all;
  Histogram parts[3];
  for (int i = 0; i < 3'000; ++i) {
    const std::uint64_t value = prng.bounded(1'000'000);
    all.record(value);
    parts[i % 3].record(value);
  }
  HistogramCounts sum = read(parts[0]);
  sum.add(parts[1]);
  sum.add(read(parts[2]));
  const HistogramCounts whole = read(all);
  EXPECT_EQ(sum.count(), whole.count());
  EXPECT_EQ(sum.sum_us(), whole.sum_us());
  for (std::uint64_t limit = 1; limit < 2'000'000; limit *= 2) {
    EXPECT_EQ(sum.count_at_most(limit), whole.count_at_most(limit));
  }
}

TEST(Histogram, CountAtMostIsCumulative) {
  Histogram histogram;
  for (const std::uint64_t value : {5U, 100U, 100U, 2'000U}) histogram.record(value);
  const HistogramCounts counts = read(histogram);
  EXPECT_EQ(counts.count_at_most(4), 0U);
  EXPECT_EQ(counts.count_at_most(5), 1U);
  EXPECT_EQ(counts.count_at_most(90), 1U);
  EXPECT_EQ(counts.count_at_most(100), 3U);
  EXPECT_EQ(counts.count_at_most(2'000), 4U);
  EXPECT_EQ(counts.count_at_most(std::numeric_limits<std::uint64_t>::max()), 4U);
}

// A window: what was counted between two looks at the same source.
TEST(Histogram, SubtractingLeavesWhatCameLater) {
  Histogram histogram;
  for (const std::uint64_t value : {5U, 5U, 100U}) histogram.record(value);
  const HistogramCounts before = read(histogram);
  for (const std::uint64_t value : {5U, 7'000U, 7'000U}) histogram.record(value);
  HistogramCounts window = read(histogram);
  window.subtract(before);
  EXPECT_EQ(window.count(), 3U);
  EXPECT_EQ(window.sum_us(), 14'005U);
  EXPECT_EQ(window.quantile_us(0), 5U);
  EXPECT_EQ(window.count_at_most(100), 1U);
  EXPECT_NEAR(static_cast<double>(window.quantile_us(0.5)), 7'000.0, 7'000.0 / 32);
}

TEST(Histogram, SubtractingTheSameLeavesNothing) {
  Histogram histogram;
  for (std::uint64_t value = 1; value < 1'000'000; value *= 3) histogram.record(value);
  HistogramCounts window = read(histogram);
  window.subtract(read(histogram));
  EXPECT_EQ(window.count(), 0U);
  EXPECT_EQ(window.sum_us(), 0U);
  EXPECT_EQ(window.quantile_us(0.5), 0U);
  EXPECT_EQ(window.count_at_most(kValueMax), 0U);
}

TEST(Histogram, SubtractingNothingChangesNothing) {
  Histogram histogram;
  histogram.record(40);
  HistogramCounts window = read(histogram);
  window.subtract({});
  EXPECT_EQ(window.count(), 1U);
  EXPECT_EQ(window.sum_us(), 40U);
  EXPECT_EQ(window.quantile_us(1), read(histogram).quantile_us(1));
}

TEST(Histogram, AnotherThreadReadsWhileTheOwnerWrites) {
  Histogram histogram;
  std::atomic<bool> done{false};
  std::thread owner([&] {
    for (std::uint64_t i = 0; i < 100'000; ++i) histogram.record(i % 1'000);
    done = true;
  });
  std::uint64_t last = 0;
  while (!done) {
    const std::uint64_t now = read(histogram).count();
    EXPECT_GE(now, last);
    last = now;
  }
  owner.join();
  EXPECT_EQ(read(histogram).count(), 100'000U);
}

}  // namespace
}  // namespace weir
