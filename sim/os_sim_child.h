// Child: runs one seed in a process of its own, so that a failed CHECK inside weir is a result like
// any other and nothing of one run is left for the next.
//
// With os_sim.cpp the only place of the simulator that asks the real system for anything.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace weir::sim {

struct ChildResult {
  bool ended_well = false;
  std::string data;  // What the body returned.
  std::string said;  // Standard error.
};

// `last_words` is called when the child aborts or crashes; what it returns follows on standard
// error. A child that uses more than `seconds_max` of processor time is killed.
[[nodiscard]] ChildResult run_in_child(const std::function<std::string()>& body,
                                       std::string (*last_words)(), unsigned seconds_max);

// Seconds of a clock that runs while the machine does.
[[nodiscard]] double real_seconds();
// A number that differs from run to run.
[[nodiscard]] std::uint64_t fresh_seed();

}  // namespace weir::sim
