// What a reload changes, in words, and what it cannot change. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace weir::control {

// One sentence for each thing that `next` asks for and only a restart can give: listeners and
// their modes, addresses and limits, [runtime], [admin], [log].
[[nodiscard]] std::vector<std::string> needs_restart(const config::Config& running,
                                                     const config::Config& next);

// What else `next` changes, in one line of at most eight changes and the number of the others:
// "[backend.app] added 10.0.0.3:80, weight of a 1 -> 2; [listener.web] client_idle_timeout 60s ->
// 5s".
[[nodiscard]] std::string describe_changes(const config::Config& running,
                                           const config::Config& next);

// `next` with the parts of `running` that only a restart changes. Every name in it is declared in
// it.
[[nodiscard]] config::Config keep_fixed_parts(const config::Config& running, config::Config next);

[[nodiscard]] const char* to_string(config::Balance balance);
[[nodiscard]] const char* to_string(config::ServerWish wish);

}  // namespace weir::control
