// Problem: why a piece of text is refused and what to write instead.
#pragma once

#include <string>

namespace weir::config {

struct Problem {
  std::string what;  // "port 99999 is out of range"
  std::string fix;   // "use 1 to 65535"; empty when `what` says it all.

  // Both in one line, for the command line.
  [[nodiscard]] std::string sentence() const { return fix.empty() ? what : what + "; " + fix; }
};

}  // namespace weir::config
