#include "base/prng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <vector>

namespace weir {
namespace {

static_assert(std::uniform_random_bit_generator<Prng>);

TEST(Prng, SplitMixGivesThePublishedSequence) {
  // First outputs for the seed 1234567, as listed with the reference implementation's tests.
  std::uint64_t state = 1234567;
  EXPECT_EQ(splitmix64(state), 6457827717110365317U);
  EXPECT_EQ(splitmix64(state), 3203168211198807973U);
  EXPECT_EQ(splitmix64(state), 9817491932198370423U);
}

// A second, literal writing of xoshiro256**, to compare with.
struct Reference {
  std::array<std::uint64_t, 4> s;
  static std::uint64_t rotl(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
  std::uint64_t next() {
    const std::uint64_t result = rotl(s[1] * 5, 7) * 9;
    const std::uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
  }
};

TEST(Prng, FollowsTheReference) {
  std::uint64_t seed = 42;
  Reference reference{};
  for (std::uint64_t& word : reference.s) word = splitmix64(seed);
  Prng prng(42);
  for (int i = 0; i < 1'000; ++i) ASSERT_EQ(prng(), reference.next());
}

TEST(Prng, SameSeedSameNumbersOtherSeedOtherNumbers) {
  Prng a(7);
  Prng b(7);
  Prng c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t value = a();
    EXPECT_EQ(value, b());
    differs |= value != c();
  }
  EXPECT_TRUE(differs);
}

TEST(Prng, SeedZeroIsASeed) {
  Prng prng(0);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1'000; ++i) seen.insert(prng());
  EXPECT_EQ(seen.size(), 1'000U);
}

TEST(Prng, BoundedStaysBelowItsBound) {
  Prng prng(1);
  EXPECT_EQ(prng.bounded(0), 0U);
  for (const std::uint64_t bound :
       {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3}, std::uint64_t{1000},
        (std::uint64_t{1} << 63) + 1, ~std::uint64_t{0}}) {
    for (int i = 0; i < 1'000; ++i) ASSERT_LT(prng.bounded(bound), bound);
  }
}

// Chi-squared over ten values with nine degrees of freedom: 27.9 is exceeded by one good
// generator in a thousand, and the seed is fixed.
TEST(Prng, BoundedIsUniform) {
  Prng prng(3);
  constexpr int kDraws = 100'000;
  std::array<int, 10> hits{};
  for (int i = 0; i < kDraws; ++i) ++hits[prng.bounded(hits.size())];
  double chi_squared = 0;
  for (const int hit : hits) {
    const double off = hit - kDraws / 10.0;
    chi_squared += off * off / (kDraws / 10.0);
  }
  EXPECT_LT(chi_squared, 27.9);
}

// With 3/4 of the range as the bound, a plain remainder or an uncorrected multiplication gives
// one third of the values twice the chance of the others.
TEST(Prng, LargeBoundsAreNotBiased) {
  Prng prng(4);
  const std::uint64_t bound = std::uint64_t{3} << 62;
  constexpr int kDraws = 30'000;
  std::array<int, 3> residues{};
  std::array<int, 3> thirds{};
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t value = prng.bounded(bound);
    ++residues[value % 3];
    ++thirds[value / (std::uint64_t{1} << 62)];
  }
  for (const int hit : residues) EXPECT_NEAR(hit, kDraws / 3, 400);  // 4.9 sigma.
  for (const int hit : thirds) EXPECT_NEAR(hit, kDraws / 3, 400);
}

TEST(Prng, DrivesTheStandardAlgorithms) {
  Prng prng(5);
  std::vector<int> values{1, 2, 3, 4, 5, 6, 7, 8};
  const std::vector<int> sorted = values;
  std::shuffle(values.begin(), values.end(), prng);
  EXPECT_NE(values, sorted);
  EXPECT_TRUE(std::is_permutation(values.begin(), values.end(), sorted.begin()));
}

}  // namespace
}  // namespace weir
