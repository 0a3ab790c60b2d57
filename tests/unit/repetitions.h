// How often a test repeats itself.
#pragma once

#include <cstddef>

namespace weir::test {

// So often, and a fifth of it under sanitizers: each time takes several times as long there, and
// what they look for shows in fewer.
constexpr std::size_t repetitions(std::size_t times) {
#ifdef WEIR_SANITIZE
  return times / 5;
#else
  return times;
#endif
}

}  // namespace weir::test
