#include "balance/ewma.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <queue>

#include "../repetitions.h"
#include "balance/peak_ewma.h"
#include "fake_servers.h"

namespace weir::balance {
namespace {

TEST(Ewma, OfTwoTheOneThatAnswersFirst) {
  Ewma policy(Weights{1, 1}, 1);
  FakeServers servers(2);
  servers.latency = {10'000, 30'000};
  EXPECT_EQ(tally(picks(policy, servers, 100), 2), (Weights{100, 0}));
  servers.busy = {2, 0};  // 10 * 3 against 30 * 1: a draw, which the first drawn wins.
  const Weights draw = tally(picks(policy, servers, kPicks), 2);
  expect_share(draw[0], 0.5, kPicks);
  servers.busy = {3, 0};
  EXPECT_EQ(tally(picks(policy, servers, 100), 2), (Weights{0, 100}));
}

TEST(Ewma, AHeavierServerMayTakeLonger) {
  Ewma policy(Weights{4, 1}, 1);
  FakeServers servers(2);
  servers.latency = {30'000, 10'000};
  EXPECT_EQ(tally(picks(policy, servers, 100), 2), (Weights{100, 0}));
  servers.busy = {4, 2};  // 30 * 5 / 4 against 10 * 3.
  EXPECT_EQ(tally(picks(policy, servers, 100), 2), (Weights{0, 100}));
}

// Measured latencies always differ a little: that must not choose one of identical servers.
TEST(Ewma, SimilarServersShareByWeight) {
  const Weights weights{1, 2, 3, 4};
  Ewma policy(weights, 2);
  FakeServers servers(4);
  servers.latency = {10'000, 12'000, 15'000, 11'000};
  const Weights counts = tally(picks(policy, servers, kPicks), 4);
  for (std::size_t i = 0; i < 4; ++i) expect_share(counts[i], weights[i] / 10.0, kPicks);
  servers.busy = {0, 1, 1, 1};
  Ewma two(Weights{1, 1}, 2);
  EXPECT_EQ(tally(picks(two, servers, 100), 2), (Weights{100, 0}));
}

TEST(Ewma, AnUnknownServerIsTriedAtOnce) {
  Ewma policy(Weights(5, 1), 2);
  FakeServers servers(5);
  servers.latency = {1, 1, 1, 1, 0};
  const Weights counts = tally(picks(policy, servers, kPicks), 5);
  expect_share(counts[4], 2 / 5.0, kPicks);  // Whenever it is drawn.
}

TEST(Ewma, HugeNumbersDoNotWrap) {
  Ewma policy(Weights{1, kWeightMax}, 0);
  FakeServers servers(2);
  servers.latency = {~std::uint64_t{0}, 1};
  servers.busy = {0xFFFF'FFFF, 0xFFFF'FFFF};
  EXPECT_EQ(tally(picks(policy, servers, 100), 2), (Weights{0, 100}));
}

TEST(Ewma, ARetryGoesElsewhereAndNoServerIsNoChoice) {
  Ewma policy(Weights{1, 1, 0}, 0);
  FakeServers servers(3);
  servers.latency = {1, 1'000'000, 0};
  EXPECT_EQ(policy.pick(servers, excluding({0})), 1U);
  EXPECT_EQ(policy.pick(servers, excluding({0, 1})), std::nullopt);
  Ewma empty(Weights{}, 1);
  EXPECT_EQ(empty.pick(FakeServers(0), Attempt{}), std::nullopt);
}

// What the driver does with the estimates, over a random history: every server's latency jumps
// about over five orders of magnitude, some requests fail, and some servers hang for a while.
class History {
 public:
  History(std::size_t count, std::uint64_t seed)
      : prng_(seed),
        servers_(count),
        policy_(Weights(count, 1), seed),
        words_(count, 0),
        unfinished_(count),
        true_us_(count, 1'000),
        last_ms_(count, 0) {}

  // The longest that any server waited for a request.
  std::uint64_t run(std::uint64_t until_ms) {
    std::uint64_t longest_ms = 0;
    while (now_us_ < until_ms * 1'000) {
      now_us_ += 1 + prng_.bounded(10'000);  // 200 requests a second.
      finish_due();
      if (prng_.bounded(1'000) == 0) change_one();
      const std::uint32_t server = pick();
      for (const std::uint64_t last : last_ms_) longest_ms = std::max(longest_ms, now_ms() - last);
      last_ms_[server] = now_ms();
    }
    return longest_ms;
  }

 private:
  struct Request {
    std::uint64_t end_us, start_us;
    std::uint32_t server;
    bool operator>(const Request& other) const { return end_us > other.end_us; }
  };

  [[nodiscard]] std::uint64_t now_ms() const { return now_us_ / 1'000; }

  void change_one() {
    std::uint64_t latency = 100;
    for (std::uint64_t steps = prng_.bounded(6); steps != 0; --steps) latency *= 10;
    true_us_[prng_.bounded(true_us_.size())] = latency + prng_.bounded(latency);
  }

  std::uint32_t pick() {
    for (std::uint32_t server = 0; server < words_.size(); ++server) {
      servers_.latency[server] = std::max(PeakEwma::unpack(words_[server]).read(now_ms()),
                                          unfinished_[server].mean_age_us(now_us_));
    }
    const std::uint32_t server = policy_.pick(servers_, Attempt{}).value();
    ++servers_.busy[server];
    unfinished_[server].add(now_us_);
    requests_.push({now_us_ + true_us_[server], now_us_, server});
    return server;
  }

  void finish_due() {
    while (!requests_.empty() && requests_.top().end_us <= now_us_) {
      const Request request = requests_.top();
      requests_.pop();
      --servers_.busy[request.server];
      unfinished_[request.server].remove(request.start_us);
      PeakEwma estimate = PeakEwma::unpack(words_[request.server]);
      estimate.observe(request.end_us - request.start_us, prng_.bounded(200) == 0, now_ms());
      words_[request.server] = estimate.pack();
    }
  }

  Prng prng_;
  FakeServers servers_;
  Ewma policy_;
  std::vector<std::uint64_t> words_;
  std::vector<Unfinished> unfinished_;
  std::vector<std::uint64_t> true_us_;
  std::vector<std::uint64_t> last_ms_;
  std::priority_queue<Request, std::vector<Request>, std::greater<>> requests_;
  std::uint64_t now_us_ = 0;
};

// The slowest answer takes 20 s, and while it is awaited nobody asks that server again; what was
// learnt is forgotten in 3 s and ln(10 s / 100 us) = 12 more.
TEST(Ewma, NobodyStarvesWhateverTheHistory) {
  for (std::uint64_t seed = 0; seed < test::repetitions(20); ++seed) {
    const std::size_t count = 2 + seed % 7;
    EXPECT_LT(History(count, seed).run(300'000), 40'000U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace weir::balance
