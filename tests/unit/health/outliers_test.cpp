#include "health/outliers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/prng.h"

namespace weir::health {
namespace {

using Reason = Outlier::Reason;
using Windows = std::vector<ServerWindow>;

constexpr OutlierSettings kSettings{};

// A server that answers well, with this median.
ServerWindow good(std::uint64_t median_ms, std::uint64_t answers = 100) {
  return {true, answers, 0, answers, median_ms * 1'000};
}

// One with so many errors of 100, quick ones, beside good answers of this median.
ServerWindow erring(std::uint64_t errors, std::uint64_t median_ms = 10) {
  return {true, 100, errors, 100, median_ms * 1'000};
}

ServerCounts all_up(const Windows& windows) {
  const auto servers = static_cast<std::uint32_t>(windows.size());
  return {.servers = servers, .ejected = 0, .usable = servers};
}

// "2:latency 0:error_rate"
std::string found(const Windows& windows, const OutlierSettings& settings = kSettings) {
  std::string text;
  for (const Outlier& outlier : find_outliers(windows, all_up(windows), settings)) {
    if (!text.empty()) text += ' ';
    text += std::to_string(outlier.server) + ":" + std::string(to_string(outlier.reason));
  }
  return text;
}

TEST(Outliers, NobodyAmongEquals) {
  EXPECT_EQ(found({}), "");
  EXPECT_EQ(found({good(10)}), "");
  EXPECT_EQ(found({good(10), good(12), good(9), good(30)}), "");
}

TEST(Outliers, ASlowServer) {
  EXPECT_EQ(found({good(41), good(812), good(39)}), "1:latency");
  EXPECT_EQ(found({good(812), good(41)}), "0:latency") << "of two, the other is the measure";
  EXPECT_EQ(found({good(50), good(10)}), "") << "not more than five times";
  EXPECT_EQ(found({good(51), good(10)}), "0:latency");
  EXPECT_EQ(found({good(10), good(11), good(500), good(12), good(300), good(9)}),
            "2:latency 4:latency")
      << "the slowest first";
}

TEST(Outliers, WhatIsSlowIsKnownByTheOthers) {
  EXPECT_EQ(found({good(2'000), good(2'100), good(1'900)}), "") << "all are slow";
  EXPECT_EQ(found({good(900), good(10), good(1'000)}), "") << "most are slow";
  EXPECT_EQ(found({good(900), good(10)}), "0:latency");
  EXPECT_EQ(found({good(10), good(40), good(1'000)}), "2:latency");
  EXPECT_EQ(found({good(10), good(11), good(900), good(1'000), good(12)}, {.latency_factor = 90}),
            "")
      << "ninety times 11 or 12 ms is more than both";
}

TEST(Outliers, AFewMillisecondsAreNothing) {
  const ServerWindow quick{true, 100, 0, 100, 30};
  EXPECT_EQ(found({quick, {true, 100, 0, 100, 200}}), "");
  EXPECT_EQ(found({quick, {true, 100, 0, 100, 5'029}}), "");
  EXPECT_EQ(found({quick, {true, 100, 0, 100, 5'030}}), "1:latency");
  const ServerWindow none{true, 100, 0, 100, 0};
  EXPECT_EQ(found({none, {true, 100, 0, 100, 4'999}}), "");
  EXPECT_EQ(found({none, {true, 100, 0, 100, 5'000}}), "1:latency");
}

TEST(Outliers, AnErringServer) {
  EXPECT_EQ(found({erring(0), erring(50), erring(3)}), "1:error_rate");
  EXPECT_EQ(found({erring(0), erring(49), erring(3)}), "");
  EXPECT_EQ(found({erring(60), erring(0), erring(90), erring(0)}), "2:error_rate 0:error_rate")
      << "the worst first";
}

TEST(Outliers, WhenAllErrTheFaultIsBehindThem) {
  EXPECT_EQ(found({erring(100), erring(80), erring(60)}), "");
  EXPECT_EQ(found({erring(100), erring(80), erring(10)}), "0:error_rate");
  EXPECT_EQ(found({erring(100), good(10, 3)}), "0:error_rate") << "nothing is known against it";
  Windows windows{erring(100), erring(100), good(10)};
  windows[2].judged = false;  // It is ejected or down, hence nobody to turn to.
  EXPECT_EQ(found(windows), "");
}

// A window ends for all at once, when one may have had its last answer and the others not yet.
TEST(Outliers, WhoHasAnsweredTooLittleErrsAsWell) {
  const ServerWindow enough{true, 20, 20, 0, 0}, nearly{true, 19, 19, 0, 0};
  EXPECT_EQ(found({enough, nearly, nearly}), "");
  EXPECT_EQ(found({enough, {true, 1, 1, 0, 0}}), "");
  EXPECT_EQ(found({enough, nearly, {true, 19, 9, 0, 0}}), "0:error_rate");
  EXPECT_EQ(found({enough, nearly, {true, 0, 0, 0, 0}}), "0:error_rate") << "nothing is known";
}

TEST(Outliers, FewRequestsSayNothing) {
  EXPECT_EQ(found({good(10), good(900, 19)}), "");
  EXPECT_EQ(found({good(10), good(900, 20)}), "1:latency");
  EXPECT_EQ(found({good(900), good(10, 19)}), "") << "nor are they a measure";
  EXPECT_EQ(found({good(10), {true, 19, 19, 0, 0}}), "");
  EXPECT_EQ(found({good(10), {true, 20, 20, 0, 0}}), "1:error_rate");
  EXPECT_EQ(found({good(10, 0), good(900, 0)}, {.min_requests = 0}), "") << "0 means 1";
}

// A server that refuses everything at once must not make the good ones look slow.
TEST(Outliers, QuickErrorsAreNoMeasureOfLatency) {
  EXPECT_EQ(found({erring(100, 0), good(50)}), "0:error_rate");
  EXPECT_EQ(found({erring(100, 0), good(50)}, {.error_percent = 0}), "");
  EXPECT_EQ(found({erring(100, 0), good(50), good(55)}, {.error_percent = 0}), "");
}

TEST(Outliers, SlowAndErringIsReportedOnce) {
  EXPECT_EQ(found({erring(100, 900), good(10), good(10), good(10)}), "0:error_rate");
}

TEST(Outliers, ZeroSwitchesOff) {
  EXPECT_EQ(found({erring(100), good(10)}, {.error_percent = 0}), "");
  EXPECT_EQ(found({good(900), good(10)}, {.latency_factor = 0}), "");
}

TEST(Outliers, ErrorRatesGoBeforeLatenciesAndTheFloorCuts) {
  const Windows windows{good(10), good(900), good(11), erring(70), good(12), good(1'900)};
  EXPECT_EQ(found(windows), "3:error_rate 5:latency 1:latency");
  EXPECT_EQ(found(windows, {.max_ejected_percent = 34}), "3:error_rate 5:latency");
  EXPECT_EQ(found(windows, {.max_ejected_percent = 0}), "");
  EXPECT_TRUE(find_outliers(windows, {.servers = 6, .ejected = 3, .usable = 3}, kSettings).empty());
  EXPECT_TRUE(find_outliers(windows, {.servers = 6, .ejected = 0, .usable = 1}, kSettings).empty());
}

TEST(Outliers, TheLogLine) {
  const Windows windows{good(41), good(812), good(41), erring(70)};
  const std::vector<Outlier> outliers = find_outliers(windows, all_up(windows), kSettings);
  ASSERT_EQ(outliers.size(), 2U);
  EXPECT_EQ(describe(outliers[0]), "70 of 100 answers were errors");
  EXPECT_EQ(describe(outliers[1]), "median 812 ms, backend's 41 ms");
  const Windows quick{{true, 100, 0, 100, 30}, {true, 100, 0, 100, 12'345'678}};
  EXPECT_EQ(describe(find_outliers(quick, all_up(quick), kSettings).at(0)),
            "median 12 s, backend's 30 us");
}

TEST(Outliers, HugeCountsDoNotWrap) {
  constexpr std::uint64_t kMost = ~std::uint64_t{0};
  EXPECT_EQ(found({{true, kMost, kMost, 0, 0}, good(10)}), "0:error_rate");
  EXPECT_EQ(found({{true, kMost, kMost / 3, kMost, 10'000}, good(10)}), "");
  EXPECT_EQ(found({{true, kMost, 0, kMost, kMost / 2}, {true, kMost, 0, kMost, kMost}}), "");
}

// The definition said the long way: the median of all the others, the slower of the middle two.
TEST(Outliers, LatencyIsMeasuredAgainstAllOthers) {
  Prng prng(19);
  for (int round = 0; round < 20'000; ++round) {
    Windows windows(2 + prng.bounded(7));
    for (ServerWindow& window : windows) {
      window = good(0);
      window.median_us = prng.bounded(2) == 0 ? prng.bounded(50'000) : prng.bounded(20);
    }
    const OutlierSettings settings{.latency_factor = 1 + static_cast<std::uint32_t>(round % 6),
                                   .max_ejected_percent = 100};
    std::set<std::uint32_t> expected;
    for (std::uint32_t server = 0; server < windows.size(); ++server) {
      std::vector<std::uint64_t> others;
      for (const ServerWindow& window : windows) {
        if (&window != &windows[server]) others.push_back(window.median_us);
      }
      std::ranges::sort(others);
      const std::uint64_t reference = others[others.size() / 2];
      const std::uint64_t median = windows[server].median_us;
      if (median > reference * settings.latency_factor && median >= reference + 5'000) {
        expected.insert(server);
      }
    }
    std::set<std::uint32_t> servers;
    for (const Outlier& outlier : find_outliers(windows, all_up(windows), settings)) {
      servers.insert(outlier.server);
    }
    ASSERT_EQ(servers, expected);
  }
}

// Any windows: never more than the floor, only judged servers, each once and for a reason that
// holds.
TEST(Outliers, RandomWindows) {
  Prng prng(17);
  std::size_t seen = 0;
  for (int round = 0; round < 20'000; ++round) {
    Windows windows(prng.bounded(9));
    ServerCounts counts{.servers = static_cast<std::uint32_t>(windows.size())};
    for (ServerWindow& window : windows) {
      window.judged = prng.bounded(5) != 0;
      window.answers = prng.bounded(60);
      window.errors = prng.bounded(3) == 0 ? prng.bounded(window.answers + 1) : 0;
      window.latencies = window.answers - prng.bounded(window.answers + 1) / 4;
      window.median_us = std::uint64_t{1} << prng.bounded(25);
      ++(window.judged ? counts.usable : counts.ejected);
    }
    const OutlierSettings settings{
        .error_percent = static_cast<std::uint32_t>(prng.bounded(101)),
        .latency_factor = static_cast<std::uint32_t>(prng.bounded(8)),
        .min_requests = static_cast<std::uint32_t>(prng.bounded(30)),
        .max_ejected_percent = static_cast<std::uint32_t>(prng.bounded(101))};
    const std::vector<Outlier> outliers = find_outliers(windows, counts, settings);
    seen += outliers.size();
    ASSERT_LE(outliers.size(), ejection_room(counts, settings.max_ejected_percent));
    std::set<std::uint32_t> servers;
    for (const Outlier& outlier : outliers) {
      const ServerWindow& window = windows.at(outlier.server);
      ASSERT_TRUE(servers.insert(outlier.server).second);
      ASSERT_TRUE(window.judged);
      ASSERT_GE(window.answers, std::max(settings.min_requests, 1U));
      if (outlier.reason == Reason::error_rate) {
        ASSERT_GE(window.errors * 100, window.answers * settings.error_percent);
        ASSERT_GT(settings.error_percent, 0U);
      } else {
        ASSERT_GT(window.median_us, settings.latency_factor * outlier.others_median_us);
        ASSERT_GE(window.median_us, outlier.others_median_us + settings.latency_floor_us);
      }
    }
  }
  EXPECT_GT(seen, 1'000U);
}

}  // namespace
}  // namespace weir::health
