#include "base/slab.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"

namespace weir {
namespace {

// Counts who lives, and holds memory of its own so that a missed destructor is a leak.
struct Counted {
  Counted(int& live_now, std::string words) : live(live_now), text(std::move(words)) { ++live; }
  ~Counted() { --live; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  int& live;
  std::string text;
};

TEST(Slab, ConstructsAndDestroysInPlace) {
  int live = 0;
  Slab<Counted> slab;
  Counted* object = slab.create(live, "a text too long for the short string optimisation");
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(live, 1);
  EXPECT_EQ(slab.live(), 1u);
  slab.destroy(*object);
  EXPECT_EQ(live, 0);
  EXPECT_EQ(slab.live(), 0u);
}

TEST(Slab, RefusesBeyondItsCapacityAndRecovers) {
  Slab<int, 4> slab(6);  // Not a multiple of the chunk.
  std::vector<int*> objects;
  for (int i = 0; i < 6; ++i) objects.push_back(slab.create(i));
  EXPECT_EQ(slab.create(7), nullptr);
  EXPECT_EQ(slab.live(), slab.capacity());
  slab.destroy(*objects.back());
  objects.back() = slab.create(8);
  ASSERT_NE(objects.back(), nullptr);
  EXPECT_EQ(slab.create(9), nullptr);
  for (int* object : objects) slab.destroy(*object);
}

TEST(Slab, CapacityZeroHoldsNothing) {
  Slab<int> slab(0);
  EXPECT_EQ(slab.create(1), nullptr);
}

TEST(Slab, TheSlotFreedLastIsReusedFirst) {
  Slab<int> slab;
  int* a = slab.create(1);
  int* b = slab.create(2);
  slab.destroy(*a);
  slab.destroy(*b);
  EXPECT_EQ(slab.create(3), b);
  EXPECT_EQ(slab.create(4), a);
  slab.destroy(*a);
  slab.destroy(*b);
}

TEST(Slab, HonoursAlignmentAndTypesSmallerThanALink) {
  struct alignas(128) Wide {
    char byte = 0;
  };
  Slab<Wide, 3> wide;
  Slab<char, 3> narrow;
  std::vector<Wide*> wides;
  std::vector<char*> narrows;
  for (int i = 0; i < 10; ++i) {
    wides.push_back(wide.create());
    narrows.push_back(narrow.create(static_cast<char>(i)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(wides.back()) % 128, 0u);
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*narrows[static_cast<std::size_t>(i)], i);
  for (Wide* object : wides) wide.destroy(*object);
  for (char* object : narrows) narrow.destroy(*object);
}

TEST(SlabDeathTest, ALiveObjectAtTheEndAborts) {
  EXPECT_DEATH(
      {
        Slab<int> slab;
        (void)slab.create(1);
      },
      "slab destroyed with live objects");
}

// Random creates and destroys: addresses stay put, no two live objects overlap, contents survive,
// and once the peak was reached no new memory is asked for.
TEST(Slab, AddressesAreStableAndNeverShared) {
  struct Block {
    explicit Block(unsigned char mark) { std::memset(bytes, mark, sizeof bytes); }
    unsigned char bytes[40];
  };
  Prng random(3);
  Slab<Block, 16> slab(100);
  std::vector<std::pair<Block*, unsigned char>> live;
  std::set<Block*> addresses_ever;
  for (int step = 0; step < 20'000; ++step) {
    if (live.size() < 100 && random.bounded(2) == 0) {
      const auto mark = static_cast<unsigned char>(random.bounded(256));
      live.emplace_back(slab.create(mark), mark);
      addresses_ever.insert(live.back().first);
    } else if (!live.empty()) {
      std::swap(live[random.bounded(live.size())], live.back());
      slab.destroy(*live.back().first);
      live.pop_back();
    }
    ASSERT_EQ(slab.live(), live.size());
  }
  EXPECT_LE(addresses_ever.size(), 112u);  // 7 chunks of 16 hold the 100.
  std::set<Block*> addresses;
  for (const auto& [block, mark] : live) {
    EXPECT_TRUE(addresses.insert(block).second);
    for (const unsigned char byte : block->bytes) ASSERT_EQ(byte, mark);
  }
  for (const auto& [block, mark] : live) slab.destroy(*block);
}

}  // namespace
}  // namespace weir
