// The version, as the build system knows it.
#pragma once

namespace weir::control {

inline constexpr const char* kVersion = WEIR_VERSION;

}  // namespace weir::control
