// RateLimiter: a [limit.NAME] of the configuration with the state of its keys.
//
// Shared by all workers; the control thread's registry keeps it over reloads as long as its
// description stays the same.
#pragma once

#include <cstdint>
#include <optional>
#include <ranges>
#include <string>

#include "base/counter.h"
#include "config/config.h"
#include "http/head_parser.h"
#include "limit/rate_table.h"
#include "os/address.h"

namespace weir::proxy {

// The limit has been reached.
struct RateVerdict {
  std::uint32_t retry_after_s = 1;  // Rounded up, at least 1.
};

class RateLimiter {
 public:
  // `salt`: a secret of the process, so that nobody can aim at somebody else's key.
  RateLimiter(const config::RateLimit& settings, std::uint64_t salt);

  // Charges one request, or, without `head`, one connection. Empty: allowed. Any thread.
  [[nodiscard]] std::optional<RateVerdict> refuses(const os::Peer& client,
                                                   const http::HeadParser* head,
                                                   std::uint64_t now_ns);
  // The same without charging what is allowed.
  [[nodiscard]] std::optional<RateVerdict> would_refuse(const os::Peer& client,
                                                        const http::HeadParser* head,
                                                        std::uint64_t now_ns);

  [[nodiscard]] const config::RateLimit& settings() const { return settings_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  // Keys that lost their place in a full table while they were over their rate.
  [[nodiscard]] std::uint64_t evicted() const { return table_.evicted(); }

 private:
  [[nodiscard]] std::optional<RateVerdict> verdict(std::uint64_t wait_ns);
  [[nodiscard]] std::uint64_t key_of(const os::Peer& client, const http::HeadParser* head) const;

  config::RateLimit settings_;
  std::uint64_t salt_;
  limit::Gcra rate_;
  std::string header_;  // Lower case.
  limit::RateTable table_;
  std::atomic<std::uint64_t> refused_{0};
};

// Charges what refuses() charges to all `limits` (a range of pointers), or, when one of them has
// been reached, to none: whoever is over a limit must not use up one that others share. Only when
// another worker takes the last of a limit between the look and the charge, what stands before that
// limit stays charged.
template <std::ranges::forward_range Limits>
[[nodiscard]] std::optional<RateVerdict> refused_by_any(Limits&& limits, const os::Peer& client,
                                                        const http::HeadParser* head,
                                                        std::uint64_t now_ns) {
  for (RateLimiter* limit : limits) {
    if (const auto over = limit->would_refuse(client, head, now_ns)) return over;
  }
  for (RateLimiter* limit : limits) {
    if (const auto over = limit->refuses(client, head, now_ns)) return over;
  }
  return std::nullopt;
}

}  // namespace weir::proxy
