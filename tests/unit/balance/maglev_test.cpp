#include "balance/maglev.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/prng.h"
#include "fake_servers.h"

namespace weir::balance {
namespace {

std::vector<std::uint32_t> slots(const Maglev& table) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t slot = 0; slot < Maglev::kSize; ++slot) all.push_back(table[slot]);
  return all;
}

// Slots that belong to somebody else; `renumber` says what number an old server has now.
template <typename Renumber>
std::uint32_t moved(const Maglev& before, const Maglev& after, Renumber renumber) {
  std::uint32_t count = 0;
  for (std::uint32_t slot = 0; slot < Maglev::kSize; ++slot) {
    count += renumber(before[slot]) != after[slot];
  }
  return count;
}

TEST(Maglev, SharesFollowTheWeightsToHalfASlot) {
  for (const Weights& weights :
       {Weights{1}, Weights{1, 1}, Weights{1, 2, 3}, Weights{1'000, 1}, Weights{0, 4, 0, 1},
        Weights(10, 7), Weights(1'000, 1), Weights{kWeightMax, 1, kWeightMax}}) {
    const Names names(weights.size());
    const Weights counts = tally(slots(Maglev(names.views, weights)), weights.size());
    for (std::size_t server = 0; server < weights.size(); ++server) {
      const double share = double(Maglev::kSize) * weights[server] / sum(weights);
      EXPECT_NEAR(counts[server], share, 1.5) << "weight " << weights[server];
    }
  }
}

TEST(Maglev, TheSameTableForAnyOrder) {
  Prng prng(1);
  const Names names(20);
  Weights weights(20);
  for (std::uint32_t& weight : weights) weight = static_cast<std::uint32_t>(prng.bounded(9));
  const Maglev table(names.views, weights);
  for (int i = 0; i < 5; ++i) {
    std::vector<std::uint32_t> order(20);
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), prng);
    std::vector<std::string_view> shuffled_names;
    Weights shuffled_weights;
    for (const std::uint32_t server : order) {
      shuffled_names.push_back(names.views[server]);
      shuffled_weights.push_back(weights[server]);
    }
    const Maglev shuffled(shuffled_names, shuffled_weights);
    for (std::uint32_t slot = 0; slot < Maglev::kSize; ++slot) {
      ASSERT_EQ(table[slot], order[shuffled[slot]]);
    }
  }
}

// Other programs of a fleet, and later versions, must agree with this one.
TEST(Maglev, TheTableIsTheOneOfEveryOtherNode) {
  const Maglev table(Names(7).views, Weights{1, 2, 3, 4, 5, 6, 7});
  std::uint64_t digest = 0;
  for (const std::uint32_t server : slots(table)) digest = (digest ^ server) * 0x100'0000'01B3;
  EXPECT_EQ(digest, 11'732'813'510'235'524'479U);
}

TEST(Maglev, RemovingAServerMovesLittleMoreThanItsKeys) {
  for (const std::size_t count : {2, 3, 5, 10, 50, 100}) {
    const Names names(count);
    const Maglev before(names.views, Weights(count, 1));
    for (const std::size_t gone : {std::size_t{0}, count / 2, count - 1}) {
      std::vector<std::string_view> rest = names.views;
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(gone));
      const Maglev after(rest, Weights(count - 1, 1));
      const auto renumber = [&](std::uint32_t server) {
        return server == gone ? ~0U : server - (server > gone ? 1 : 0);
      };
      const double ideal = double(Maglev::kSize) / double(count);
      EXPECT_LE(moved(before, after, renumber), 2 * ideal) << count << " without " << gone;
    }
  }
}

TEST(Maglev, OfAThousandServersOneMovesLessThanAHundredthOfTheKeys) {
  const Names names(1'000);
  const Maglev before(names.views, Weights(1'000, 1));
  const Maglev after(std::span(names.views).first(999), Weights(999, 1));
  EXPECT_LE(moved(before, after, [](std::uint32_t server) { return server; }), Maglev::kSize / 100);
}

TEST(Maglev, AddingAServerMovesLittleMoreThanItsKeys) {
  const Names names(20);
  const Maglev after(names.views, Weights(20, 1));
  const Maglev before(std::span(names.views).first(19), Weights(19, 1));
  EXPECT_LE(moved(before, after, [](std::uint32_t server) { return server; }),
            2 * Maglev::kSize / 20);
}

TEST(Maglev, AChangedWeightMovesLittleMoreThanTheDifference) {
  const Names names(10);
  Weights weights(10, 10);
  const Maglev before(names.views, weights);
  weights[3] = 5;
  const Maglev after(names.views, weights);
  EXPECT_LE(moved(before, after, [](std::uint32_t server) { return server; }),
            2 * Maglev::kSize / 20);
}

TEST(Maglev, WithoutAnyWeightThereIsNothingToLookUp) {
  EXPECT_TRUE(Maglev({}, {}).empty());
  EXPECT_TRUE(Maglev(Names(3).views, Weights{0, 0, 0}).empty());
  EXPECT_EQ(Maglev(Names(3).views, Weights{0, 0, 0}).server_count(), 3U);
  EXPECT_FALSE(Maglev(Names(1).views, Weights{1}).empty());
}

}  // namespace
}  // namespace weir::balance
