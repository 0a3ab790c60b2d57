// The command line -> what to do, with a complete Config for the forms that need no file.
//
// Pure: nothing is opened or printed here. CLI11 does the splitting; its texts and exit codes stay
// inside.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "config/config.h"

namespace weir::config {

// Where `run` and `validate` look without -c: the first that exists, the local one first.
inline constexpr const char* kLocalConfigPath = "weir.toml";
inline constexpr const char* kSystemConfigPath = "/etc/weir/weir.toml";

// Process exit codes, documented in docs/configuration.md.
inline constexpr int kExitOk = 0;
inline constexpr int kExitRefused = 1;         // Could not start, or `validate` found errors.
inline constexpr int kExitUsage = 2;           // The command line is wrong.
inline constexpr int kExitInvalidConfig = 78;  // `run` with an invalid file (EX_CONFIG).

struct Command {
  enum class Verb : std::uint8_t {
    classic,   // `config` is complete.
    proxy,     // `config` is complete.
    run,       // `config_path`, or empty for the default places.
    validate,  // The same, with `json` and `strict`.
    demo,      // `config` has a listener and a backend without servers; `demo_port`.
    version,
    help,  // Print `help`.
  };
  Verb verb = Verb::help;
  Config config;
  std::string config_path;
  bool json = false;    // Diagnostics as JSON.
  bool strict = false;  // Warnings count as errors.
  // Port the demo listens on at 127.0.0.1; 0 means any free one, empty the default with fallback.
  std::optional<std::uint16_t> demo_port;
  std::string help;  // Complete text for standard output, ends with a line end.
};

struct CommandLineError {
  std::string message;  // For standard error, without the line end; one line unless usage.
  int exit_code = kExitUsage;
};

[[nodiscard]] Result<Command, CommandLineError> parse_command_line(int argc,
                                                                   const char* const* argv);

}  // namespace weir::config
