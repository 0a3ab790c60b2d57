// Runs of seeds in child processes, and making a failing run smaller.
#pragma once

#include <cstdint>
#include <string>

#include "sim/world/limits.h"
#include "sim/world/report.h"

namespace weir::sim {

struct Outcome {
  Report report;
  std::string checker;  // What failed: the name of a checker, or the place of a CHECK. "": nothing.
  std::string said;     // Everything the run printed, the last lines of its trace included.

  [[nodiscard]] bool failed() const { return !checker.empty(); }
};

// One seed. `trace`: its last lines are wanted even if all is well.
[[nodiscard]] Outcome run_seed(std::uint64_t seed, const Limits& limits, bool trace);

// Less and less of the run, as long as the same checker fails. Bounded in time.
[[nodiscard]] Limits shrink(std::uint64_t seed, const Limits& limits, const std::string& checker);

}  // namespace weir::sim
