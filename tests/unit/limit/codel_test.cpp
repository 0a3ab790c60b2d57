#include "limit/codel.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir::limit {
namespace {

constexpr CodelSettings kSettings{.target_us = 5'000, .interval_us = 100'000};
constexpr std::uint64_t kLong = 10'000;
constexpr std::uint64_t kShort = 4'999;

struct Step {
  std::uint64_t now_us;
  std::uint64_t waited_us;
  bool drop;
};

void follow(Codel& codel, const std::vector<Step>& schedule) {
  for (const Step& step : schedule) {
    EXPECT_EQ(codel.should_drop(step.waited_us, step.now_us, kSettings), step.drop)
        << "at " << step.now_us;
  }
}

// One interval of grace, then a drop every interval / sqrt(n).
TEST(Codel, FollowsAScheduleByHand) {
  Codel codel;
  follow(codel, {{1'000, kLong, false},  // From here the waits are too long.
                 {51'000, kLong, false},
                 {100'999, kLong, false},
                 {101'000, kLong, true},  // An interval of it. The next: in 100,000.
                 {101'000, kLong, false},
                 {200'999, kLong, false},
                 {201'000, kLong, true},  // The next: in 100,000 / sqrt(2) = 70,710.
                 {271'709, kLong, false},
                 {271'710, kLong, true},  // In 100,000 / sqrt(3) = 57,735.
                 {329'444, kLong, false},
                 {329'445, kLong, true},  // In 100,000 / 2.
                 {379'444, kLong, false},
                 {379'445, kLong, true}});
}

TEST(Codel, OneShortWaitEndsIt) {
  Codel codel;
  follow(codel, {{1'000, kLong, false},
                 {101'000, kLong, true},
                 {150'000, kShort, false},
                 {201'000, kLong, false},  // A new interval begins.
                 {300'999, kLong, false},
                 {301'000, kLong, true}});
}

TEST(Codel, ABurstThatDrainsLosesNobody) {
  Codel codel;
  for (std::uint64_t now = 1'000; now < 5'000'000; now += 50'000) {
    follow(codel, {{now, kLong, false}, {now + 40'000, kShort, false}});
  }
}

TEST(Codel, AnEmptyQueueEndsIt) {
  Codel codel;
  follow(codel, {{1'000, kLong, false}, {101'000, kLong, true}});
  codel.emptied();
  follow(codel, {{202'000, kLong, false}, {301'999, kLong, false}, {302'000, kLong, true}});
}

// Overload that comes back soon is met with the rate that had helped, not with the first step.
TEST(Codel, RemembersTheRateForAWhile) {
  Codel codel;
  follow(codel, {{1'000, kLong, false},
                 {101'000, kLong, true},
                 {201'000, kLong, true},
                 {271'710, kLong, true},
                 {329'445, kLong, true},  // Four, three of them grown.
                 {340'000, kShort, false},
                 {350'000, kLong, false},
                 {450'000, kLong, true},  // The next: in 100,000 / sqrt(3).
                 {507'734, kLong, false},
                 {507'735, kLong, true}});
  Codel forgetful;
  follow(forgetful, {{1'000, kLong, false},
                     {101'000, kLong, true},
                     {201'000, kLong, true},
                     {271'710, kLong, true},
                     {329'445, kLong, true},  // The next would be at 379,445.
                     {340'000, kShort, false},
                     {1'900'000, kLong, false},
                     {2'000'000, kLong, true},  // More than 16 intervals later.
                     {2'099'999, kLong, false},
                     {2'100'000, kLong, true}});
}

TEST(Codel, NoTargetNeverDrops) {
  Codel codel;
  for (std::uint64_t now = 0; now < 10'000'000; now += 10'000) {
    EXPECT_FALSE(codel.should_drop(now, now, {.target_us = 0, .interval_us = 1}));
  }
}

// Under overload that lasts, each second sees more drops than the one before.
TEST(Codel, TheRateGrows) {
  Codel codel;
  int before = 0;
  for (std::uint64_t second = 1; second < 6; ++second) {
    int drops = 0;
    for (std::uint64_t us = 0; us < 1'000'000; us += 100) {
      drops += codel.should_drop(kLong, second * 1'000'000 + us, kSettings) ? 1 : 0;
    }
    EXPECT_GT(drops, before);
    before = drops;
  }
}

}  // namespace
}  // namespace weir::limit
