#include "base/handle.h"

#include <gtest/gtest.h>

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/prng.h"

namespace weir {
namespace {

TEST(Handle, PacksKindIndexAndGeneration) {
  constexpr Handle handle = Handle::make(0xA5, 0x123456, 0x89ABCDEF);
  static_assert(handle.raw == 0xA512'3456'89AB'CDEF);
  EXPECT_EQ(handle.kind(), 0xA5);
  EXPECT_EQ(handle.index(), 0x123456u);
  EXPECT_EQ(handle.generation(), 0x89ABCDEFu);
}

TEST(Handle, ExtremesDoNotSpillIntoTheirNeighbours) {
  const Handle only_kind = Handle::make(0xFF, 0, 0);
  EXPECT_EQ(only_kind.index(), 0u);
  EXPECT_EQ(only_kind.generation(), 0u);
  const Handle only_index = Handle::make(0, Handle::kIndexMax, 0);
  EXPECT_EQ(only_index.kind(), 0);
  EXPECT_EQ(only_index.index(), Handle::kIndexMax);
  EXPECT_EQ(only_index.generation(), 0u);
  const Handle only_generation = Handle::make(0, 0, 0xFFFFFFFF);
  EXPECT_EQ(only_generation.kind(), 0);
  EXPECT_EQ(only_generation.index(), 0u);
}

TEST(HandleTable, DefaultHandleResolvesToNullEvenWhenIndexZeroIsLive) {
  HandleTable<int> table;
  int object = 0;
  EXPECT_EQ(table.find(Handle{}), nullptr);
  const Handle handle = table.insert(0, object);
  EXPECT_EQ(handle.index(), 0u);
  EXPECT_NE(handle, Handle{});  // Or the loop would take it for its own wake-up.
  EXPECT_EQ(table.find(handle), &object);
  EXPECT_EQ(table.find(Handle{}), nullptr);
}

TEST(HandleTable, AnIndexBeyondTheTableResolvesToNull) {
  HandleTable<int> table;
  int object = 0;
  (void)table.insert(1, object);
  EXPECT_EQ(table.find(Handle::make(1, 7, 1)), nullptr);
}

TEST(HandleTable, ReusedIndexGetsANewGeneration) {
  HandleTable<int> table;
  int first = 0;
  int second = 0;
  const Handle old = table.insert(1, first);
  table.erase(old);
  EXPECT_EQ(table.find(old), nullptr);
  const Handle fresh = table.insert(1, second);
  EXPECT_EQ(fresh.index(), old.index());
  EXPECT_NE(fresh.generation(), old.generation());
  EXPECT_EQ(table.find(old), nullptr);
  EXPECT_EQ(table.find(fresh), &second);
}

TEST(HandleTableDeathTest, EraseOfAStaleHandleAborts) {
  HandleTable<int> table;
  int object = 0;
  const Handle handle = table.insert(1, object);
  table.erase(handle);
  EXPECT_DEATH(table.erase(handle), "erase of a stale handle");
}

// Random inserts and erases: a live handle finds its object, and no handle that was erased ever
// finds one again, however often its index was used since.
TEST(HandleTable, StaleHandlesNeverResolveAgain) {
  Prng random(7);
  HandleTable<int> table;
  std::vector<int> objects(500);
  std::unordered_map<std::uint64_t, int*> live;
  std::vector<Handle> live_order;
  std::unordered_set<std::uint64_t> stale;
  for (int step = 0; step < 20'000; ++step) {
    if (live_order.empty() || (live_order.size() < objects.size() && random.bounded(2) == 0)) {
      int& object = objects[random.bounded(objects.size())];
      const Handle handle = table.insert(static_cast<std::uint8_t>(random.bounded(256)), object);
      ASSERT_TRUE(live.emplace(handle.raw, &object).second);
      ASSERT_EQ(stale.count(handle.raw), 0u);
      live_order.push_back(handle);
    } else {
      std::swap(live_order[random.bounded(live_order.size())], live_order.back());
      const Handle handle = live_order.back();
      live_order.pop_back();
      ASSERT_EQ(table.find(handle), live.at(handle.raw));
      table.erase(handle);
      live.erase(handle.raw);
      stale.insert(handle.raw);
    }
    ASSERT_EQ(table.live(), live.size());
  }
  for (const auto& [raw, object] : live) EXPECT_EQ(table.find(Handle{raw}), object);
  for (const std::uint64_t raw : stale) EXPECT_EQ(table.find(Handle{raw}), nullptr);
}

}  // namespace
}  // namespace weir
