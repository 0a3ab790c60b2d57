// Where bytes lie, as far as a pipe can tell. Linux has the last word in named_cases.cpp; here is
// what depends on how much memory it finds.

#include "sim/kernel/memory.h"

#include <gmock/gmock.h>

#include <string>

#include "sim/kernel/pipe.h"
#include "sim/kernel/receive_queue.h"

namespace weir::sim {
namespace {

std::size_t stretches(const Stretches& bytes) {
  return static_cast<std::size_t>(bytes.end() - bytes.begin());
}

TEST(Memory, CopiesLieSideBySide) {
  PageFragment fragment;
  Stretches bytes;
  for (const char* const part : {"abc", "defg", "h"}) bytes.append(fragment.copy_front(part));
  EXPECT_EQ(bytes.text(), "abcdefgh");
  EXPECT_EQ(stretches(bytes), 1);
}

TEST(Memory, AnotherCopyBetweenKeepsThemApart) {
  PageFragment fragment;
  Stretches bytes;
  bytes.append(fragment.copy_front("abc"));
  const Stretch other = fragment.copy_front("x");
  bytes.append(fragment.copy_front("defg"));
  EXPECT_EQ(stretches(bytes), 2);
}

TEST(Memory, WhatDoesNotFitGoesIntoNewPages) {
  PageFragment fragment;
  const Stretch first = fragment.copy_front(std::string(kFragmentBytes - 40, 'a'));
  const Stretches over_the_end = fragment.copy(std::string(50, 'b'));
  ASSERT_EQ(stretches(over_the_end), 2);
  EXPECT_EQ(over_the_end.begin()->bytes.size(), 40);
  EXPECT_TRUE(first.goes_on_in(*over_the_end.begin()));
}

TEST(Memory, AFewBytesAtTheEndOfPagesAreLeft) {
  PageFragment fragment;
  const Stretch first = fragment.copy_front(std::string(kFragmentBytes - 31, 'a'));
  EXPECT_FALSE(first.goes_on_in(fragment.copy_front("b")));
}

TEST(Memory, PagesAreUsedAgainWhenNothingLiesInThem) {
  PageFragment fragment;
  EXPECT_EQ(fragment.copy_front("abc").offset, 0);
  const Stretch kept = fragment.copy_front("def");
  EXPECT_EQ(kept.offset, 0);
  EXPECT_EQ(fragment.copy_front("ghi").offset, 3);
}

TEST(Memory, ApartNothingGoesOn) {
  const Stretches apart = lay_apart(std::string(2 * kPageBytes, 'a'), 100);
  EXPECT_EQ(stretches(apart), 3);
  EXPECT_EQ(apart.text().size(), 2 * kPageBytes);
  ReceiveQueue queue;
  for (int i = 0; i < 3; ++i) queue.append(lay_apart("abc", 0), true, false);
  Pipe pipe(2);
  PageFragment fragment;
  EXPECT_EQ(queue.splice_into(pipe, 100, fragment), 6);
}

TEST(Memory, TakingSplitsAStretchInPlace) {
  PageFragment fragment;
  Stretches rest = fragment.copy("abcdefgh");
  Stretches bytes = rest.take(3);
  EXPECT_EQ(bytes.text(), "abc");
  for (const Stretch& stretch : rest) bytes.append(stretch);
  EXPECT_EQ(bytes.text(), "abcdefgh");
  EXPECT_EQ(stretches(bytes), 1);
}

}  // namespace
}  // namespace weir::sim
