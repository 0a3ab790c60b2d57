// Limits: what of a seed's run takes place. Everything by default; shrinking takes parts away, and
// the command line can say the same.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/kernel/faults.h"

namespace weir::sim {

struct Limits {
  // Numbers of the clients that come; empty: all.
  std::optional<std::vector<std::uint32_t>> clients;
  std::optional<std::vector<std::uint32_t>> relays;  // The same for connections that are relayed.
  std::uint32_t requests_max = UINT32_MAX;           // Of one client.
  std::uint32_t servers_max = UINT32_MAX;
  std::optional<std::uint32_t> workers;
  std::array<bool, kFaultCount> faults = all_faults();
  bool events = true;                  // Reloads, servers that leave, limits, drains.
  std::optional<std::uint64_t> steps;  // Of the scheduler; then the run is broken off.

  [[nodiscard]] static constexpr std::array<bool, kFaultCount> all_faults() {
    std::array<bool, kFaultCount> all{};
    all.fill(true);
    return all;
  }
  [[nodiscard]] bool client_comes(std::uint32_t number) const;
  [[nodiscard]] bool relay_comes(std::uint32_t number) const;
  // As arguments of the command line, with a blank before each.
  [[nodiscard]] std::string arguments() const;
};

// "3,7,9"; empty when it is not a list of numbers.
[[nodiscard]] std::optional<std::vector<std::uint32_t>> numbers_from_text(std::string_view text);
// "reset,wait_early", "none"; empty when a name is unknown.
[[nodiscard]] std::optional<std::array<bool, kFaultCount>> faults_from_text(std::string_view text);

}  // namespace weir::sim
