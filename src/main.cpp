// weir: parse the arguments, load the configuration, start.

#include <cstdio>
#include <string>
#include <utility>

#include "config/command_line.h"
#include "control/config_file.h"
#include "control/demo.h"
#include "control/program.h"
#include "control/version.h"
#include "os/process.h"

namespace {

using weir::config::Command;

int run_program(weir::config::Config config, const std::string& config_path, weir::os::Fd signals) {
  auto program = weir::control::Program::start(std::move(config), config_path, std::move(signals));
  if (!program) {
    std::fprintf(stderr, "weir: %s\n", program.error().c_str());
    return weir::config::kExitRefused;
  }
  (*program)->announce();
  return (*program)->run();
}

int run_file(const Command& command, weir::os::Fd signals) {
  const std::string path = weir::control::config_path(command.config_path);
  weir::control::ConfigFile file = weir::control::read_chosen(command, path, signals);
  // Asked to stop while it waited for a pipe's writer; what was read is not to blame.
  if (!file.config && weir::os::signals_next(signals) == weir::os::Signal::terminate) {
    return weir::config::kExitOk;
  }
  weir::control::print_diagnostics(file, file.config ? "starting" : "weir does not start");
  if (!file.config) return weir::config::kExitInvalidConfig;
  return run_program(std::move(*file.config), path, std::move(signals));
}

// The commands without a loop.
int print_only(const Command& command) {
  int code = weir::config::kExitOk;
  switch (command.verb) {
    case Command::Verb::validate: code = weir::control::validate(command); break;
    case Command::Verb::version: std::printf("weir %s\n", weir::control::kVersion); break;
    default: std::fputs(command.help.c_str(), stdout);
  }
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fputs("weir: cannot write to standard output; nothing, or not all, was printed\n", stderr);
  return weir::config::kExitRefused;
}

}  // namespace

int main(int argc, char** argv) {
  weir::os::open_missing_streams();
  // First of all: a stop that comes while weir starts is kept for its loop, which ends in order.
  weir::os::Fd signals = weir::os::signals_open();
  auto command = weir::config::parse_command_line(argc, argv);
  if (!command) {
    std::fprintf(stderr, "%s\n", command.error().message.c_str());
    return command.error().exit_code;
  }
  switch (command->verb) {
    case Command::Verb::run: return run_file(*command, std::move(signals));
    case Command::Verb::demo: return weir::control::run_demo(*command, std::move(signals));
    case Command::Verb::classic:
    case Command::Verb::proxy:
      return run_program(std::move(command->config), {}, std::move(signals));
    default: weir::os::signals_release(std::move(signals)); return print_only(*command);
  }
}
