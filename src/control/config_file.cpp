#include "control/config_file.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include "control/machine_check.h"
#include "os/privileges.h"
#include "os/process.h"

namespace weir::control {
namespace {

void print(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

// What only the machine knows, and the start would find out.
void check_account(const std::string& path, ConfigFile& file) {
  if (!file.config) return;
  const config::Runtime& runtime = file.config->runtime;
  std::string missing = os::missing_account({runtime.user, runtime.group, runtime.core_dumps});
  if (missing.empty()) return;
  config::Diagnostic found;
  found.code = config::Code::unknown_reference;
  found.file = path;
  found.message = std::move(missing);
  file.diagnostics.push_back(std::move(found));
  file.config.reset();
}

// What would only be found out by the start, and another limit of open files would change.
void look_for_room(const std::string& path, ConfigFile& file) {
  if (!file.config) return;
  const Room room = {worker_count(file.config->runtime), os::raise_descriptor_limit()};
  auto found = check_room(*file.config, path, room);
  std::ranges::move(found, std::back_inserter(file.diagnostics));
}

}  // namespace

std::string config_path(const std::string& given) {
  if (!given.empty()) return given;
  if (os::file_exists(config::kLocalConfigPath)) return config::kLocalConfigPath;
  if (os::file_exists(config::kSystemConfigPath)) return config::kSystemConfigPath;
  return config::kLocalConfigPath;
}

ConfigFile read_config(const std::string& path, bool strict, const os::Fd& signals) {
  ConfigFile file;
  const Result<std::string, std::string> text = os::read_file(path, signals);
  if (!text) {
    file.diagnostics.push_back(config::unreadable_file(path, text.error()));
    return file;
  }
  Result<config::Loaded, std::vector<config::Diagnostic>> loaded = config::load_text(*text, path);
  if (!loaded) {
    file.diagnostics = std::move(loaded.error());
    return file;
  }
  file.diagnostics = check_machine(loaded->config, path);
  if (!file.diagnostics.empty()) return file;
  file.diagnostics = std::move(loaded->warnings);
  if (!strict || file.diagnostics.empty()) file.config = std::move(loaded->config);
  return file;
}

std::string diagnostics_text(const ConfigFile& file, const std::string& outcome) {
  if (file.diagnostics.empty()) return {};
  return config::render_text(file.diagnostics, {os::is_terminal(2), outcome});
}

void print_diagnostics(const ConfigFile& file, const std::string& outcome) {
  print(stderr, diagnostics_text(file, outcome));
}

ConfigFile read_chosen(const config::Command& command, const std::string& path,
                       const os::Fd& signals) {
  ConfigFile file = read_config(path, command.strict, signals);
  if (file.config || !command.config_path.empty()) return file;
  config::Diagnostic& first = file.diagnostics.front();
  if (first.code != config::Code::unreadable_file) return file;
  first.help = std::string("looked for ") + config::kLocalConfigPath + " and " +
               config::kSystemConfigPath + "; another file is chosen with -c FILE";
  return file;
}

int validate(const config::Command& command) {
  const std::string path = config_path(command.config_path);
  ConfigFile file = read_chosen(command, path);
  look_for_room(path, file);
  check_account(path, file);
  if (command.strict && !file.diagnostics.empty()) file.config.reset();
  const bool valid = file.config.has_value();
  if (command.json) {
    print(stdout, config::render_json(file.diagnostics));
  } else {
    print_diagnostics(file, valid ? "configuration is valid" : "configuration is NOT valid");
    if (valid) print(stdout, path + ": configuration is valid\n");
  }
  return valid ? config::kExitOk : config::kExitRefused;
}

}  // namespace weir::control
