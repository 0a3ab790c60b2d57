// ServerCondition: the one word that says how a server stands, made of what the active check, the
// traffic, the operator and the server itself have to say. Shown, logged and counted; who may be
// picked is takes_new_requests().
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "health/active.h"
#include "health/passive.h"

namespace weir::health {

// What an operator asks for, or the server itself in its load report. A later one is stricter.
enum class Wish : std::uint8_t {
  none,         // Take part.
  drain,        // No new requests; what is bound to the server may finish.
  down,         // Count as unreachable.
  maintenance,  // Out of service on purpose.
};

inline constexpr std::size_t kWishes = static_cast<std::size_t>(Wish::maintenance) + 1;

[[nodiscard]] constexpr Wish stricter(Wish one, Wish other) { return std::max(one, other); }
[[nodiscard]] std::string_view to_string(Wish wish);

enum class ServerCondition : std::uint8_t {
  up,           // Takes requests. Also a server that was never checked.
  down,         // The active check fails, or the server says so.
  ejected,      // Left alone for a while because of its traffic; also while the trial is under way.
  draining,     // Takes no new requests.
  maintenance,  // Taken out on purpose; nothing else matters then.
};

[[nodiscard]] std::string_view to_string(ServerCondition condition);

// `wish` is the stricter of the operator's and the server's. The gravest reason is the name:
// maintenance, down, draining, ejected.
[[nodiscard]] ServerCondition condition_of(Active::State active, std::uint64_t passive_word,
                                           Wish wish);

// Whether a picker should offer the server: nothing speaks against it, or all that does is an
// ejection whose trial is due.
[[nodiscard]] constexpr bool takes_new_requests(Active::State active, std::uint64_t passive_word,
                                                Wish wish, std::uint64_t now_ms) {
  return active != Active::State::down && wish == Wish::none &&
         takes_requests(passive_word, now_ms);
}

}  // namespace weir::health
