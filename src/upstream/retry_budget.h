// RetryBudget: how many requests may be sent a second time when servers break.
//
// A share of recent requests, plus a small constant so that a quiet backend can retry at all. When
// everything is failing, retries stop at that share instead of doubling the load on servers that
// already cannot cope. One per worker and backend. Time is an argument.
#pragma once

#include <algorithm>
#include <cstdint>

namespace weir::upstream {

class RetryBudget {
 public:
  explicit RetryBudget(std::uint64_t now_ms) : refilled_ms_(now_ms) {}

  // A new request, not a retry. `percent`: how many retries a hundred of them pay for, 0..100.
  void deposit(std::uint32_t percent) {
    tokens_ = std::min(tokens_ + percent * (kTokensPerRetry / 100), kTokensMax);
  }

  // Takes the price of one retry. False when the budget is used up.
  [[nodiscard]] bool withdraw(std::uint64_t now_ms) {
    tokens_ = std::min(tokens_ + (now_ms - refilled_ms_) * kTokensPerMs, kTokensMax);
    refilled_ms_ = now_ms;
    if (tokens_ < kTokensPerRetry) return false;
    tokens_ -= kTokensPerRetry;
    return true;
  }

 private:
  static constexpr std::uint64_t kTokensPerRetry = 1000;
  static constexpr std::uint64_t kTokensPerMs = 10;  // Ten retries a second besides.
  static constexpr std::uint64_t kTokensMax = 500 * kTokensPerRetry;

  std::uint64_t tokens_ = 100 * kTokensPerRetry;
  std::uint64_t refilled_ms_;
};

}  // namespace weir::upstream
