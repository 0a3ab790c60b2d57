#include "net/splice_pipe.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "../os/sockets.h"

namespace weir::net {
namespace {

using os::IoStatus;
using os::test::Pair;
using os::test::tcp_pair;

// A socket with these bytes ready to be read.
Pair with_bytes(std::string_view bytes) {
  Pair pair = tcp_pair();
  EXPECT_EQ(os::send(pair.far, bytes).bytes, bytes.size());
  EXPECT_TRUE(os::test::wait_for(pair.near, POLLIN));
  return pair;
}

TEST(SplicePipe, MovesBytesFromSocketToSocket) {
  PipePool pool;
  SplicePipe pipe;
  ASSERT_TRUE(pipe.lease(pool));
  EXPECT_TRUE(pipe.empty());
  EXPECT_GE(pipe.capacity(), kPipeBytesMin);
  const Pair source = with_bytes("0123456789");
  const Pair sink = tcp_pair();
  EXPECT_EQ(pipe.fill_from(source.near, 7).bytes, 7u);
  EXPECT_EQ(pipe.bytes(), 7u);
  EXPECT_EQ(pipe.drain_to(sink.near).bytes, 7u);
  EXPECT_TRUE(pipe.empty());
  EXPECT_EQ(pipe.fill_from(source.near, 100).bytes, 3u);
  EXPECT_EQ(pipe.fill_from(source.near, 100).status, IoStatus::again);
  char text[8];
  EXPECT_EQ(pipe.read(text, sizeof text).bytes, 3u);
  EXPECT_EQ(std::string_view(text, 3), "789");
  EXPECT_EQ(pipe.read(text, sizeof text).status, IoStatus::again);
  ASSERT_TRUE(os::test::wait_for(sink.far, POLLIN));
  EXPECT_EQ(os::receive(sink.far, text, sizeof text).bytes, 7u);
  EXPECT_EQ(std::string_view(text, 7), "0123456");
}

TEST(PipePool, MakesPipesWhenTheyAreNeededAndKeepsEmptyOnes) {
  PipePool pool;
  EXPECT_EQ(pool.counters().created.read(), 0u);
  SplicePipe pipe;
  ASSERT_TRUE(pipe.lease(pool));
  ASSERT_TRUE(pipe.lease(pool));  // It has one.
  EXPECT_EQ(pool.counters().created.read(), 1u);
  pipe.release();
  EXPECT_FALSE(pipe.leased());
  pipe.release();
  ASSERT_TRUE(pipe.lease(pool));
  EXPECT_EQ(pool.counters().created.read(), 1u);
  EXPECT_EQ(pool.counters().reused.read(), 1u);
  EXPECT_EQ(pool.counters().open.read(), 1u);
}

TEST(PipePool, APipeWithBytesInItIsNeverKept) {
  PipePool pool;
  const Pair secret = with_bytes("secret");
  {
    SplicePipe pipe;
    ASSERT_TRUE(pipe.lease(pool));
    ASSERT_EQ(pipe.fill_from(secret.near, 6).bytes, 6u);
  }
  EXPECT_EQ(pool.counters().spilled.read(), 1u);
  EXPECT_EQ(pool.counters().open.read(), 0u);
  SplicePipe next;
  ASSERT_TRUE(next.lease(pool));
  EXPECT_EQ(pool.counters().created.read(), 2u);
  char text[8];
  EXPECT_EQ(next.read(text, sizeof text).status, IoStatus::again);  // Nothing of it.
}

TEST(PipePool, ALeaseMovesWithItsBytes) {
  PipePool pool;
  const Pair source = with_bytes("abc");
  SplicePipe first;
  ASSERT_TRUE(first.lease(pool));
  ASSERT_EQ(first.fill_from(source.near, 3).bytes, 3u);
  SplicePipe second = std::move(first);
  EXPECT_EQ(second.bytes(), 3u);
  EXPECT_FALSE(first.leased());
  char text[8];
  EXPECT_EQ(second.read(text, sizeof text).bytes, 3u);
  second = SplicePipe{};
  EXPECT_EQ(pool.counters().open.read(), 1u);  // Empty, so it was kept.
  EXPECT_EQ(pool.counters().spilled.read(), 0u);
}

TEST(PipePool, KeepsABoundedStock) {
  PipePool pool;
  std::vector<SplicePipe> pipes(PipePool::kKeptPipesMax + 5);
  for (SplicePipe& pipe : pipes) ASSERT_TRUE(pipe.lease(pool));
  EXPECT_EQ(pool.counters().open.read(), pipes.size());
  for (SplicePipe& pipe : pipes) pipe.release();
  EXPECT_EQ(pool.counters().open.read(), PipePool::kKeptPipesMax);
  EXPECT_EQ(pool.counters().spilled.read(), 0u);
}

TEST(PipePool, RefusesAtItsLimitAndServesAgain) {
  PipePool pool(2);
  SplicePipe first, second, third;
  ASSERT_TRUE(first.lease(pool) && second.lease(pool));
  EXPECT_FALSE(third.lease(pool));
  EXPECT_FALSE(third.leased());
  EXPECT_EQ(pool.counters().refused.read(), 1u);
  first.release();
  EXPECT_TRUE(third.lease(pool));
  EXPECT_EQ(pool.counters().open.read(), 2u);
}

// --- Limits of the kernel, in a process of their own ---------------------------------------------

// Runs `body` in a child; its value is the exit status.
template <typename Body>
[[nodiscard]] int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The kernel is not asked again with every lease, but it is asked again.
TEST(PipePool, OutOfDescriptorsNoPipeIsHadAndTheKernelIsLeftInPeace) {
  EXPECT_EQ(in_child([] {
              PipePool pool;
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              const rlim_t before = std::exchange(limit.rlim_cur, 4);
              ::setrlimit(RLIMIT_NOFILE, &limit);
              SplicePipe pipe;
              if (pipe.lease(pool)) return 1;
              limit.rlim_cur = before;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              for (unsigned i = 0; i < PipePool::kPatience; ++i) {
                if (pipe.lease(pool)) return 2;
              }
              if (!pipe.lease(pool)) return 3;
              return pool.counters().refused.read() == 1 + PipePool::kPatience ? 0 : 4;
            }),
            0);
}

[[nodiscard]] long soft_limit_pages() {
  long pages = 0;
  std::ifstream("/proc/sys/fs/pipe-user-pages-soft") >> pages;
  return pages;
}

// An ordinary user gets pipes of the wanted size up to its share of pages, then ones that are too
// small to pay, and those are refused. No lease fails in another way, and none lies about its room.
TEST(PipePool, AnOrdinaryUserRunsIntoThePageLimit) {
  const long pages = soft_limit_pages();
  if (pages <= 0 || pages > 1 << 20) GTEST_SKIP() << "this system sets no such limit";
  const int outcome = in_child([pages] {
    // An id that nothing else on this machine uses, so that the account begins at zero.
    const uid_t nobody_else = 1'000'000'000 + static_cast<uid_t>(::getpid());
    if (::getuid() == 0 && ::setuid(nobody_else) != 0) return 1;
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    // Twice what fits, however small the pipes are.
    const std::size_t wanted = static_cast<std::size_t>(pages) * 4096 / kPipeBytesMin * 2;
    if (limit.rlim_cur < 2 * wanted + 64) return 77;
    PipePool pool(wanted);
    std::vector<SplicePipe> pipes(wanted);
    std::size_t had = 0;
    for (SplicePipe& pipe : pipes) {
      if (!pipe.lease(pool)) break;
      if (pipe.capacity() < kPipeBytesMin) return 2;
      ++had;
    }
    if (had == 0) return 3;
    if (had == wanted) return 4;
    if (pipes[0].capacity() != kPipeBytes && ::getuid() == nobody_else) return 5;
    // When others have given theirs back, there are pipes again.
    for (SplicePipe& pipe : pipes) pipe.release();
    for (unsigned i = 0; i < PipePool::kKeptPipesMax; ++i) {
      if (!pipes[i].lease(pool)) return 6;
    }
    for (unsigned i = 0; i <= PipePool::kPatience; ++i) {
      if (pipes[PipePool::kKeptPipesMax].lease(pool)) return 0;
    }
    return 7;
  });
  if (outcome == 77) GTEST_SKIP() << "too few descriptors to reach the limit";
  EXPECT_EQ(outcome, 0);
}

}  // namespace
}  // namespace weir::net
