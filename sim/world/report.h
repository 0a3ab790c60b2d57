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
  std::uint64_t calls = 0;
  std::uint64_t reloads = 0;
  std::uint64_t workers = 0;
  Totals totals;
  std::array<std::uint64_t, kFaultCount> injected{};
  // How often each edge of each state table was taken, [machine][from][to].
  std::array<std::array<std::array<std::uint64_t, kStatesMax>, kStatesMax>, kMachines> edges{};

  void add(const Report& other);
  // One block of a few lines.
  [[nodiscard]] std::string text() const;
};

// "session exchanging -> lingering" for every legal edge that was never taken, one per line.
[[nodiscard]] std::string edges_never_taken(const Report& report, std::size_t& legal,
                                            std::size_t& taken);

// What a proof must have done at least, by its number of seeds; empty, or what was too little.
[[nodiscard]] std::string below_floor(const Report& report);

}  // namespace weir::sim
