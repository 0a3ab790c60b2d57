#include "limit/gcra.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/prng.h"

namespace weir::limit {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// One key.
class Key {
 public:
  explicit Key(const Gcra& rate) : rate_(rate) {}
  // 0: allowed.
  std::uint64_t ask(std::uint64_t now_ns) {
    const Gcra::Verdict verdict = rate_.decide(tat_ns_, now_ns);
    tat_ns_ = verdict.tat_ns;
    return verdict.retry_after_ns;
  }

 private:
  Gcra rate_;
  std::uint64_t tat_ns_ = 0;
};

TEST(Gcra, AllowsTheBurstAtOnceThenOnePerInterval) {
  Key key(Gcra(10, kSecond, 3));
  const std::uint64_t start = 5 * kSecond;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(key.ask(start), 0u) << i;
  EXPECT_EQ(key.ask(start), kSecond / 10);
  EXPECT_EQ(key.ask(start + kSecond / 10 - 1), 1u);
  EXPECT_EQ(key.ask(start + kSecond / 10), 0u);
  EXPECT_EQ(key.ask(start + kSecond / 10), kSecond / 10);
}

TEST(Gcra, ARefusedRequestCostsNothing) {
  Key key(Gcra(1, kSecond, 1));
  EXPECT_EQ(key.ask(kSecond), 0u);
  for (std::uint64_t i = 0; i < 1'000; ++i) EXPECT_EQ(key.ask(kSecond + i), kSecond - i);
  EXPECT_EQ(key.ask(2 * kSecond), 0u);
}

TEST(Gcra, APauseGivesBackTheBurstAndNoMore) {
  Key key(Gcra(10, kSecond, 3));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(key.ask(kSecond), 0u);
  const std::uint64_t later = 1'000 * kSecond;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(key.ask(later), 0u);
  EXPECT_NE(key.ask(later), 0u);
}

TEST(Gcra, BurstOfOneSpacesRequestsEvenly) {
  Key key(Gcra(4, kSecond, 1));
  EXPECT_EQ(key.ask(kSecond), 0u);
  EXPECT_NE(key.ask(kSecond + kSecond / 4 - 1), 0u);
  EXPECT_EQ(key.ask(kSecond + kSecond / 4), 0u);
}

TEST(Gcra, RoundsTheIntervalUp) {
  EXPECT_EQ(Gcra(3, kSecond, 1).interval_ns(), 333'333'334u);
  EXPECT_EQ(Gcra(7, 3, 1).interval_ns(), 1u);
}

TEST(Gcra, ExtremesDoNotOverflow) {
  // A burst that is longer than time, of intervals that are as long as time.
  Key huge(Gcra(1, UINT64_MAX, UINT32_MAX));
  const std::uint64_t late = (std::uint64_t{1} << 62) - 1;
  EXPECT_EQ(huge.ask(late), 0u);
  EXPECT_EQ(huge.ask(late), 0u);
  EXPECT_EQ(huge.ask(late), 0u);
  const std::uint64_t wait = huge.ask(late);
  EXPECT_GT(wait, 0u);
  EXPECT_LT(wait, std::uint64_t{1} << 61);
  Key zeros(Gcra(0, 0, 0));  // As if they were ones.
  EXPECT_EQ(zeros.ask(kSecond), 0u);
  EXPECT_EQ(zeros.ask(kSecond), 1u);
}

// A worker's clock may be a little behind that of the one who charged the key before.
TEST(Gcra, AnOlderTimeIsOnlyStricter) {
  Key key(Gcra(10, kSecond, 2));
  EXPECT_EQ(key.ask(kSecond), 0u);
  EXPECT_EQ(key.ask(kSecond), 0u);
  EXPECT_EQ(key.ask(kSecond - 50), kSecond / 10 + 50);
}

// Over random arrivals: no window has more than burst + t / interval, and who waits as long as it
// was told is allowed.
TEST(Gcra, NoWindowHasMoreThanItsShare) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Prng prng(seed);
    const auto count = static_cast<std::uint32_t>(1 + prng() % 50);
    const auto burst = static_cast<std::uint32_t>(1 + prng() % 20);
    const Gcra rate(count, kSecond, burst);
    Key key(rate);
    std::deque<std::uint64_t> allowed_at;
    std::uint64_t now = 1 + prng() % kSecond;
    for (int i = 0; i < 400; ++i) {
      const std::uint64_t wait = key.ask(now);
      if (wait == 0) {
        allowed_at.push_back(now);
      } else if (prng() % 4 == 0) {
        now += wait;
        ASSERT_EQ(key.ask(now), 0u);
        allowed_at.push_back(now);
      }
      now += prng() % (2 * kSecond / count);
      if (prng() % 64 == 0) now += burst * kSecond / count;
    }
    for (std::size_t first = 0; first < allowed_at.size(); ++first) {
      for (std::size_t last = first; last < allowed_at.size(); ++last) {
        const std::uint64_t window = allowed_at[last] - allowed_at[first];
        ASSERT_LE(last - first + 1, burst + window / rate.interval_ns()) << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace weir::limit
