#include "sim/world/shrink.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "sim/os_sim_child.h"
#include "sim/world/relay_script.h"
#include "sim/world/world.h"

namespace weir::sim {
namespace {

static_assert(std::is_trivially_copyable_v<Report>);

constexpr unsigned kSecondsMax = 60;
constexpr double kShrinkSecondsMax = 40;

std::string trace_lines() {
  std::string text;
  for (const std::string& line : Kernel::current().last_lines()) text += "  " + line + "\n";
  return text;
}

// "FAIL name: ..." of a checker, or "weir: file:line: CHECK failed: ..." of the product.
std::string checker_of(const std::string& said) {
  const std::string line = said.substr(0, said.find('\n'));
  const std::size_t fail = said.find("FAIL ");
  if (fail != std::string::npos) return said.substr(fail + 5, said.find(':', fail) - fail - 5);
  return line.empty() ? "the process died without a word" : line;
}

class Shrinker {
 public:
  Shrinker(std::uint64_t seed, const Limits& limits, const std::string& checker)
      : seed_(seed), best_(limits), checker_(checker), end_(real_seconds() + kShrinkSecondsMax) {}

  Limits run() {
    Limits calm = best_;
    calm.events = false;
    (void)keep(calm);
    for (const std::uint32_t workers : {1u, 2u, 3u}) {
      Limits fewer = best_;
      fewer.workers = workers;
      if (keep(fewer)) break;
    }
    drop_faults();
    drop_of(&Limits::relays, draw_relay_manners(seed_).clients);
    drop_of(&Limits::clients, draw_manners(seed_).clients);
    for (std::uint32_t requests = 1; requests < 16; requests *= 2) {
      Limits fewer = best_;
      fewer.requests_max = requests;
      if (keep(fewer)) break;
    }
    for (const std::uint32_t servers : {1u, 2u, 3u}) {
      Limits fewer = best_;
      fewer.servers_max = servers;
      if (keep(fewer)) break;
    }
    drop_faults();
    return best_;
  }

 private:
  // Takes the smaller run when it fails in the same way.
  bool keep(const Limits& smaller) {
    if (real_seconds() > end_ || smaller.arguments() == best_.arguments()) return false;
    if (run_seed(seed_, smaller, false).checker != checker_) return false;
    best_ = smaller;
    return true;
  }

  void drop_faults() {
    Limits none = best_;
    none.faults = {};
    if (keep(none)) return;
    for (std::size_t i = 0; i < kFaultCount; ++i) {
      if (!best_.faults[i]) continue;
      Limits fewer = best_;
      fewer.faults[i] = false;
      (void)keep(fewer);
    }
  }

  // Halves first, then smaller parts, then one by one.
  using Numbers = std::optional<std::vector<std::uint32_t>>;
  void drop_of(Numbers Limits::*which, std::uint32_t count_of_all) {
    std::vector<std::uint32_t> kept(count_of_all);
    std::iota(kept.begin(), kept.end(), 0u);
    if (best_.*which) kept = *(best_.*which);
    for (std::size_t part = kept.size(); part > 0; part /= 2) {
      for (std::size_t at = 0; at < kept.size();) {
        std::vector<std::uint32_t> fewer = kept;
        const auto begin = fewer.begin() + static_cast<std::ptrdiff_t>(at);
        const std::size_t count = std::min(part, fewer.size() - at);
        fewer.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
        Limits limits = best_;
        limits.*which = fewer;
        if (keep(limits)) {
          kept = std::move(fewer);
        } else {
          at += part;
        }
      }
    }
  }

  std::uint64_t seed_;
  Limits best_;
  std::string checker_;
  double end_;
};

}  // namespace

Outcome run_seed(std::uint64_t seed, const Limits& limits, bool trace) {
  const auto body = [&] {
    World world(seed, limits);
    const Report report = world.run();
    std::string data(reinterpret_cast<const char*>(&report), sizeof report);
    return trace ? data + trace_lines() : data;
  };
  const ChildResult child = run_in_child(body, trace_lines, kSecondsMax);
  Outcome outcome;
  outcome.said = child.said;
  if (child.ended_well && child.data.size() >= sizeof outcome.report) {
    std::memcpy(&outcome.report, child.data.data(), sizeof outcome.report);
    outcome.said += child.data.substr(sizeof outcome.report);
  } else {
    outcome.checker = checker_of(child.said);
  }
  return outcome;
}

Limits shrink(std::uint64_t seed, const Limits& limits, const std::string& checker) {
  return Shrinker(seed, limits, checker).run();
}

}  // namespace weir::sim
