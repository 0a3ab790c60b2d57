#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace weir {

void check_failed(const char* file, int line, const char* expression, const char* detail) {
  std::fprintf(stderr, "weir: %s:%d: CHECK failed: %s%s%s%s\n", file, line, expression,
               *detail ? " (" : "", detail, *detail ? ")" : "");
  std::abort();
}

}  // namespace weir
