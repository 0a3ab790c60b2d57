#include "proxy/work_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace weir::proxy {
namespace {

constexpr WorkTuning kTuning;

// Worker 0's shift, for work in hundredths.
WorkShift shift(std::vector<std::uint32_t> percent, WorkCauses causes) {
  for (std::uint32_t& each : percent) {
    if (each != kAway) each *= kAllWork / 100;
  }
  return even_out(percent, 0, causes, kTuning);
}

TEST(WorkShare, HalfOfTheDifferenceGoesToTheIdleOne) {
  const WorkShift half = shift({80, 0}, {16, 100});
  EXPECT_EQ(half.to, 1u);
  EXPECT_EQ(half.clients, 8u);
  EXPECT_EQ(half.fresh, 50u);
}

TEST(WorkShare, NothingMovesWhenAllAreBusyOrAllAreIdle) {
  EXPECT_EQ(shift({100, 100, 100}, {50, 50}).clients, 0u);
  EXPECT_EQ(shift({0, 0, 0}, {50, 50}).clients, 0u);
  EXPECT_EQ(shift({9, 0, 0}, {50, 50}).clients, 0u) << "so little is not worth it";
  EXPECT_EQ(shift({60, 56, 56}, {50, 50}).clients, 0u) << "nor is so little of a difference";
}

TEST(WorkShare, WhoIsNotTheBusiestGivesOnlyWhatIsAboveTheMean) {
  EXPECT_EQ(shift({50, 100, 0}, {10, 10}).clients, 0u);
  EXPECT_EQ(shift({60, 80, 10}, {6, 6}).clients, 1u);
}

// Three who give to the same one leave it at the mean, too.
TEST(WorkShare, SeveralGiversDoNotDrownOne) {
  const WorkShift each = shift({80, 80, 80, 0}, {8, 0});
  EXPECT_EQ(each.to, 3u);
  EXPECT_EQ(each.clients, 2u);
}

TEST(WorkShare, AClientMovesOnlyWhereItMakesAnEnd) {
  EXPECT_EQ(shift({50, 30}, {5, 0}).clients, 1u) << "five and three become four and four";
  EXPECT_EQ(shift({47, 32}, {5, 0}).clients, 1u) << "and so if measured a little wrong";
  EXPECT_EQ(shift({40, 30}, {4, 0}).clients, 0u) << "four and three would become three and four";
  EXPECT_EQ(shift({90, 0}, {1, 0}).clients, 0u) << "a single one would only change places";
}

TEST(WorkShare, FewClientsOfOneOfManyWorkersSpread) {
  for (const std::size_t workers : {4u, 8u, 16u}) {
    for (const std::uint32_t clients : {2u, 3u, 4u}) {
      std::vector<std::uint32_t> work(workers, 0);
      work[0] = 100;
      EXPECT_EQ(shift(work, {clients, 0}).clients, 1u) << clients << " of " << workers;
    }
  }
  EXPECT_EQ(shift({80, 80, 80, 80, 80, 80, 80, 80, 0}, {2, 0}).clients, 0u) << "all give to one";
}

TEST(WorkShare, FewNewConnectionsSpread) {
  std::vector<std::uint32_t> work(16, 0);
  work[0] = 100;
  EXPECT_EQ(shift(work, {0, 10}).fresh, 1u);
  EXPECT_EQ(shift(work, {0, 0}).fresh, 0u);
}

TEST(WorkShare, WhoIsAwayGetsNothingAndCountsForNothing) {
  EXPECT_EQ(shift({80, kAway}, {16, 0}).clients, 0u);
  const WorkShift to_the_third = shift({80, kAway, 0}, {16, 0});
  EXPECT_EQ(to_the_third.to, 2u);
  EXPECT_EQ(to_the_third.clients, 8u);
  EXPECT_EQ(shift({kAway, 0}, {16, 0}).clients, 0u);
}

TEST(WorkShare, GiversLookForDifferentIdleOnes) {
  const std::vector<std::uint32_t> work = {kAllWork, 0, kAllWork, 0};
  EXPECT_EQ(even_out(work, 0, {8, 0}, kTuning).to, 1u);
  EXPECT_EQ(even_out(work, 2, {8, 0}, kTuning).to, 3u);
}

TEST(WorkShare, OneLookMovesABoundedNumber) {
  const WorkShift most = shift({100, 0}, {100'000, 100'000});
  EXPECT_EQ(most.clients, 32u);
  EXPECT_EQ(most.fresh, 256u);
}

// Whoever the kernel has given all the busy clients: a few looks later nobody has a quarter more
// than the mean, and then nothing moves any more.
TEST(WorkShare, ComesToRestEven) {
  constexpr std::uint32_t kClients = 16;
  for (const std::size_t workers : {2u, 3u, 4u, 8u, 16u}) {
    std::vector<std::uint32_t> clients(workers, 0);
    clients[0] = kClients;
    for (int look = 0; look < 40; ++look) {
      for (std::size_t self = 0; self < workers; ++self) {
        std::vector<std::uint32_t> work;
        for (const std::uint32_t each : clients) work.push_back(each * kAllWork / kClients);
        const WorkShift moved = even_out(work, self, {clients[self], 0}, kTuning);
        clients[self] -= moved.clients;
        clients[moved.to] += moved.clients;
        EXPECT_TRUE(look <= 30 || moved.clients == 0) << "it does not come to rest";
      }
    }
    EXPECT_LE(*std::max_element(clients.begin(), clients.end()) * workers, kClients * 5 / 4);
    EXPECT_EQ(std::accumulate(clients.begin(), clients.end(), 0u), kClients);
  }
}

}  // namespace
}  // namespace weir::proxy
