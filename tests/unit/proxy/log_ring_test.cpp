#include "proxy/log_ring.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <string>
#include <thread>

#include "base/prng.h"
#include "os/process.h"

namespace weir::proxy {
namespace {

std::string drained(LogRing& ring) {
  std::string text;
  while (ring.drain(text)) {
  }
  return text;
}

TEST(LogRing, GivesBackWhatWasPushedInOrder) {
  LogSignal signal;
  LogRing ring(64, signal);
  std::string text;
  EXPECT_FALSE(ring.drain(text));
  EXPECT_TRUE(ring.push("one\n"));
  EXPECT_TRUE(ring.push("two\n"));
  EXPECT_TRUE(ring.drain(text));
  EXPECT_FALSE(ring.drain(text));
  EXPECT_EQ(text, "one\ntwo\n");
}

TEST(LogRing, DrainAppends) {
  LogSignal signal;
  LogRing ring(64, signal);
  std::string text = "before ";
  ASSERT_TRUE(ring.push("after"));
  EXPECT_TRUE(ring.drain(text));
  EXPECT_EQ(text, "before after");
}

TEST(LogRing, DropsWholeLinesOnly) {
  LogSignal signal;
  LogRing ring(16, signal);
  EXPECT_FALSE(ring.push(std::string(17, 'x'))) << "larger than the ring";
  EXPECT_TRUE(ring.push("0123456789\n"));
  EXPECT_FALSE(ring.push("abcdef")) << "one byte too many";
  EXPECT_TRUE(ring.push("abcde"));
  EXPECT_FALSE(ring.push("x"));
  EXPECT_TRUE(ring.push("")) << "nothing always fits";
  EXPECT_EQ(drained(ring), "0123456789\nabcde");
  EXPECT_TRUE(ring.push(std::string(16, 'y')));
}

TEST(LogRing, LinesOfEverySizeCrossTheBorder) {
  LogSignal signal;
  for (std::size_t size = 1; size <= 32; ++size) {
    LogRing ring(32, signal);
    std::string expected;
    std::string text;
    for (int i = 0; i < 100; ++i) {
      const std::string line(size, static_cast<char>('a' + i % 26));
      ASSERT_TRUE(ring.push(line));
      expected += line;
      ASSERT_TRUE(ring.drain(text));
    }
    EXPECT_EQ(text, expected) << size;
  }
}

TEST(LogRing, NotifiesOnlyASleeperAndOnlyAboutNews) {
  LogSignal signal;
  LogRing ring(64, signal);
  const auto woken = [&] {
    pollfd waiting{signal.wakeup().get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  };
  ASSERT_TRUE(ring.push("x"));
  ring.notify();
  EXPECT_FALSE(woken()) << "nobody sleeps";
  signal.sleep_begin();
  ring.notify();
  EXPECT_FALSE(woken()) << "no news";
  ASSERT_TRUE(ring.push("y"));
  ring.notify();
  EXPECT_TRUE(woken());
  signal.sleep_end();
  EXPECT_FALSE(woken());
}

// The writer's protocol: announce sleep, look again, wait. It must get every line that was not
// dropped, each whole and in order, and never sleep through the last one.
TEST(LogRingMultiThread, NothingIsLostTornOrSleptThrough) {
  constexpr unsigned kLines = 20'000;
  LogSignal signal;
  LogRing ring(4'096, signal);
  std::atomic<unsigned> pushed{0};
  std::atomic<bool> done{false};
  std::string text;
  std::jthread writer = os::start_thread("test-writer", -1, [&] {
    for (;;) {
      if (ring.drain(text)) continue;
      signal.sleep_begin();
      const bool quiet = !ring.drain(text);
      if (quiet && done.load(std::memory_order_seq_cst)) return;
      if (quiet) os::wait_readable(signal.wakeup(), 10'000);
      signal.sleep_end();
    }
  });
  Prng prng(1);
  for (unsigned i = 0; i < kLines; ++i) {
    const std::string line = std::to_string(i) + " " +
                             std::string(prng.bounded(200), static_cast<char>('a' + i % 26)) + "\n";
    if (ring.push(line)) ++pushed;
    if (i % 3 == 0) ring.notify();
  }
  ring.notify();
  const std::uint64_t begin_ns = os::monotonic_ns();
  done.store(true, std::memory_order_seq_cst);
  signal.notify();
  writer.join();
  EXPECT_LT(os::monotonic_ns() - begin_ns, 9'000'000'000u)
      << "the writer slept until its own timeout";

  unsigned lines = 0;
  long last = -1;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    const std::size_t end = text.find('\n', at);
    ASSERT_NE(end, std::string::npos) << "a torn line";
    const std::string line = text.substr(at, end - at);
    const long number = std::stol(line);
    ASSERT_GT(number, last);
    const std::string filler = line.substr(line.find(' ') + 1);
    ASSERT_EQ(filler.find_first_not_of(static_cast<char>('a' + number % 26)), std::string::npos);
    last = number;
    at = end + 1;
  }
  EXPECT_EQ(lines, pushed.load());
  EXPECT_GT(lines, 0u);
}

}  // namespace
}  // namespace weir::proxy
