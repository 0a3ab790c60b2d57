#include "health/state.h"

namespace weir::health {

ServerCondition condition_of(Active::State active, std::uint64_t passive_word, Wish wish) {
  if (wish == Wish::maintenance) return ServerCondition::maintenance;
  if (wish == Wish::down || active == Active::State::down) return ServerCondition::down;
  if (wish == Wish::drain) return ServerCondition::draining;
  return is_up(passive_word) ? ServerCondition::up : ServerCondition::ejected;
}

std::string_view to_string(Wish wish) {
  switch (wish) {
    case Wish::none: return "none";
    case Wish::drain: return "drain";
    case Wish::down: return "down";
    case Wish::maintenance: return "maintenance";
  }
  return "?";
}

std::string_view to_string(ServerCondition condition) {
  switch (condition) {
    case ServerCondition::up: return "up";
    case ServerCondition::down: return "down";
    case ServerCondition::ejected: return "ejected";
    case ServerCondition::draining: return "draining";
    case ServerCondition::maintenance: return "maintenance";
  }
  return "?";
}

}  // namespace weir::health
