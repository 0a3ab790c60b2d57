#include "health/ejection_floor.h"

#include <gtest/gtest.h>

namespace weir::health {
namespace {

TEST(EjectionFloor, AShareRoundedDown) {
  EXPECT_EQ(ejection_room({.servers = 10, .ejected = 0, .usable = 10}, 50), 5U);
  EXPECT_EQ(ejection_room({.servers = 10, .ejected = 3, .usable = 7}, 50), 2U);
  EXPECT_EQ(ejection_room({.servers = 10, .ejected = 7, .usable = 3}, 50), 0U);
  EXPECT_EQ(ejection_room({.servers = 3, .ejected = 0, .usable = 3}, 50), 1U);
  EXPECT_EQ(ejection_room({.servers = 3, .ejected = 0, .usable = 3}, 33), 0U);
  EXPECT_EQ(ejection_room({.servers = 3, .ejected = 0, .usable = 3}, 0), 0U);
}

TEST(EjectionFloor, NeverTheLastUsableServer) {
  EXPECT_EQ(ejection_room({.servers = 1, .ejected = 0, .usable = 1}, 100), 0U);
  EXPECT_EQ(ejection_room({.servers = 4, .ejected = 0, .usable = 4}, 100), 3U);
  EXPECT_EQ(ejection_room({.servers = 4, .ejected = 0, .usable = 1}, 100), 0U) << "3 are down";
  EXPECT_EQ(ejection_room({.servers = 4, .ejected = 0, .usable = 0}, 100), 0U);
  EXPECT_EQ(ejection_room({}, 100), 0U);
}

TEST(EjectionFloor, Limits) {
  constexpr std::uint32_t kMost = 0xFFFF'FFFF;
  EXPECT_EQ(ejection_room({.servers = kMost, .ejected = 0, .usable = kMost}, 100), kMost - 1);
  EXPECT_EQ(ejection_room({.servers = kMost, .ejected = kMost, .usable = kMost}, kMost), 0U);
  EXPECT_EQ(ejection_room({.servers = 4, .ejected = 0, .usable = 4}, kMost), 3U);
}

}  // namespace
}  // namespace weir::health
