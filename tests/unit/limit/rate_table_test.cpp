#include "limit/rate_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/prng.h"

namespace weir::limit {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kNow = 100 * kSecond;
// The bucket comes from the low bits, the tag from the highest sixteen.
constexpr std::uint64_t key(std::uint64_t bucket, std::uint64_t tag) { return tag << 48 | bucket; }

TEST(RateTable, LimitsEachKeyByItself) {
  RateTable table(1'024);
  const Gcra rate(1, kSecond, 2);
  for (const std::uint64_t hash : {key(1, 7), key(1, 8), key(2, 7)}) {
    EXPECT_EQ(table.charge(hash, kNow, rate), 0u);
    EXPECT_EQ(table.charge(hash, kNow, rate), 0u);
    EXPECT_EQ(table.charge(hash, kNow, rate), kSecond);
  }
  EXPECT_EQ(table.charge(key(1, 7), kNow + kSecond, rate), 0u);
  EXPECT_EQ(table.evicted(), 0u);
}

TEST(RateTable, ALookChargesNothing) {
  RateTable table(1'024);
  const Gcra rate(1, kSecond, 2);
  EXPECT_EQ(table.look(key(1, 7), kNow, rate), 0u);
  EXPECT_EQ(table.charge(key(1, 7), kNow, rate), 0u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(table.look(key(1, 7), kNow, rate), 0u);
  EXPECT_EQ(table.charge(key(1, 7), kNow, rate), 0u);
  EXPECT_EQ(table.look(key(1, 7), kNow, rate), kSecond);
  EXPECT_EQ(table.look(key(1, 8), kNow, rate), 0u);
  EXPECT_EQ(table.look(key(1, 7), kNow + kSecond, rate), 0u);
}

TEST(RateTable, HasTwoPlacesForEachKey) {
  EXPECT_EQ(RateTable(65'536).places(), 131'072u);
  EXPECT_EQ(RateTable(65'537).places(), 262'144u);
  EXPECT_EQ(RateTable(1).places(), 4u);
  EXPECT_EQ(RateTable(0).places(), 4u);
}

TEST(RateTable, AHashWithoutATagIsAKeyToo) {
  RateTable table(1'024);
  const Gcra rate(1, kSecond, 1);
  EXPECT_EQ(table.charge(0, kNow, rate), 0u);
  EXPECT_EQ(table.charge(0, kNow, rate), kSecond);
}

// The fifth key of a bucket takes the place that is paid for, and nobody loses anything.
TEST(RateTable, APaidPlaceIsTakenForFree) {
  RateTable table(1'024);
  const Gcra rate(1, kSecond, 1);
  for (std::uint64_t tag = 1; tag <= 4; ++tag) {
    EXPECT_EQ(table.charge(key(5, tag), kNow + tag, rate), 0u);
  }
  const std::uint64_t later = kNow + kSecond + 1;  // The first one's debt is paid.
  EXPECT_EQ(table.charge(key(5, 9), later, rate), 0u);
  EXPECT_EQ(table.charge(key(5, 9), later, rate), kSecond);
  EXPECT_EQ(table.evicted(), 0u);
  for (std::uint64_t tag = 2; tag <= 4; ++tag) {
    EXPECT_EQ(table.charge(key(5, tag), later, rate), tag - 1) << "it has kept its state";
  }
}

// Four in debt: the one that would be free first begins afresh, and its debt is not inherited.
TEST(RateTable, AFullBucketGivesUpTheOldestAndCountsIt) {
  RateTable table(1'024);
  const Gcra rate(1, kSecond, 2);
  for (std::uint64_t tag = 1; tag <= 4; ++tag) {
    EXPECT_EQ(table.charge(key(5, tag), kNow + tag, rate), 0u);
    EXPECT_EQ(table.charge(key(5, tag), kNow + tag, rate), 0u);
  }
  EXPECT_EQ(table.charge(key(5, 9), kNow + 5, rate), 0u);
  EXPECT_EQ(table.charge(key(5, 9), kNow + 5, rate), 0u);
  EXPECT_EQ(table.charge(key(5, 9), kNow + 5, rate), kSecond);
  EXPECT_EQ(table.evicted(), 1u);
  EXPECT_EQ(table.charge(key(5, 4), kNow + 5, rate), kSecond - 1) << "it has kept its state";
  EXPECT_EQ(table.charge(key(5, 1), kNow + 5, rate), 0u) << "it was the one";
  EXPECT_EQ(table.evicted(), 2u);
}

// Half as many keys as the table is made for, all in debt all the time: what the header says.
TEST(RateTable, KeysDoNotDisturbEachOtherAtHalfLoad) {
  constexpr std::size_t kKeysMax = 65'536;
  RateTable table(kKeysMax);
  const Gcra rate(1, 1'000 * kSecond, 2);
  Prng prng(1);
  std::vector<std::uint64_t> keys(kKeysMax / 2);
  for (std::uint64_t& hash : keys) hash = prng();
  std::size_t wrongly_refused = 0;
  for (int round = 0; round < 2; ++round) {
    if (round == 1) RecordProperty("evicted_on_entry", static_cast<int>(table.evicted()));
    for (const std::uint64_t hash : keys) {
      if (table.charge(hash, kNow, rate) != 0) ++wrongly_refused;
    }
  }
  std::size_t wrongly_allowed = 0;
  for (const std::uint64_t hash : keys) {
    if (table.charge(hash, kNow, rate) == 0) ++wrongly_allowed;
  }
  RecordProperty("evicted", static_cast<int>(table.evicted()));
  RecordProperty("wrongly_refused", static_cast<int>(wrongly_refused));
  RecordProperty("wrongly_allowed", static_cast<int>(wrongly_allowed));
  EXPECT_LE(wrongly_refused, 4u);                 // Equal tags: 0.5 expected.
  EXPECT_LE(wrongly_allowed, keys.size() / 100);  // Full buckets.
  EXPECT_LE(table.evicted(), 4 * keys.size() / 100);
}

// Keys that are not in debt leave those that are alone, however many they are.
TEST(RateTable, KeysWithoutDebtPushNobodyOut) {
  RateTable table(1'024);
  const Gcra slow(1, 3'600 * kSecond, 1);
  const Gcra quick(1'000'000'000, kSecond, 1);
  EXPECT_EQ(table.charge(key(3, 1), kNow, slow), 0u);
  for (std::uint64_t tag = 2; tag < 60'000; ++tag) {
    ASSERT_EQ(table.charge(key(3, tag), kNow + 10 * tag, quick), 0u);
  }
  EXPECT_NE(table.charge(key(3, 1), kNow + kSecond, slow), 0u);
  EXPECT_EQ(table.evicted(), 0u);
}

// --- Threads ------------------------------------------------------------------------------------

constexpr unsigned kThreads = 4;

template <typename Body>
void on_threads(Body body) {
  std::atomic<unsigned> ready{0};
  std::vector<std::jthread> threads;
  for (unsigned thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      ready.fetch_add(1);
      while (ready.load() < kThreads) std::this_thread::yield();
      body(thread);
    });
  }
}

// One key entered and used by all threads at once: exactly the burst passes, each time. The bucket
// is full of paid places, so that entering means taking one over.
TEST(RateTable, ExactlyTheBurstPassesOnAllThreads) {
  constexpr std::uint32_t kBurst = 40;
  constexpr std::uint64_t kRounds = 300;
  RateTable table(8);
  const Gcra rate(1, 1'000 * kSecond, kBurst);
  std::vector<std::atomic<std::uint32_t>> passed(kRounds);
  std::vector<std::atomic<unsigned>> arrived(kRounds);
  on_threads([&](unsigned) {
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      const std::uint64_t now = kNow + round * 1'000'000 * kSecond;
      arrived[round].fetch_add(1);
      while (arrived[round].load() < kThreads) std::this_thread::yield();
      for (std::uint32_t i = 0; i < kBurst; ++i) {
        if (table.charge(key(0, round + 1), now, rate) == 0) passed[round].fetch_add(1);
      }
    }
  });
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    ASSERT_EQ(passed[round].load(), kBurst) << "round " << round;
  }
}

// A clock that all threads push on: in all of that time burst + t / interval pass, and no fewer
// either, because somebody asks at every tick.
TEST(RateTable, TheRateHoldsOnAllThreads) {
  constexpr std::uint64_t kTicks = 40'000;
  constexpr std::uint64_t kInterval = 100;
  constexpr std::uint32_t kBurst = 5;
  RateTable table(1'024);
  const Gcra rate(1, kInterval, kBurst);
  std::atomic<std::uint64_t> tick{0};
  std::atomic<std::uint64_t> passed{0};
  on_threads([&](unsigned) {
    for (std::uint64_t now = 0; (now = tick.fetch_add(1)) < kTicks;) {
      if (table.charge(key(17, 5), kNow + now, rate) == 0) passed.fetch_add(1);
    }
  });
  EXPECT_LE(passed.load(), kBurst + (kTicks - 1) / kInterval);
  EXPECT_GE(passed.load(), kTicks / kInterval - kThreads);
}

}  // namespace
}  // namespace weir::limit
