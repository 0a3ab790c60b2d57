// `weir demo`: three embedded servers of different speed, weir in front of them, a live line.
#pragma once

#include "config/command_line.h"
#include "os/fd.h"

namespace weir::control {

// Runs until a signal; returns the exit code.
[[nodiscard]] int run_demo(config::Command command, os::Fd signals);

}  // namespace weir::control
