#include "sim/kernel/faults.h"

#include <cmath>

#include "base/prng.h"

namespace weir::sim {
namespace {

struct Kind {
  std::string_view name;
  double low;  // Per opportunity; an active kind's rate lies between the two.
  double high;
};

// What happens per call may be frequent; what ends a connection or costs seconds must leave most
// of the traffic alone, or nothing but the fault is tested.
constexpr std::array<Kind, kFaultCount> kKinds{{
    {"receive_again", 0.001, 0.2},
    {"receive_short", 0.001, 0.5},
    {"send_again", 0.001, 0.2},
    {"send_short", 0.001, 0.5},
    {"splice_short", 0.001, 0.5},
    {"accept_again", 0.001, 0.2},
    {"accept_aborted", 0.001, 0.05},
    {"no_descriptors", 0.0003, 0.03},
    {"no_memory", 0.0003, 0.03},
    {"wait_early", 0.001, 0.2},
    {"wait_spurious", 0.001, 0.2},
    {"wait_delayed", 0.001, 0.2},
    {"wait_shuffled", 0.01, 1},
    {"wait_split", 0.01, 0.5},
    {"yield", 0.001, 0.3},
    {"stall", 0.00001, 0.002},
    {"clock_jump", 0.000001, 0.0001},
    {"segment_small", 0.01, 1},
    {"segment_late", 0.0003, 0.03},
    {"fin_late", 0.01, 1},
    {"reset", 0.0001, 0.01},
    {"connect_refused", 0.001, 0.1},
    {"connect_unreachable", 0.001, 0.1},
    {"connect_timed_out", 0.001, 0.05},
    {"connect_late", 0.001, 0.1},
    {"race", 0.003, 0.2},
    {"pipe_small", 0.003, 0.5},
    {"wait_stale", 0.001, 0.2},
    {"memory_apart", 0.1, 1},
    {"reset_in_splice", 0.03, 0.5},
}};

}  // namespace

std::string_view to_string(Fault fault) { return kKinds[Faults::index(fault)].name; }

Faults Faults::swarm(std::uint64_t seed) {
  Prng prng(seed);
  Faults faults;
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    const bool active = prng.bounded(2) == 0;
    const double position = static_cast<double>(prng() >> 11) * 0x1p-53;
    if (!active) continue;
    faults.rates_[i] = kKinds[i].low * std::pow(kKinds[i].high / kKinds[i].low, position);
  }
  // Where nothing is reset from outside, more is asked of a run.
  if (faults.rate(Fault::reset) == 0) faults.set(Fault::reset_in_splice, 0);
  return faults;
}

void Faults::keep_only(const std::array<bool, kFaultCount>& kept) {
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    if (!kept[i]) rates_[i] = 0;
  }
}

}  // namespace weir::sim
