// Codel: tells a queue that stays long from one that is long for a moment (RFC 8289).
//
// A burst fills a queue and drains; its shortest wait comes down again. When even the shortest wait
// of a whole interval is above the target, the queue only adds delay: then whoever is about to be
// served after too long a wait is dropped, first one, then more often (interval / sqrt(n)), until
// a wait is below the target again. Those who remain get an answer in time to want it.
//
// One per queue, used by its owner's thread or under its owner's lock. Pure: time is an argument.
#pragma once

#include <cmath>
#include <cstdint>

namespace weir::limit {

struct CodelSettings {
  std::uint64_t target_us = 0;  // 0: nothing is ever dropped.
  std::uint64_t interval_us = 1'000'000;
};

class Codel {
 public:
  // Somebody is about to be served after `waited_us`, and others wait behind. Whether to drop it
  // instead and ask again with the next one. (RFC 8289 5.5, one packet per call.)
  [[nodiscard]] bool should_drop(std::uint64_t waited_us, std::uint64_t now_us,
                                 const CodelSettings& settings) {
    if (!stands(waited_us, now_us, settings)) {
      dropping_ = false;
      return false;
    }
    if (!dropping_) {
      begin(now_us, settings);
      return true;
    }
    if (now_us < next_us_) return false;
    ++count_;
    next_us_ += pause_us(settings);
    return true;
  }

  // Nobody waits any more.
  void emptied() {
    above_until_us_ = 0;
    dropping_ = false;
  }

 private:
  // Whether all waits of the last interval were above the target (RFC 8289 5.6).
  [[nodiscard]] bool stands(std::uint64_t waited_us, std::uint64_t now_us,
                            const CodelSettings& settings) {
    if (settings.target_us == 0 || waited_us < settings.target_us) {
      above_until_us_ = 0;
      return false;
    }
    if (above_until_us_ == 0) {
      above_until_us_ = now_us + settings.interval_us;
      return false;
    }
    return now_us >= above_until_us_;
  }

  // Soon after the last time, the rate that helped then is where it begins (RFC 8289 5.5).
  void begin(std::uint64_t now_us, const CodelSettings& settings) {
    const std::uint64_t grown = count_ - count_before_;
    const bool recent = now_us < next_us_ + 16 * settings.interval_us;
    count_ = grown > 1 && recent ? grown : 1;
    count_before_ = count_;
    dropping_ = true;
    next_us_ = now_us + pause_us(settings);
  }

  [[nodiscard]] std::uint64_t pause_us(const CodelSettings& settings) const {
    return static_cast<std::uint64_t>(static_cast<double>(settings.interval_us) /
                                      std::sqrt(static_cast<double>(count_)));
  }

  std::uint64_t above_until_us_ = 0;  // When the waits will have been too long for an interval.
  std::uint64_t next_us_ = 0;         // The next drop, while dropping.
  std::uint64_t count_ = 0;           // Drops since dropping began.
  std::uint64_t count_before_ = 0;    // What count_ began with.
  bool dropping_ = false;
};

}  // namespace weir::limit
