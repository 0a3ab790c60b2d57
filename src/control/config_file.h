// The configuration file: where it is, what is in it, and telling the operator what is wrong.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/command_line.h"
#include "config/load.h"
#include "os/fd.h"

namespace weir::control {

// The path given, or the first default place that exists, or the local default.
[[nodiscard]] std::string config_path(const std::string& given);

struct ConfigFile {
  std::optional<config::Config> config;  // Empty when there are errors.
  std::vector<config::Diagnostic> diagnostics;
};
// Blocks while reading; a pipe is given up when `signals` reports something. With `strict`,
// warnings leave the configuration empty too.
[[nodiscard]] ConfigFile read_config(const std::string& path, bool strict,
                                     const os::Fd& signals = {});
// The same for the file of `command`, which is at `path`; says where it was looked for.
[[nodiscard]] ConfigFile read_chosen(const config::Command& command, const std::string& path,
                                     const os::Fd& signals = {});

// The diagnostics as text, in colour when standard error is a terminal; empty when there are none.
[[nodiscard]] std::string diagnostics_text(const ConfigFile& file, const std::string& outcome);
// Writes that to standard error. Blocks.
void print_diagnostics(const ConfigFile& file, const std::string& outcome);

// `weir validate`: prints what is found, returns the exit code.
[[nodiscard]] int validate(const config::Command& command);

}  // namespace weir::control
