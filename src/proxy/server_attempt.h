// What those share who seek a server for a client, an exchange and a TCP session: one attempt, and
// what keeps it from a server.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "proxy/errors.h"
#include "upstream/backend.h"
#include "upstream/server_choice.h"

namespace weir::proxy {

// A client is not kept waiting for more silent servers than this: each costs a whole timeout.
inline constexpr std::uint8_t kSilentServersMax = 2;

struct ServerAttempt {
  std::optional<upstream::Pick> pick;
  upstream::ServerConnection* connection = nullptr;
  std::uint64_t started_us = 0;
  std::uint64_t started_ms = 0;
  bool reported = false;  // The picker knows how it ended.
  bool pending = false;   // Counted among the server's connections being opened.

  void opening() {
    pending = true;
    pick->pool->state().pending.fetch_add(1, std::memory_order_relaxed);
  }
  // It is, or will not be. Safe to call at any time.
  void opened() {
    if (!std::exchange(pending, false)) return;
    pick->pool->state().pending.fetch_sub(1);  // Seen before the gate is poked.
  }
};

// Why no server was chosen; `before` where nothing more is known than what failed before.
[[nodiscard]] ProxyError obstacle(upstream::ServerChoice::Outcome outcome, ProxyError before);

// Descriptors and local addresses come back as other connections end, usually within milliseconds:
// who is short of one looks again this often, for this long.
class Shortage {
 public:
  static constexpr std::uint64_t kRetryMs = 10;
  static constexpr std::uint64_t kWaitMs = 1'000;

  // False: it has lasted long enough. Else when to look again.
  [[nodiscard]] bool wait(std::uint64_t now_ms, std::uint64_t& retry_at_ms) {
    if (waited_ms_ >= kWaitMs) return false;
    waited_ms_ += kRetryMs;
    retry_at_ms = now_ms + kRetryMs;
    return true;
  }

 private:
  std::uint64_t waited_ms_ = 0;
};

}  // namespace weir::proxy
