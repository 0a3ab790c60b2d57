// What the clients of this folder make of their measurements.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::bench {

inline double percentile_ms(std::vector<std::uint64_t>& values_ns, double share) {
  if (values_ns.empty()) return 0;
  const auto rank = static_cast<std::size_t>(share * static_cast<double>(values_ns.size() - 1));
  std::ranges::nth_element(values_ns, values_ns.begin() + static_cast<std::ptrdiff_t>(rank));
  return static_cast<double>(values_ns[rank]) / 1e6;
}

}  // namespace weir::bench
