// What a request to a server is expected to take: its own estimate per server, for `ewma`.
//
// PeakEwma is a moving average of latencies that believes bad news at once and good news slowly:
// a sample above it replaces it, lower ones pull it down with a time constant of 10 s. Workers
// share it as one word, a std::atomic in the upstream layer. Word 0: nothing is known.
//
//   observed    max(sample, weighted mean of average and sample)
//   failed      counts as at least 10 s, and no less than the average: a server that fails fast
//               must not look fast. A constant, so that servers with the same few errors stay equal
//   unobserved  falls with the same 10 s, and after 3 s without an observation with 1 s: nobody
//               knows any more. So a server that was given up is the cheapest again some seconds
//               later, and one request finds out. Nobody starves, and who has recovered is back
//               with its first good answer.
//
// Unfinished is what an average cannot know: requests that have not been answered. One per worker
// and server. Long answers must not count: remove() belongs to the answer's head.
//
// The driver's latency_us() is max(PeakEwma::read(), Unfinished::mean_age_us()).
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::balance {

class PeakEwma {
 public:
  PeakEwma() = default;
  [[nodiscard]] static PeakEwma unpack(std::uint64_t word);
  [[nodiscard]] std::uint64_t pack() const;

  void observe(std::uint64_t latency_us, bool failed, std::uint64_t now_ms);
  // Microseconds; 0 only when nothing was ever observed.
  [[nodiscard]] std::uint64_t read(std::uint64_t now_ms) const;

 private:
  [[nodiscard]] std::uint32_t elapsed_ms(std::uint64_t now_ms) const;
  // The share of the average that time has left of it.
  [[nodiscard]] double kept(std::uint64_t now_ms) const;

  float average_us_ = 0;     // 0: nothing known, else at least 1.
  std::uint32_t at_ms_ = 0;  // Of the last observation; wraps after 49 days.
};

// observe() on the shared word.
void observe(std::atomic<std::uint64_t>& word, std::uint64_t latency_us, bool failed,
             std::uint64_t now_ms);

// Start times of the requests that one worker awaits an answer to from one server.
class Unfinished {
 public:
  void add(std::uint64_t start_us) {
    ++count_;
    start_sum_us_ += start_us;
  }
  // `start_us` is that of the add().
  void remove(std::uint64_t start_us) {
    --count_;
    start_sum_us_ -= start_us;
  }
  // 0 without requests.
  [[nodiscard]] std::uint64_t mean_age_us(std::uint64_t now_us) const {
    if (count_ == 0) return 0;
    // Both may have wrapped; their difference is right. Negative: now_us is an older reading.
    const auto age_sum = static_cast<std::int64_t>(now_us * count_ - start_sum_us_);
    return age_sum < 0 ? 0 : static_cast<std::uint64_t>(age_sum) / count_;
  }

 private:
  std::uint64_t count_ = 0;
  std::uint64_t start_sum_us_ = 0;
};

}  // namespace weir::balance
