#include "net/buffer.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

namespace weir::net {
namespace {

TEST(BufferPool, LeasesUpToItsLimitAndCountsRefusals) {
  BufferPool pool(3);
  std::vector<char*> blocks;
  for (int i = 0; i < 3; ++i) blocks.push_back(pool.take());
  EXPECT_EQ(std::set<char*>(blocks.begin(), blocks.end()).size(), 3u);
  EXPECT_EQ(pool.take(), nullptr);
  EXPECT_EQ(pool.take(), nullptr);
  EXPECT_EQ(pool.leased(), 3u);
  EXPECT_EQ(pool.exhausted(), 2u);
  pool.give_back(blocks.back());
  blocks.back() = pool.take();
  EXPECT_NE(blocks.back(), nullptr);
  EXPECT_EQ(pool.exhausted(), 2u);
  for (char* block : blocks) pool.give_back(block);
  EXPECT_EQ(pool.leased(), 0u);
}

TEST(BufferPool, WithoutBlocksItRefusesEverybody) {
  BufferPool pool(0);
  Buffer buffer;
  EXPECT_FALSE(buffer.lease(pool));
  EXPECT_FALSE(buffer.leased());
  EXPECT_EQ(pool.exhausted(), 1u);
}

TEST(BufferPool, HandsOutTheBlockReturnedLast) {
  BufferPool pool;
  char* first = pool.take();
  char* second = pool.take();
  pool.give_back(second);
  pool.give_back(first);
  EXPECT_EQ(pool.take(), first);
  EXPECT_EQ(pool.take(), second);
  pool.give_back(first);
  pool.give_back(second);
}

// Blocks beyond kKeptBlocksMax go back to the allocator, so that one crowded minute is not paid for
// ever. What the pool keeps is seen by what it hands out again.
TEST(BufferPool, KeepsABoundedNumberOfBlocks) {
  BufferPool pool;
  std::vector<char*> blocks;
  for (std::size_t i = 0; i < BufferPool::kKeptBlocksMax + 100; ++i) blocks.push_back(pool.take());
  for (char* block : blocks) pool.give_back(block);
  for (std::size_t i = BufferPool::kKeptBlocksMax; i-- > 0;) {
    EXPECT_EQ(pool.take(), blocks[i]) << i;
  }
  for (std::size_t i = 0; i < BufferPool::kKeptBlocksMax; ++i) pool.give_back(blocks[i]);
}

TEST(BufferPoolDeathTest, MayNotDieBeforeItsBlocks) {
  EXPECT_DEATH(
      {
        BufferPool pool;
        (void)pool.take();
      },
      "blocks leased");
}

class BufferTest : public testing::Test {
 protected:
  BufferTest() { EXPECT_TRUE(buffer.lease(pool)); }
  BufferPool pool;
  Buffer buffer;
};

TEST_F(BufferTest, LeasesOnceAndReturnsOnce) {
  EXPECT_TRUE(buffer.lease(pool));
  EXPECT_EQ(pool.leased(), 1u);
  EXPECT_EQ(buffer.room(), kBlockBytes);
  buffer.release();
  buffer.release();
  EXPECT_EQ(pool.leased(), 0u);
  EXPECT_EQ(buffer.room(), 0u);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.readable(), "");
}

TEST_F(BufferTest, ReadsWhatWasAppendedAndProduced) {
  buffer.append("head ");
  std::memcpy(buffer.room_at(), "body", 4);
  buffer.produced(4);
  EXPECT_EQ(buffer.readable(), "head body");
  buffer.consume(5);
  EXPECT_EQ(buffer.readable(), "body");
  EXPECT_EQ(buffer.consumed(), 5u);
  EXPECT_EQ(buffer.room(), kBlockBytes - 9) << "consumed bytes stay where they are";
}

TEST_F(BufferTest, RewindBringsBackWhatWasConsumed) {
  buffer.append("request");
  buffer.consume(7);
  EXPECT_TRUE(buffer.empty());
  buffer.rewind();
  EXPECT_EQ(buffer.readable(), "request");
  EXPECT_EQ(buffer.consumed(), 0u);
}

TEST_F(BufferTest, CompactMovesTheRestToTheFront) {
  buffer.append("0123456789");
  buffer.compact();
  EXPECT_EQ(buffer.readable(), "0123456789");
  buffer.consume(4);
  buffer.compact();
  EXPECT_EQ(buffer.readable(), "456789");
  EXPECT_EQ(buffer.room(), kBlockBytes - 6);
  buffer.rewind();
  EXPECT_EQ(buffer.readable(), "456789") << "what compact() dropped is gone";
}

TEST_F(BufferTest, CompactMovesOverlappingBytes) {
  const std::string long_text(kBlockBytes - 1, 'a');
  buffer.append(long_text);
  buffer.append("b");
  EXPECT_EQ(buffer.room(), 0u);
  buffer.consume(1);
  buffer.compact();
  EXPECT_EQ(buffer.readable(), long_text.substr(1) + "b");
  EXPECT_EQ(buffer.room(), 1u);
}

TEST_F(BufferTest, ClearForgetsEverythingAndKeepsTheBlock) {
  buffer.append("x");
  buffer.consume(1);
  buffer.clear();
  EXPECT_TRUE(buffer.leased());
  EXPECT_EQ(buffer.room(), kBlockBytes);
  buffer.rewind();
  EXPECT_TRUE(buffer.empty());
}

TEST_F(BufferTest, MovingHandsOverTheBlock) {
  buffer.append("bytes");
  buffer.consume(1);
  Buffer taken(std::move(buffer));
  EXPECT_EQ(taken.readable(), "ytes");
  EXPECT_EQ(taken.consumed(), 1u);
  Buffer other;
  EXPECT_TRUE(other.lease(pool));
  EXPECT_EQ(pool.leased(), 2u);
  other = std::move(taken);
  EXPECT_EQ(pool.leased(), 1u) << "the overwritten block went back";
  EXPECT_EQ(other.readable(), "ytes");
  Buffer& itself = other;
  other = std::move(itself);
  EXPECT_EQ(other.readable(), "ytes");
}

TEST_F(BufferTest, ANewLeaseStartsEmpty) {
  buffer.append("old");
  buffer.consume(2);
  buffer.release();
  EXPECT_TRUE(buffer.lease(pool));
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.consumed(), 0u);
}

using BufferDeathTest = BufferTest;

TEST_F(BufferDeathTest, RefusesMoreThanItHas) {
  buffer.append("ab");
  EXPECT_DEATH(buffer.consume(3), "CHECK failed");
  EXPECT_DEATH(buffer.produced(kBlockBytes - 1), "CHECK failed");
  EXPECT_DEATH(buffer.append(std::string(kBlockBytes - 1, 'x')), "CHECK failed");
}

}  // namespace
}  // namespace weir::net
