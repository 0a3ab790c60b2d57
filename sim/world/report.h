// Report: what a run did, in numbers. Plain values, so that a child process can hand it over.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "os/os.h"
#include "sim/kernel/faults.h"
#include "sim/world/ledger.h"

namespace weir::sim {

inline constexpr std::size_t kMachines = static_cast<std::size_t>(os::Machine::tcp_session) + 1;
inline constexpr std::size_t kStatesMax = 8;

struct Report {
  std::uint64_t seeds = 0;
  std::uint64_t hash = 0;
  std::uint64_t virtual_ns = 0;
  std::uint64_t turns = 0;
  std::uint64_t fewest_turns = 0;  // Of one worker in one run.
  std::uint64_t calls = 0;
  std::uint64_t reloads = 0;
  std::uint64_t left_early = 0;  // Runs in which weir was told to leave amid the traffic.
  std::uint64_t workers = 0;
  Totals totals;
  std::array<std::uint64_t, kFaultCount> injected{};
  // How often each edge of each state table was taken, [machine][from][to].
  std::array<std::array<std::array<std::uint64_t, kStatesMax>, kStatesMax>, kMachines> edges{};

  void add(const Report& other);
  // One block of a few lines.
  [[nodiscard]] std::string text() const;
};

// How many legal edges of the state tables were taken, and each that never was: a line per table.
[[nodiscard]] std::string edges_text(const Report& report);

// What one run must have done at least, however it was drawn; empty, or what was too little.
[[nodiscard]] std::string run_below_floor(const Report& report);
// What a proof must have done at least, by its number of seeds; empty, or what was too little.
[[nodiscard]] std::string below_floor(const Report& report);
// What a series chosen to reach everything did not: a fault, an end of a lookup, an edge.
[[nodiscard]] std::string everything_below_floor(const Report& report);

}  // namespace weir::sim
