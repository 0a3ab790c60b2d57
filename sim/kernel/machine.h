// Machine: what every part of the simulated kernel uses: time, chance, the trace, and the ranges
// that properties of the network are drawn from.
#pragma once

#include "sim/kernel/chance.h"
#include "sim/kernel/clock.h"
#include "sim/kernel/conditions.h"
#include "sim/kernel/memory.h"
#include "sim/kernel/trace.h"

namespace weir::sim {

struct Machine {
  Machine(std::uint64_t seed, const Faults& faults)
      : chance(seed, faults), clock(chance.between(1, 1'000'000) * kNsPerMs) {}

  Chance chance;
  Clock clock;
  Trace trace;
  Conditions conditions;
  PageFragment page_fragment;
  std::uint32_t who = 0;           // Who acts now: an index of the trace's names.
  std::uint64_t calls = 0;         // Of os.h.
  std::uint64_t queue_resets = 0;  // Of connections that should have been accepted.

  void note(const char* what, int number = -1, const char* outcome = nullptr,
            std::uint64_t first = 0, std::uint64_t second = 0) {
    trace.add({clock.now_ns(), who, number, what, outcome, first, second});
  }
};

}  // namespace weir::sim
