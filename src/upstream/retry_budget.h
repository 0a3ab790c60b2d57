// RetryBudget: how many requests may be sent a second time when servers break.
//
// A share of the requests, so that retries stop at that share instead of doubling the load on
// servers that cannot cope. Two purses, because there are two kinds of trouble, and what tells them
// apart is whether other servers of the backend do well meanwhile:
//
//   savings  One server has died, hangs or errs: all it worked on fails at once, and the others can
//            take it. The share that good times did not need pays for such a burst, at most 500 in
//            each worker. So that few requests can be tried again too, all workers together get ten
//            a second while they have less than three seconds of it.
//   pocket   Nobody does well: each retry makes it worse, and this may go on for long. The pocket
//            holds ten for all workers together and gets one a second, and its share of the
//            requests is a tenth less than the configured one, which leaves room for these.
//
// A retry is taken from both, as far as they go: a share is never spent twice. One per worker and
// backend. Time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weir::upstream {

class RetryBudget {
 public:
  RetryBudget(std::uint64_t now_ms, unsigned workers)
      : floor_(std::max(kFloorOfAll / std::max(workers, 1U), kPerRetry)),
        floor_per_ms_(kFloorPerMsOfAll / std::max(workers, 1U)),
        pocket_max_(std::max(kPocketOfAll / std::max(workers, 1U), kPerRetry)),
        pocket_per_ms_(kPocketPerMsOfAll / std::max(workers, 1U)),
        savings_(floor_),
        pocket_(pocket_max_),
        refilled_ms_(now_ms) {}

  // A new request, not a retry. `percent`: how many retries a hundred of them pay for, 0..100.
  void deposit(std::uint32_t percent) {
    const std::uint64_t share = percent * (kPerRetry / 100);
    savings_ = std::min(savings_ + share, kSavingsMax);
    pocket_ = std::min(pocket_ + share - share / 10, pocket_max_);
  }

  // Takes the price of one retry. False when the budget is used up. `others_do_well`: a server of
  // the backend has answered well since the failed attempt began.
  [[nodiscard]] bool withdraw(std::uint64_t now_ms, bool others_do_well) {
    const std::uint64_t elapsed_ms = now_ms - refilled_ms_;
    savings_ = std::max(savings_, std::min(savings_ + elapsed_ms * floor_per_ms_, floor_));
    pocket_ = std::min(pocket_ + elapsed_ms * pocket_per_ms_, pocket_max_);
    refilled_ms_ = now_ms;
    if ((others_do_well ? savings_ : pocket_) < kPerRetry) return false;
    savings_ -= std::min(savings_, kPerRetry);
    pocket_ -= std::min(pocket_, kPerRetry);
    return true;
  }

 private:
  // Divisible by a hundred percent, by a tenth of that, and by a thousand milliseconds.
  static constexpr std::uint64_t kPerRetry = 1'000'000;
  static constexpr std::uint64_t kFloorOfAll = 30 * kPerRetry;
  static constexpr std::uint64_t kFloorPerMsOfAll = kPerRetry / 100;
  static constexpr std::uint64_t kSavingsMax = 500 * kPerRetry;
  static constexpr std::uint64_t kPocketOfAll = 10 * kPerRetry;
  static constexpr std::uint64_t kPocketPerMsOfAll = kPerRetry / 1000;

  std::uint64_t floor_;
  std::uint64_t floor_per_ms_;
  std::uint64_t pocket_max_;
  std::uint64_t pocket_per_ms_;
  std::uint64_t savings_;
  std::uint64_t pocket_;
  std::uint64_t refilled_ms_;
};

}  // namespace weir::upstream
