// What a configuration asks for and this machine does not have.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/diagnostics.h"
#include "control/connection_room.h"

namespace weir::control {

// Errors of `config`, which was read from `file`. `congestion_controls`: the algorithms anybody may
// use, with blanks between; empty when that is not known, and then everything is.
[[nodiscard]] std::vector<config::Diagnostic> check_congestion(
    const config::Config& config, const std::string& file, std::string_view congestion_controls);

// What weir run would refuse with this room, as a warning: another machine may have more.
[[nodiscard]] std::vector<config::Diagnostic> check_room(const config::Config& config,
                                                         const std::string& file, const Room& room);

// The congestion controls, by what the kernel says.
[[nodiscard]] std::vector<config::Diagnostic> check_machine(const config::Config& config,
                                                            const std::string& file);

}  // namespace weir::control
