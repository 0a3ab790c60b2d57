#include "health/slow_start.h"

#include <gtest/gtest.h>

namespace weir::health {
namespace {

constexpr std::uint64_t kSince = 1'000'000;

TEST(SlowStart, RisesFromTheFloorToTheWhole) {
  EXPECT_EQ(slow_start_share(kSince, kSince, 10'000), kShareFloor);
  EXPECT_EQ(slow_start_share(kSince + 5'000, kSince, 10'000), (kShareFloor + kShareFull) / 2);
  EXPECT_LT(slow_start_share(kSince + 9'999, kSince, 10'000), kShareFull);
  EXPECT_EQ(slow_start_share(kSince + 10'000, kSince, 10'000), kShareFull);
  EXPECT_EQ(slow_start_share(~std::uint64_t{0}, kSince, 10'000), kShareFull);
}

TEST(SlowStart, NoneUnderWay) {
  EXPECT_EQ(slow_start_share(kSince, 0, 10'000), kShareFull);
  EXPECT_EQ(slow_start_share(kSince, kSince, 0), kShareFull);
}

TEST(SlowStart, AClockThatIsBehindGetsTheFloor) {
  EXPECT_EQ(slow_start_share(kSince - 3, kSince, 10'000), kShareFloor);
}

TEST(SlowStart, NeverFallsAndNeverLeavesItsBounds) {
  for (const std::uint64_t duration :
       {std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{60'000}, std::uint64_t{1} << 49}) {
    std::uint32_t last = kShareFloor;
    for (std::uint64_t i = 0; i <= 1'000; ++i) {
      const std::uint32_t share = slow_start_share(kSince + duration / 1'000 * i, kSince, duration);
      ASSERT_GE(share, last);
      ASSERT_LE(share, kShareFull);
      last = share;
    }
    EXPECT_EQ(slow_start_share(kSince + duration, kSince, duration), kShareFull);
  }
}

}  // namespace
}  // namespace weir::health
