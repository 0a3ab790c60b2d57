#include "balance/peak_ewma.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/prng.h"

namespace weir::balance {
namespace {

TEST(PeakEwma, KnowsNothingAtFirst) {
  EXPECT_EQ(PeakEwma::unpack(0).read(5'000), 0U);
  EXPECT_EQ(PeakEwma{}.pack(), 0U);
}

TEST(PeakEwma, RisesAtOnceAndFallsSlowly) {
  PeakEwma estimate;
  estimate.observe(1'000, false, 100'000);
  EXPECT_EQ(estimate.read(100'000), 1'000U);
  estimate.observe(50'000, false, 100'001);
  EXPECT_EQ(estimate.read(100'001), 50'000U);
  for (std::uint64_t now = 100'002; now <= 110'001; ++now) estimate.observe(1'000, false, now);
  EXPECT_NEAR(double(estimate.read(110'001)), 1'000 + 49'000 / std::exp(1.0), 300);
  for (std::uint64_t now = 110'002; now <= 220'000; ++now) estimate.observe(1'000, false, now);
  EXPECT_NEAR(double(estimate.read(220'000)), 1'000, 2);
}

// At any rate of samples: many within one millisecond must not stop the fall.
TEST(PeakEwma, FallsAtAnyRate) {
  for (const int per_ms : {1, 7, 50}) {
    PeakEwma estimate;
    estimate.observe(1'000'000, false, 1'000);
    for (std::uint64_t now = 1'001; now <= 11'000; ++now) {
      for (int i = 0; i < per_ms; ++i) estimate.observe(100, false, now);
    }
    EXPECT_NEAR(double(estimate.read(11'000)), 1'000'000 / std::exp(1.0), 2'000);
  }
}

TEST(PeakEwma, UnobservedItIsForgottenInSeconds) {
  PeakEwma estimate;
  estimate.observe(1'000'000, false, 0);
  EXPECT_NEAR(double(estimate.read(3'000)), 1e6 * std::exp(-0.3), 2);
  EXPECT_NEAR(double(estimate.read(5'000)), 1e6 * std::exp(-2.3), 2);
  EXPECT_EQ(estimate.read(40'000), 1U);
  EXPECT_EQ(estimate.read(4'000'000), 1U);
}

TEST(PeakEwma, OneGoodAnswerAfterALongTimeIsBelieved) {
  PeakEwma estimate;
  estimate.observe(10, true, 0);
  estimate.observe(10'000, false, 13'000);
  EXPECT_LT(estimate.read(13'000), 11'000U);
}

TEST(PeakEwma, AFastFailureIsSlow) {
  PeakEwma estimate;
  estimate.observe(200, true, 1'000);
  EXPECT_EQ(estimate.read(1'000), 10'000'000U);
  for (int i = 0; i < 100; ++i) estimate.observe(200, true, 1'000);
  EXPECT_EQ(estimate.read(1'000), 10'000'000U);
  estimate.observe(30'000'000, true, 1'000);
  estimate.observe(200, true, 2'000);
  EXPECT_EQ(estimate.read(2'000), 30'000'000U);
}

TEST(PeakEwma, ThePackedWordIsTheWholeState) {
  Prng prng(3);
  PeakEwma whole;
  std::atomic<std::uint64_t> word{0};
  std::uint64_t now = 4'294'900'000;  // The kept 32 bits wrap on the way.
  for (int i = 0; i < 10'000; ++i) {
    now += prng.bounded(40);
    const std::uint64_t latency = prng.bounded(1'000'000);
    const bool failed = prng.bounded(50) == 0;
    whole.observe(latency, failed, now);
    observe(word, latency, failed, now);
    ASSERT_EQ(word.load(), whole.pack());
    ASSERT_EQ(PeakEwma::unpack(word.load()).read(now + 7), whole.read(now + 7));
  }
}

TEST(PeakEwma, AnOlderClockIsTakenForNow) {
  PeakEwma estimate;
  estimate.observe(5'000, false, 10'000);
  EXPECT_EQ(estimate.read(9'990), 5'000U);
  estimate.observe(6'000, false, 9'990);
  EXPECT_EQ(estimate.read(10'000), 6'000U);
}

TEST(PeakEwma, ExtremesStayInRange) {
  PeakEwma estimate;
  estimate.observe(0, false, 0);
  EXPECT_EQ(estimate.read(0), 1U);
  estimate.observe(~std::uint64_t{0}, true, ~std::uint64_t{0});
  EXPECT_EQ(estimate.read(~std::uint64_t{0}), 3'600'000'000U);
}

TEST(Unfinished, IsTheMeanAge) {
  Unfinished unfinished;
  EXPECT_EQ(unfinished.mean_age_us(1'000), 0U);
  unfinished.add(1'000);
  unfinished.add(3'000);
  EXPECT_EQ(unfinished.mean_age_us(4'000), 2'000U);
  unfinished.remove(3'000);
  EXPECT_EQ(unfinished.mean_age_us(4'000), 3'000U);
  EXPECT_EQ(unfinished.mean_age_us(900), 0U);
  unfinished.remove(1'000);
  EXPECT_EQ(unfinished.mean_age_us(4'000), 0U);
}

TEST(Unfinished, SumsThatWrapStayExact) {
  constexpr std::uint64_t kLate = std::uint64_t{1} << 60;
  Unfinished unfinished;
  for (std::uint64_t i = 0; i < 1'000; ++i) unfinished.add(kLate + i);
  EXPECT_EQ(unfinished.mean_age_us(kLate + 999), 499U);
}

}  // namespace
}  // namespace weir::balance
