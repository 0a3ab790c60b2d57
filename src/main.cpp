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
  std::fputs((*program)->describe().c_str(), stderr);
  return (*program)->run();
}

int run_file(const Command& command, weir::os::Fd signals) {
  const std::string path = weir::control::config_path(command.config_path);
  weir::control::ConfigFile file = weir::control::read_config(path, command.strict);
  weir::control::print_diagnostics(file, file.config ? "starting" : "weir does not start");
  if (!file.config) return weir::config::kExitInvalidConfig;
  return run_program(std::move(*file.config), path, std::move(signals));
}

}  // namespace

int main(int argc, char** argv) {
  weir::os::open_missing_streams();
  auto command = weir::config::parse_command_line(argc, argv);
  if (!command) {
    std::fprintf(stderr, "%s\n", command.error().message.c_str());
    return command.error().exit_code;
  }
  switch (command->verb) {
    case Command::Verb::help: std::fputs(command->help.c_str(), stdout); return 0;
    case Command::Verb::version: std::printf("weir %s\n", weir::control::kVersion); return 0;
    case Command::Verb::validate: return weir::control::validate(*command);
    default: break;
  }
  weir::os::Fd signals = weir::os::signals_open();
  switch (command->verb) {
    case Command::Verb::run: return run_file(*command, std::move(signals));
    case Command::Verb::demo: return weir::control::run_demo(*command, std::move(signals));
    default: return run_program(std::move(command->config), {}, std::move(signals));
  }
}
