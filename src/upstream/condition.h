// What the parts of a ServerState say together, for those who pick.
#pragma once

#include <cstdint>

#include "health/state.h"
#include "upstream/server_state.h"

namespace weir::upstream {

[[nodiscard]] inline health::Wish wish_of(const ServerState& state) {
  return health::stricter(
      static_cast<health::Wish>(state.administrative.load(std::memory_order_relaxed)),
      static_cast<health::Wish>(state.agent.load(std::memory_order_relaxed)));
}

[[nodiscard]] inline health::Active::State active_of(const ServerState& state) {
  return static_cast<health::Active::State>(state.active.load(std::memory_order_relaxed));
}

[[nodiscard]] inline bool is_down(const ServerState& state) {
  return active_of(state) == health::Active::State::down;
}

// Takes new requests.
[[nodiscard]] inline bool is_healthy(const ServerState& state, std::uint64_t now_ms) {
  return health::takes_new_requests(active_of(state), state.passive.load(std::memory_order_relaxed),
                                    wish_of(state), now_ms);
}

// What it gets is more than the 0 % of its weight that it may ask for.
[[nodiscard]] inline bool asks_for_requests(const ServerState& state) {
  return state.agent_percent.load(std::memory_order_relaxed) != 0;
}

// May be asked when nobody healthy is left. `down_too`: the active check may be wrong.
[[nodiscard]] inline bool in_service(const ServerState& state, bool down_too) {
  return wish_of(state) == health::Wish::none && (down_too || !is_down(state));
}

[[nodiscard]] inline health::ServerCondition condition_of(const ServerState& state) {
  return health::condition_of(active_of(state), state.passive.load(std::memory_order_relaxed),
                              wish_of(state));
}

}  // namespace weir::upstream
