// Parts: what a Kernel is made of, for os_sim.cpp and the files of this folder.
#pragma once

#include <memory>

#include "sim/kernel/descriptors.h"
#include "sim/kernel/fiber.h"
#include "sim/kernel/machine.h"
#include "sim/kernel/network.h"

namespace weir::sim {

struct Parts {
  Parts(std::uint64_t seed, const Faults& faults)
      : machine(seed, faults), network(machine), descriptors(machine), world_prng(seed ^ 0x77) {}

  Machine machine;
  Network network;
  Descriptors descriptors;
  Fibers fibers;
  Prng world_prng;
};

}  // namespace weir::sim
