// Arguments, one per line of the input: a command whose configuration keeps its promises, or a
// message of one printable line.
#include "config/command_line.h"

#include <string>
#include <vector>

#include "base/check.h"
#include "config/endpoint.h"
#include "config/server_address.h"
#include "input.h"
#include "printable.h"

namespace {

using namespace weir;
using config::Command;

void check_endpoint(const config::Endpoint& endpoint, config::Use use) {
  const auto again = config::parse_endpoint(endpoint.text(), use);
  CHECK(again && *again == endpoint, "an address is not read as it is written");
}

void check_server(const config::Server& server) {
  if (!server.host) return check_endpoint(server.address, config::Use::server);
  const auto again = config::parse_server(server.host->text());
  CHECK(again && again->host == server.host, "a name is not read as it is written");
}

void check_config(const Command& command) {
  const config::Config& config = command.config;
  const bool demo = command.verb == Command::Verb::demo;
  if (!demo && command.verb != Command::Verb::classic && command.verb != Command::Verb::proxy) {
    return;
  }
  CHECK(config.listeners.size() == 1 && config.backends.size() == 1);
  const bool tcp = config.listeners[0].mode == config::ListenerMode::tcp;
  CHECK(config.routes.size() == (tcp ? 0u : 1u));
  const std::string& used =
      tcp ? config.listeners[0].backend : config.routes[0].backends[0].backend;
  CHECK(used == config.backends[0].name);
  CHECK(config.listeners[0].bind.empty() == demo && config.backends[0].servers.empty() == demo);
  CHECK(!config.runtime.workers ||
        (*config.runtime.workers >= 1 && *config.runtime.workers <= 256));
  for (const auto& bind : config.listeners[0].bind) check_endpoint(bind, config::Use::listen);
  for (const auto& server : config.backends[0].servers) {
    check_server(server);
  }
  if (config.admin) check_endpoint(*config.admin, config::Use::admin);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> words = {"weir"};
  for (std::string_view rest = fuzz::Input(data, size).rest(); !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find('\n'));
    words.emplace_back(word.substr(0, word.find('\0')));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  }
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  const int argc = static_cast<int>(argv.size());
  argv.push_back(nullptr);

  const auto command = config::parse_command_line(argc, argv.data());
  if (command) {
    CHECK((command->verb == Command::Verb::help) == !command->help.empty());
    check_config(*command);
    return 0;
  }
  const config::CommandLineError& error = command.error();
  CHECK(error.exit_code == config::kExitUsage && !error.message.empty());
  // Without arguments it is the usage, of several lines.
  fuzz::check_printable(error.message, argc == 1);
  return 0;
}
