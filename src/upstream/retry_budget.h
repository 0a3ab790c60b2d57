// RetryBudget: how many requests may be sent a second time when servers break.
//
// A share of the requests, so that retries stop at that share instead of doubling the load on
// servers that cannot cope. Two purses, because failures are of two kinds:
//
//   broken      connections cut in the middle, answers that are no HTTP: a server has died, and all
//               it worked on fails at once. Such bursts are paid from savings: what quiet times
//               have left over, at most 500, and ten a second besides.
//   overloaded  timeouts, and statuses that are to be tried again: when all servers are slow this
//               goes on and on, and each retry makes it worse. There are no savings: the purse
//               holds two, and the share is a twentieth less, so that even with these two the sum
//               stays within the share.
//
// A retry of the second kind is paid from both. One per worker and backend. Time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weir::upstream {

class RetryBudget {
 public:
  enum class Cause : std::uint8_t {
    broken,
    overloaded,
  };

  explicit RetryBudget(std::uint64_t now_ms) : refilled_ms_(now_ms) {}

  // A new request, not a retry. `percent`: how many retries a hundred of them pay for, 0..100.
  void deposit(std::uint32_t percent) {
    const std::uint64_t share = percent * (kPerRetry / 100);
    savings_ = std::min(savings_ + share, kSavingsMax);
    pocket_ = std::min(pocket_ + share - share / 20, kPocketMax);
  }

  // Takes the price of one retry. False when the budget is used up.
  [[nodiscard]] bool withdraw(std::uint64_t now_ms, Cause cause) {
    const std::uint64_t elapsed_ms = now_ms - refilled_ms_;
    savings_ = std::min(savings_ + elapsed_ms * kSavingsPerMs, kSavingsMax);
    refilled_ms_ = now_ms;
    if (savings_ < kPerRetry) return false;
    if (cause == Cause::overloaded) {
      if (pocket_ < kPerRetry) return false;
      pocket_ -= kPerRetry;
    }
    savings_ -= kPerRetry;
    return true;
  }

 private:
  static constexpr std::uint64_t kPerRetry = 2'000;
  static constexpr std::uint64_t kSavingsPerMs = 20;
  static constexpr std::uint64_t kSavingsMax = 500 * kPerRetry;
  static constexpr std::uint64_t kPocketMax = 2 * kPerRetry;

  std::uint64_t savings_ = 100 * kPerRetry;
  std::uint64_t pocket_ = kPocketMax;
  std::uint64_t refilled_ms_;
};

}  // namespace weir::upstream
