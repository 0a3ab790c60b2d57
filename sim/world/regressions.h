// Regressions: the file of runs that must stay as they are, one to a line:
//
//   SEED [limits]  # COMMIT name: what it is about
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::sim {

struct Regression {
  std::vector<std::string_view> words;  // The seed and its limits, as on the command line.
  // The last commit before the mend in hexadecimal digits, "unknown", or "none": nothing was
  // mended.
  std::string_view commit;
  std::string_view name;  // Of lower-case letters, digits and underscores; no other has it.
  std::string_view about;
};

// The lines of `text`, which has to outlive them; blank ones and whole comments are left out. The
// error says which line is not of this form.
[[nodiscard]] Result<std::vector<Regression>, std::string> regressions_from_text(
    std::string_view text);

}  // namespace weir::sim
