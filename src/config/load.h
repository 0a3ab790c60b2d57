// The text of a configuration file -> a validated Config, or everything that is wrong with it.
//
// Pure: the caller reads the file (os layer) and hands over its bytes. Any bytes are allowed in;
// the worst they can produce is a list of diagnostics.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/diagnostics.h"

namespace weir::config {

// Larger files are refused: nobody writes them by hand, and every check stays quick below it.
inline constexpr std::size_t kFileBytesMax = 4 << 20;

struct Loaded {
  Config config;
  std::vector<Diagnostic> warnings;
};

// `file` is only a name for the diagnostics. On failure the list holds at least one error, all
// warnings found beside, and is in the order of the file.
[[nodiscard]] Result<Loaded, std::vector<Diagnostic>> load_text(std::string_view text,
                                                                std::string_view file);

}  // namespace weir::config
