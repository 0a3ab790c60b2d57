// The texts of --help, one per form, laid out for 80 columns.
#pragma once

#include <string_view>

namespace weir::config {

// What `weir` alone prints on standard error.
[[nodiscard]] std::string_view short_usage();
// For a verb ("proxy", "run", ...), or everything for any other word.
[[nodiscard]] std::string_view help_for(std::string_view verb);

}  // namespace weir::config
