// What a reload changes, in words, and what it cannot change. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace weir::control {

// One sentence for each thing that `next` asks for and only a restart can give: listeners and
// their addresses and limits, [runtime], [admin], [log].
[[nodiscard]] std::vector<std::string> needs_restart(const config::Config& running,
                                                     const config::Config& next);

// "routes: 2, backends: 1, servers: 3; servers added: 1, removed: 0": what `next` has and how it
// differs.
[[nodiscard]] std::string describe_changes(const config::Config& running,
                                           const config::Config& next);

// `next` with the parts of `running` that only a restart changes.
[[nodiscard]] config::Config keep_fixed_parts(const config::Config& running, config::Config next);

[[nodiscard]] const char* to_string(config::Balance balance);

}  // namespace weir::control
