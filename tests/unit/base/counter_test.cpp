#include "base/counter.h"

#include <gtest/gtest.h>

#include <thread>

namespace weir {
namespace {

TEST(Counter, AddsAndSubtracts) {
  Counter counter;
  EXPECT_EQ(counter.read(), 0u);
  counter.add();
  counter.add(41);
  EXPECT_EQ(counter.read(), 42u);
  counter.subtract(2);
  counter.subtract();
  EXPECT_EQ(counter.read(), 39u);
}

// One writer, one reader: the reader never sees the number go back, nor a torn one. The step is
// chosen so that both halves of the word change with every addition.
TEST(CounterMultiThread, AReaderSeesANumberThatOnlyGrows) {
  constexpr std::uint64_t kStep = 0x1'0000'0001;
  constexpr std::uint64_t kSteps = 200'000;
  Counter counter;
  std::jthread writer([&] {
    for (std::uint64_t i = 0; i < kSteps; ++i) counter.add(kStep);
  });
  std::uint64_t last = 0;
  while (last != kStep * kSteps) {
    const std::uint64_t now = counter.read();
    ASSERT_GE(now, last);
    ASSERT_EQ(now % kStep, 0u);
    last = now;
  }
}

}  // namespace
}  // namespace weir
