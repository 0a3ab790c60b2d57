#include "balance/least_load.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/prng.h"
#include "fake_servers.h"

namespace weir::balance {
namespace {

ReportedLoad report(std::uint32_t entries, std::uint32_t errors = 0, std::uint32_t sent = 0) {
  return {true, entries, errors, sent};
}

// The rule in plain words, without weights: the set of servers that may win.
std::set<std::uint32_t> naive(const FakeServers& servers, const Attempt& attempt) {
  using Load = std::pair<std::uint64_t, std::uint32_t>;
  std::vector<std::uint32_t> candidates;
  std::vector<Load> known;
  double mean = 0;
  for (std::uint32_t server = 0; server < servers.up.size(); ++server) {
    if (!servers.up[server] || attempt.excludes(server)) continue;
    candidates.push_back(server);
    mean += servers.busy[server];
    const ReportedLoad& said = servers.reports[server];
    if (said.known) known.emplace_back(std::uint64_t{said.entries} + said.sent_since, said.errors);
  }
  mean /= static_cast<double>(candidates.size());
  std::sort(known.begin(), known.end());
  const Load median = known.empty() ? Load{} : known[(known.size() - 1) / 2];
  std::set<std::uint32_t> winners;
  Load least{~std::uint64_t{0}, ~0U};
  for (const std::uint32_t server : candidates) {
    if (servers.busy[server] > 1 && servers.busy[server] - 1 > 2 * mean) continue;
    const ReportedLoad& said = servers.reports[server];
    const Load load =
        said.known ? Load{std::uint64_t{said.entries} + said.sent_since, said.errors} : median;
    if (load < least) winners.clear();
    if (load <= least) winners.insert(server);
    least = std::min(least, load);
  }
  return winners;
}

TEST(LeastLoad, IsTheNaiveModelOnRandomReports) {
  Prng prng(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t count = 1 + prng.bounded(8);
    LeastLoad policy(Weights(count, 1), i);
    FakeServers servers(count);
    for (int j = 0; j < 3; ++j) {
      Attempt attempt;
      for (std::uint32_t server = 0; server < count; ++server) {
        servers.up[server] = prng.bounded(6) != 0;
        servers.busy[server] = static_cast<std::uint32_t>(prng.bounded(prng.bounded(12) + 1));
        servers.reports[server] = report(static_cast<std::uint32_t>(prng.bounded(4)),
                                         static_cast<std::uint32_t>(prng.bounded(3)),
                                         static_cast<std::uint32_t>(prng.bounded(3)));
        servers.reports[server].known = prng.bounded(4) != 0;
        if (prng.bounded(8) == 0) (void)attempt.exclude(server);
      }
      const Choice choice = policy.pick(servers, attempt);
      const std::set<std::uint32_t> winners = naive(servers, attempt);
      ASSERT_EQ(choice.has_value(), !winners.empty());
      if (!choice) continue;
      ASSERT_TRUE(winners.contains(*choice)) << "round " << i;
    }
  }
}

TEST(LeastLoad, FewestEntriesThenFewestErrors) {
  LeastLoad policy(Weights(3, 1), 0);
  FakeServers servers(3);
  servers.reports = {report(7, 0), report(5, 9), report(5, 2)};
  EXPECT_EQ(policy.pick(servers, Attempt{}), 2U);
  servers.reports[2].sent_since = 1;
  EXPECT_EQ(policy.pick(servers, Attempt{}), 1U);
  EXPECT_EQ(policy.pick(servers, excluding({1})), 2U);
  EXPECT_EQ(policy.pick(servers, excluding({1, 2})), 0U);
}

TEST(LeastLoad, WithoutReportsTheServersRotate) {
  LeastLoad equal(Weights(5, 1), 3);
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(tally(picks(equal, FakeServers(5), 5), 5), Weights(5, 1));
  }
  const Weights weights{3, 0, 1, 2};
  LeastLoad weighted(weights, 3);
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(tally(picks(weighted, FakeServers(4), 6), 4), weights);
  }
}

// Between two reports the requests that were sent are all that is known to have changed.
TEST(LeastLoad, RequestsLevelTheReports) {
  LeastLoad policy(Weights(3, 1), 0);
  FakeServers servers(3);
  servers.reports = {report(100), report(160), report(400)};
  for (int i = 0; i < 200; ++i) {
    ++servers.reports[policy.pick(servers, Attempt{}).value()].sent_since;
  }
  EXPECT_EQ(servers.reports[0].sent_since, 130U);
  EXPECT_EQ(servers.reports[1].sent_since, 70U);
  EXPECT_EQ(servers.reports[2].sent_since, 0U);
}

TEST(LeastLoad, AServerWithoutAReportGetsAnAverageShare) {
  for (const std::size_t count : {2, 3, 6}) {
    LeastLoad policy(Weights(count, 1), 0);
    FakeServers servers(count);
    for (std::size_t server = 1; server < count; ++server) servers.reports[server] = report(1'000);
    Weights counts(count, 0);
    for (std::size_t i = 0; i < 600 * count; ++i) {
      const std::uint32_t server = policy.pick(servers, Attempt{}).value();
      ++counts[server];
      ++servers.reports[server].sent_since;
    }
    EXPECT_NEAR(counts[0], 600, 2) << count;
  }
}

TEST(LeastLoad, WeightsDivideTheEntries) {
  const Weights weights{1, 4};
  LeastLoad policy(weights, 0);
  FakeServers servers(2);
  servers.reports = {report(10), report(39)};
  EXPECT_EQ(policy.pick(servers, Attempt{}), 1U);
  servers.reports[1] = report(41);
  EXPECT_EQ(policy.pick(servers, Attempt{}), 0U);
  servers.reports = {report(0), report(0)};
  for (int i = 0; i < 500; ++i) {
    ++servers.reports[policy.pick(servers, Attempt{}).value()].sent_since;
  }
  EXPECT_EQ(servers.reports[0].sent_since, 100U);
  EXPECT_EQ(servers.reports[1].sent_since, 400U);
}

// The counters of a restarted server begin at zero: it leads by far, and still gets no more than
// about twice its share of what is in flight.
TEST(LeastLoad, ARestartedServerIsNotFlooded) {
  LeastLoad policy(Weights(10, 1), 0);
  FakeServers servers(10);
  for (ReportedLoad& each : servers.reports) each = report(1'000'000);
  servers.reports[3] = report(0);
  for (int i = 0; i < 1'000; ++i) {
    const std::uint32_t server = policy.pick(servers, Attempt{}).value();
    ++servers.busy[server];
    ++servers.reports[server].sent_since;
  }
  EXPECT_NEAR(servers.busy[3], 201, 2);
  EXPECT_LT(*std::max_element(servers.busy.begin() + 4, servers.busy.end()), 100U);
}

TEST(LeastLoad, HugeNumbersDoNotWrap) {
  LeastLoad policy(Weights{kWeightMax, 1}, 0);
  FakeServers servers(2);
  servers.reports = {report(~0U, 0, ~0U), report(131'075)};
  EXPECT_EQ(policy.pick(servers, Attempt{}), 0U);  // 2^33 - 2 over 65,535: 131,074.
  servers.reports[1] = report(131'073);
  EXPECT_EQ(policy.pick(servers, Attempt{}), 1U);
  servers.busy = {~0U, 1};
  EXPECT_EQ(policy.pick(servers, Attempt{}), 1U);
  servers.busy = {1, ~0U};
  EXPECT_EQ(policy.pick(servers, Attempt{}), 0U);
}

TEST(LeastLoad, NoServerNoChoice) {
  LeastLoad empty(Weights{}, 1);
  EXPECT_EQ(empty.pick(FakeServers(0), Attempt{}), std::nullopt);
  LeastLoad drained(Weights{0, 0}, 1);
  EXPECT_EQ(drained.pick(FakeServers(2), Attempt{}), std::nullopt);
  LeastLoad policy(Weights{1, 1}, 1);
  FakeServers servers(2);
  servers.up = {false, false};
  EXPECT_EQ(policy.pick(servers, Attempt{}), std::nullopt);
}

}  // namespace
}  // namespace weir::balance
