// The rules of readiness.h, as tables: which outcome clears which latch.
#include "loop/readiness.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::loop {
namespace {

using os::IoStatus;
using os::kError;
using os::kHangup;
using os::kReadable;
using os::kUrgent;
using os::kWritable;

constexpr std::uint8_t kAllBits = kReadable | kWritable | kHangup | kUrgent | kError;

Readiness with(int bits) {
  Readiness ready;
  ready.latch(static_cast<std::uint8_t>(bits));
  return ready;
}

struct Row {
  const char* rule;
  int before;
  IoStatus status;
  std::size_t bytes;
  int cleared;
};

// Applies `after` to every row, with every combination of the bits the row does not speak about.
template <typename After>
void check_rows(const Row* begin, const Row* end, int spoken, After after) {
  for (const Row* row = begin; row != end; ++row) {
    for (int other = 0; other <= kAllBits; ++other) {
      if ((other & spoken) != 0) continue;
      Readiness ready = with(row->before | other);
      after(ready, os::IoResult{row->status, row->bytes});
      EXPECT_EQ(ready.bits(), (row->before | other) & ~row->cleared)
          << row->rule << ", bits " << (row->before | other);
    }
  }
}

TEST(Readiness, LatchesAddUpAndResetReplaces) {
  Readiness ready;
  EXPECT_EQ(ready.bits(), 0);
  EXPECT_FALSE(ready.may_receive());
  EXPECT_FALSE(ready.may_send());
  ready.latch(kReadable);
  ready.latch(kHangup);
  EXPECT_EQ(ready.bits(), kReadable | kHangup);
  ready.reset(Readiness::kUnknown);
  EXPECT_EQ(ready.bits(), kReadable | kWritable);
}

TEST(Readiness, WhatEachBitAllows) {
  for (int bits = 0; bits <= kAllBits; ++bits) {
    const Readiness ready = with(bits);
    EXPECT_EQ(ready.may_receive(), (bits & (kReadable | kHangup | kError)) != 0) << bits;
    EXPECT_EQ(ready.may_send(), (bits & (kWritable | kError)) != 0) << bits;
    EXPECT_EQ(ready.may_splice(), (bits & kUrgent) == 0) << bits;
    EXPECT_EQ(ready.hangup(), (bits & kHangup) != 0) << bits;
    EXPECT_EQ(ready.error(), (bits & kError) != 0) << bits;
  }
}

TEST(Readiness, AfterReceiveOfAsked100) {
  constexpr Row kRows[] = {
      {"again", kReadable, IoStatus::again, 0, kReadable},
      {"again under urgent", kReadable | kUrgent, IoStatus::again, 0, kReadable | kUrgent},
      {"again under hangup", kReadable | kHangup, IoStatus::again, 0, kReadable},
      {"full", kReadable, IoStatus::done, 100, 0},
      {"full under urgent", kReadable | kUrgent, IoStatus::done, 100, 0},
      {"short", kReadable, IoStatus::done, 99, kReadable},
      {"short under hangup", kReadable | kHangup, IoStatus::done, 99, 0},
      {"short under urgent", kReadable | kUrgent, IoStatus::done, 99, 0},
      {"short under both", kReadable | kUrgent | kHangup, IoStatus::done, 1, 0},
      {"end", kReadable | kHangup, IoStatus::end, 0, 0},
      {"reset", kReadable | kError, IoStatus::reset, 0, 0},
      {"out of memory", kReadable, IoStatus::no_memory, 0, 0},
  };
  check_rows(std::begin(kRows), std::end(kRows), kReadable | kUrgent | kHangup,
             [](Readiness& ready, os::IoResult result) { ready.after_receive(result, 100); });
}

TEST(Readiness, AfterSendOfOffered100) {
  constexpr Row kRows[] = {
      {"again", kWritable, IoStatus::again, 0, kWritable},
      {"partial", kWritable, IoStatus::done, 99, kWritable},
      {"whole", kWritable, IoStatus::done, 100, 0},
      {"reset", kWritable, IoStatus::reset, 0, 0},
  };
  check_rows(std::begin(kRows), std::end(kRows), kWritable,
             [](Readiness& ready, os::IoResult result) { ready.after_send(result, 100); });
}

TEST(Readiness, AfterSpliceIntoAnEmptyPipe) {
  constexpr Row kRows[] = {
      {"again", kReadable, IoStatus::again, 0, kReadable},
      {"again under urgent", kReadable | kUrgent, IoStatus::again, 0, 0},
      {"short", kReadable, IoStatus::done, 1, 0},
      {"end", kReadable | kHangup, IoStatus::end, 0, 0},
  };
  check_rows(std::begin(kRows), std::end(kRows), kReadable | kUrgent,
             [](Readiness& ready, os::IoResult result) { ready.after_splice_in(result, 0); });
}

TEST(Readiness, AfterSpliceIntoAPipeThatHeldBytes) {
  constexpr Row kRows[] = {
      {"again", kReadable, IoStatus::again, 0, 0},
      {"short", kReadable, IoStatus::done, 1, 0},
  };
  check_rows(std::begin(kRows), std::end(kRows), kReadable,
             [](Readiness& ready, os::IoResult result) { ready.after_splice_in(result, 1); });
}

TEST(Readiness, AfterSpliceOutOfAnEmptyPipe) {
  constexpr Row kRows[] = {{"again", kWritable, IoStatus::again, 0, 0}};
  check_rows(std::begin(kRows), std::end(kRows), kWritable,
             [](Readiness& ready, os::IoResult result) { ready.after_splice_out(result, 0); });
}

TEST(Readiness, AfterSpliceOutOfAPipeThatHeldBytes) {
  constexpr Row kRows[] = {
      {"again", kWritable, IoStatus::again, 0, kWritable},
      {"short", kWritable, IoStatus::done, 1, 0},
      {"reset", kWritable, IoStatus::reset, 0, 0},
  };
  check_rows(std::begin(kRows), std::end(kRows), kWritable,
             [](Readiness& ready, os::IoResult result) { ready.after_splice_out(result, 1); });
}

}  // namespace
}  // namespace weir::loop
