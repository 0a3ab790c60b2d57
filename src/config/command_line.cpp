#include "config/command_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "config/arguments.h"
#include "config/command_line_help.h"
#include "config/endpoint.h"
#include "config/server_address.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

using Words = std::span<const std::string>;
using Parsed = Result<Command, Problem>;

constexpr std::uint32_t kClassicWorkers = 4;
constexpr std::uint32_t kWorkersMax = 256;
constexpr std::uint32_t kRequestsMax = 1'000'000'000;
constexpr std::uint32_t kServerLimitMax = 1'000'000;
constexpr std::uint16_t kClassicUnavailable = 500;
constexpr std::uint32_t kClassicCheckRequests = 5;

constexpr auto kVerbs =
    std::to_array<std::string_view>({"proxy", "run", "validate", "demo", "version", "help"});

// What other programs call these commands, and what stands for commands that weir does not have.
struct Habit {
  std::string_view word;
  std::string_view write;
};
constexpr auto kHabits = std::to_array<Habit>({
    {"start", "write weir run -c FILE"},
    {"serve", "write weir run -c FILE"},
    {"check", "write weir validate -c FILE"},
    {"test", "write weir validate -c FILE"},
    {"configtest", "write weir validate -c FILE"},
    {"stop", "send SIGTERM to the running weir"},
    {"quit", "send SIGTERM to the running weir"},
    {"reload", "send SIGHUP to the running weir"},
    {"reopen", "send SIGUSR1 to the running weir"},
});

constexpr OptionName kWorkers = {"--workers", 'N'};
constexpr OptionName kRequests = {"--requests", 'R'};
constexpr OptionName kBind = {"--bind"};
constexpr OptionName kMode = {"--mode"};
constexpr OptionName kServerLimit = {"--server-limit"};
constexpr OptionName kPort = {"--port"};
constexpr OptionName kTrigger = {"--trigger"};
constexpr OptionName kBalance = {"--balance"};
constexpr OptionName kAccessLog = {"--access-log"};
constexpr OptionName kAdmin = {"--admin"};
constexpr OptionName kConfig = {"--config", 'c'};
constexpr OptionName kVersion = {"--version", 'V', false};

constexpr auto kClassicOptions = std::to_array<OptionName>(
    {kWorkers, kRequests, kBind, kBalance, kServerLimit, kAccessLog, kAdmin, kTrigger, kVersion});
constexpr auto kProxyOptions = std::to_array<OptionName>(
    {{"--from"}, {"--to"}, kMode, kWorkers, kBalance, kAccessLog, kAdmin, kTrigger});
constexpr auto kDemoOptions =
    std::to_array<OptionName>({kPort, kWorkers, kBalance, kAccessLog, kAdmin, kTrigger});
constexpr auto kRunOptions = std::to_array<OptionName>({kConfig});
constexpr auto kValidateOptions = std::to_array<OptionName>(
    {kConfig, {"--json", 0, false}, {"--strict", 0, false}, {"--test", 't', false}});

Parsed help(std::string_view verb) {
  Command command;
  command.verb = Command::Verb::help;
  command.help = help_for(verb);
  return command;
}

// The one value of an option, or nothing.
Result<std::optional<std::string>, Problem> once(const Arguments& arguments,
                                                 const OptionName& option) {
  const auto values = arguments.all(option.name);
  if (values.empty()) return std::nullopt;
  const std::string& typed = arguments.typed(option.name);
  if (values.size() > 1) return Err(Problem{typed + " is given twice", "keep one"});
  if (values[0].empty()) return Err(Problem{typed + " is empty", "see weir --help"});
  return values[0];
}

Result<std::optional<std::uint32_t>, Problem> number(const Arguments& arguments,
                                                     const OptionName& option, std::uint32_t most) {
  const auto text = once(arguments, option);
  if (!text) return Err(text.error());
  if (!*text) return std::nullopt;
  const std::string_view digits = **text;
  const std::string& typed = arguments.typed(option.name);
  const std::string range = "use 1 to " + std::to_string(most);
  if (!all_digits(digits.substr(digits.starts_with('-') ? 1 : 0))) {
    return Err(Problem{typed + " " + in_backticks(digits) + " is not a whole number", range});
  }
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || value == 0 || value > most) {
    return Err(
        Problem{typed + " " + std::string(digits.substr(0, 20)) + " is out of range", range});
  }
  return value;
}

// The policies that a form without a file can have.
bool is_offered(Balance balance, const Arguments& arguments) {
  const bool tcp = arguments.has(kMode.name) && arguments.all(kMode.name).front() == "tcp";
  return hashed_part(balance).empty() && !(tcp && hashes_requests(balance));
}
bool is_offered(auto, const Arguments&) { return true; }

// An option whose values are words.
template <typename T, std::size_t kCount>
Result<std::optional<T>, Problem> choice(const Arguments& arguments, const OptionName& option,
                                         const Choice<T> (&known)[kCount]) {
  const auto text = once(arguments, option);
  if (!text) return Err(text.error());
  if (!*text) return std::nullopt;
  std::vector<std::string_view> names;
  for (const Choice<T>& one : known) {
    if (one.text == **text) return one.value;
    if (is_offered(one.value, arguments)) names.push_back(one.text);
  }
  return Err(not_among(option.name, **text, names));
}

// What the forms without a file have in common: --workers, --trigger, --balance, --access-log,
// --admin.
std::optional<Problem> read_common(const Arguments& arguments, Config& config) {
  const auto workers = number(arguments, kWorkers, kWorkersMax);
  if (!workers) return workers.error();
  if (*workers) config.runtime.workers = **workers;

  const auto trigger = choice(arguments, kTrigger, kTriggers);
  if (!trigger) return trigger.error();
  config.runtime.trigger = trigger->value_or(config.runtime.trigger);

  const auto balance = choice(arguments, kBalance, kBalances);
  if (!balance) return balance.error();
  if (*balance) {
    if (!hashed_part(**balance).empty()) {
      return Problem{"--balance " + arguments.all(kBalance.name).front() + " needs a hash_key",
                     "write a file for weir run -c FILE"};
    }
    config.backends.front().balance = **balance;
  }

  const auto log = once(arguments, kAccessLog);
  if (!log) return log.error();
  if (*log) config.log.access = **log;

  const auto admin = once(arguments, kAdmin);
  if (!admin) return admin.error();
  if (!*admin) return std::nullopt;
  const auto endpoint = parse_endpoint(**admin, Use::admin);
  if (!endpoint) return Problem{"--admin: " + endpoint.error().what, endpoint.error().fix};
  config.admin = *endpoint;
  return std::nullopt;
}

// One listener, one backend and the route between them.
Config skeleton() {
  Config config;
  config.listeners.emplace_back().name = "main";
  config.backends.emplace_back().name = "servers";
  config.routes.emplace_back().backends = {{"servers"}};
  return config;
}

// `apart`: how several servers are written.
std::optional<Problem> add_servers(Words texts, const char* apart, Config& config) {
  std::set<std::string> names;
  for (const std::string& text : texts) {
    auto server = parse_server(text);
    if (!server) {
      auto [what, fix] = server.error();
      if (text.find(',') != std::string::npos) fix = apart;
      const bool named = what.find(in_backticks(text)) != std::string::npos;
      return Problem{(named ? "server: " : "server " + in_backticks(text) + ": ") + what, fix};
    }
    // Without names of their own they are called what they are.
    if (!names.insert(server->name).second) {
      return Problem{"server " + server->name + " is given twice", "remove one"};
    }
    config.backends.front().servers.push_back(std::move(*server));
  }
  return std::nullopt;
}

// What `--mode tcp` makes of the skeleton: the listener names the backend, and there is no route.
std::optional<Problem> read_mode(const Arguments& arguments, Config& config) {
  const auto mode = choice(arguments, kMode, kModes);
  if (!mode) return mode.error();
  if (mode->value_or(ListenerMode::http) == ListenerMode::http) return std::nullopt;
  const Backend& backend = config.backends.front();
  if (hashes_requests(backend.balance)) {
    return Problem{"--balance uri_hash looks at requests, and --mode tcp has none",
                   "write --balance ip_hash"};
  }
  for (const std::string& server : arguments.all("--to")) {
    if (!lower(server).starts_with("http://")) continue;
    return Problem{"--to " + printable(server) + " means HTTP, and --mode tcp relays any bytes",
                   "leave out http:// or --mode tcp"};
  }
  config.listeners.front().mode = ListenerMode::tcp;
  config.listeners.front().backend = backend.name;
  config.routes.clear();
  return std::nullopt;
}

// Addresses that cannot be used beside each other.
std::optional<Problem> check_addresses(const Config& config) {
  std::vector<Endpoint> bound = config.listeners.front().bind;
  if (config.admin) bound.push_back(*config.admin);
  for (std::size_t i = 0; i < bound.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (bound[i] == bound[j]) {
        return Problem{bound[i].text() + " is to be listened on twice", "choose another port"};
      }
      if (overlaps(bound[i], bound[j])) {
        return Problem{bound[i].text() + " and " + bound[j].text() + " share a port",
                       "choose another port"};
      }
    }
    for (const Server& server : config.backends.front().servers) {
      if (!server.host && reaches(server.address, bound[i])) {
        return Problem{"server " + server.address.text() + " is weir itself",
                       "requests would go round in a circle; choose another port"};
      }
    }
  }
  return std::nullopt;
}

// `first` is no port: what was it meant to be?
Problem not_a_port(const std::string& first) {
  if (all_digits(first)) return parse_port(first).error();
  const std::string neither = in_backticks(first) + " is neither a command nor a port";
  const auto habit = std::ranges::find(kHabits, lower(first), &Habit::word);
  if (habit != kHabits.end()) return {neither, std::string(habit->write)};
  if (const auto verb = closest(first, kVerbs)) {
    return {neither, "did you mean " + in_backticks(*verb) + "?"};
  }
  if (first.ends_with(".toml")) {
    return {neither, "to use a file write `weir run -c " + printable(first) + "`"};
  }
  if (const auto address = parse_endpoint(first, Use::listen)) {
    if (address->family == Endpoint::Family::unix_path) {
      return {"the first argument is a port number",
              "use `weir proxy --from " + address->text() + " --to ADDRESS`"};
    }
    return {"the first argument is a port number",
            "write --bind " + address->host + " " + std::to_string(address->port)};
  }
  return {neither, "see weir --help"};
}

Parsed version() {
  Command command;
  command.verb = Command::Verb::version;
  return command;
}

// The servers are asked what they have to do; whatever they answer, they are up.
void classic_defaults(Config& config) {
  config.runtime.workers = kClassicWorkers;
  Backend& backend = config.backends.front();
  backend.unavailable_status = kClassicUnavailable;
  backend.balance = Balance::least_load;
  HealthCheck& health = backend.health;
  health.type = HealthCheck::Type::http;
  health.path = "/healthcheck";
  health.expect_status = {};
  health.load_report = true;
  health.every_requests = kClassicCheckRequests;
}

Parsed parse_classic(Words words) {
  const auto arguments = Arguments::split(words, kClassicOptions);
  if (!arguments) {
    // The options of a misspelt command are unknown as well; the command is what is wrong.
    const std::string& first = words.front();
    const bool command = !first.starts_with('-') && !all_digits(first);
    return Err(command ? not_a_port(first) : arguments.error());
  }
  if (arguments->has("--help")) return help("");
  if (arguments->has("--version")) return version();
  const std::vector<std::string>& given = arguments->words();
  if (given.empty()) return Err(Problem{"no port given", "for example: weir 8080 9001 9002"});
  const auto port = parse_port(given.front());
  if (!port) return Err(not_a_port(given.front()));
  if (given.size() == 1) {
    return Err(
        Problem{"no server given", "add at least one, e.g. weir " + given.front() + " 9001 9002"});
  }

  Command command;
  command.verb = Command::Verb::classic;
  command.config = skeleton();
  classic_defaults(command.config);
  Backend& backend = command.config.backends.front();
  if (auto problem = read_common(*arguments, command.config)) return Err(std::move(*problem));
  const auto requests = number(*arguments, kRequests, kRequestsMax);
  if (!requests) return Err(requests.error());
  if (*requests) backend.health.every_requests = **requests;
  const auto limit = number(*arguments, kServerLimit, kServerLimitMax);
  if (!limit) return Err(limit.error());
  backend.server_limit = *limit;
  const auto bind = once(*arguments, kBind);
  if (!bind) return Err(bind.error());
  const auto listen = parse_bind_ip(bind->value_or("0.0.0.0"), *port);
  if (!listen) return Err(Problem{"--bind: " + listen.error().what, listen.error().fix});
  command.config.listeners.front().bind = {*listen};
  const Words servers = Words(given).subspan(1);
  if (auto problem = add_servers(servers, "servers are separated by spaces", command.config))
    return Err(std::move(*problem));
  if (auto problem = check_addresses(command.config)) return Err(std::move(*problem));
  return command;
}

Problem unexpected_word(std::string_view verb, const std::string& word) {
  return {in_backticks(word) + " is one argument too many for `weir " + std::string(verb) + "`",
          "see weir help " + std::string(verb)};
}

Parsed parse_proxy(Words words) {
  const auto arguments = Arguments::split(words, kProxyOptions);
  if (!arguments) return Err(arguments.error());
  if (arguments->has("--help")) return help("proxy");
  if (!arguments->words().empty()) {
    const std::string& word = arguments->words().front();
    const bool listens = !arguments->has("--from");
    const bool address =
        listens ? parse_endpoint(word, Use::listen).has_value() : parse_server(word).has_value();
    return Err(address ? Problem{in_backticks(word) + " belongs behind an option",
                                 (listens ? "write --from " : "write --to ") + printable(word)}
                       : unexpected_word("proxy", word));
  }
  if (!arguments->has("--from")) {
    return Err(Problem{"no --from given", "say where to listen, e.g. --from :8080"});
  }
  if (!arguments->has("--to")) {
    return Err(Problem{"no --to given", "add at least one server, e.g. --to 127.0.0.1:9001"});
  }
  Command command;
  command.verb = Command::Verb::proxy;
  command.config = skeleton();
  if (auto problem = read_common(*arguments, command.config)) return Err(std::move(*problem));
  if (auto problem = read_mode(*arguments, command.config)) return Err(std::move(*problem));
  for (const std::string& from : arguments->all("--from")) {
    const auto listen = parse_endpoint(from, Use::listen);
    if (!listen) return Err(Problem{"--from: " + listen.error().what, listen.error().fix});
    command.config.listeners.front().bind.push_back(*listen);
  }
  const Words servers = arguments->all("--to");
  if (auto problem = add_servers(servers, "repeat --to for each server", command.config))
    return Err(std::move(*problem));
  if (auto problem = check_addresses(command.config)) return Err(std::move(*problem));
  return command;
}

// `run` and `validate`: a file and flags.
Parsed parse_with_file(Command::Verb verb, std::string_view name, Words words,
                       std::span<const OptionName> options) {
  const auto arguments = Arguments::split(words, options);
  if (!arguments) return Err(arguments.error());
  if (arguments->has("--help")) return help(name);
  if (!arguments->words().empty()) {
    const std::string& word = arguments->words().front();
    if (word.find_first_of("./") == std::string::npos) return Err(unexpected_word(name, word));
    return Err(Problem{"the file needs -c in front",
                       "write weir " + std::string(name) + " -c " + printable(word)});
  }
  Command command;
  command.verb = verb;
  auto file = once(*arguments, kConfig);
  if (!file) return Err(std::move(file.error()));
  command.config_path = file->value_or("");
  command.json = arguments->has("--json");
  command.strict = arguments->has("--strict");
  return command;
}

Parsed parse_demo(Words words) {
  const auto arguments = Arguments::split(words, kDemoOptions);
  if (!arguments) return Err(arguments.error());
  if (arguments->has("--help")) return help("demo");
  if (!arguments->words().empty()) {
    const std::string& word = arguments->words().front();
    return Err(parse_port(word)
                   ? Problem{"the port needs --port in front", "write weir demo --port " + word}
                   : unexpected_word("demo", word));
  }
  Command command;
  command.verb = Command::Verb::demo;
  command.config = skeleton();
  if (auto problem = read_common(*arguments, command.config)) return Err(std::move(*problem));
  const auto port = once(*arguments, kPort);
  if (!port) return Err(port.error());
  if (*port == "0") {
    command.demo_port = std::uint16_t{0};
  } else if (*port) {
    const auto parsed = parse_port(**port);
    if (!parsed) return Err(Problem{"--port: " + parsed.error().what, parsed.error().fix});
    command.demo_port = *parsed;
  }
  return command;
}

Parsed parse_version(Words words) {
  const auto arguments = Arguments::split(words, {});
  if (!arguments) return Err(arguments.error());
  if (arguments->has("--help")) return help("version");
  if (!arguments->words().empty()) {
    return Err(unexpected_word("version", arguments->words().front()));
  }
  return version();
}

Parsed parse_help(Words words) {
  if (words.empty()) return help("");
  const std::string& topic = words.front();
  if (topic.starts_with('-')) return help("");
  if (std::ranges::find(kVerbs, topic) == kVerbs.end()) {
    Problem problem = {"there is no command " + in_backticks(topic),
                       "commands are " + joined(kVerbs)};
    if (const auto verb = closest(topic, kVerbs)) {
      problem.fix = "did you mean " + in_backticks(*verb) + "?";
    }
    return Err(std::move(problem));
  }
  return help(topic);
}

// `first` is an option that needs a command in front, or a command written as an option.
std::optional<Problem> without_command(const std::string& first) {
  if (first.starts_with("-c") || first.starts_with("--config")) {
    return Problem{"a file needs a command", "write weir run -c FILE or weir validate -c FILE"};
  }
  if (first.starts_with("--from") || first.starts_with("--to")) {
    return Problem{"--from and --to need a command",
                   "write weir proxy --from ADDRESS --to ADDRESS"};
  }
  if (first.starts_with("--mode")) {
    return Problem{"--mode needs a command",
                   "write weir proxy --mode tcp --from ADDRESS --to ADDRESS"};
  }
  if (first == "--version" || first == "--help" || !first.starts_with("--")) return std::nullopt;
  const std::string verb = first.substr(2);
  if (std::ranges::find(kVerbs, verb) == kVerbs.end()) return std::nullopt;
  return Problem{"commands have no dashes", "write weir " + verb};
}

Parsed parse(Words words) {
  const std::string& first = words.front();
  const Words rest = words.subspan(1);
  if (first == "proxy") return parse_proxy(rest);
  if (first == "run") return parse_with_file(Command::Verb::run, "run", rest, kRunOptions);
  if (first == "validate") {
    return parse_with_file(Command::Verb::validate, "validate", rest, kValidateOptions);
  }
  if (first == "demo") return parse_demo(rest);
  if (first == "version") return parse_version(rest);
  if (first == "help") return parse_help(rest);
  // `weir -t -c FILE`, in any order, for hands that know nginx and HAProxy.
  const bool options_only = first.starts_with('-');
  const auto tests = [](const std::string& word) { return word.starts_with("-t"); };
  if (options_only && std::ranges::any_of(words, tests)) {
    return parse_with_file(Command::Verb::validate, "validate", words, kValidateOptions);
  }
  if (auto problem = without_command(first)) return Err(std::move(*problem));
  return parse_classic(words);
}

}  // namespace

Result<Command, CommandLineError> parse_command_line(int argc, const char* const* argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) words.emplace_back(argv[i]);
  if (words.empty()) {
    std::string usage(short_usage());
    usage.pop_back();
    return Err(CommandLineError{std::move(usage), kExitUsage});
  }
  auto command = parse(words);
  if (!command) {
    return Err(CommandLineError{"weir: " + printable(command.error().sentence()), kExitUsage});
  }
  return std::move(*command);
}

}  // namespace weir::config
