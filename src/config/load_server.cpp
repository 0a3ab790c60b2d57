// `servers` of [backend.NAME]: addresses and host names, as strings or tables.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "config/draft.h"
#include "config/load_backend.h"
#include "config/server_address.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kWeightMax = 1000;
constexpr std::uint32_t kTierMax = 9;
constexpr std::string_view kServersExample = "servers = [\"127.0.0.1:9001\"]";

// "127.0.0.1:9001 weight=5" is how nginx and HAProxy write it.
Problem with_options(std::string_view text, Problem problem) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || !parse_server(text.substr(0, space))) return problem;
  const std::size_t weight = text.find("weight");
  std::string_view number = weight == std::string_view::npos ? "" : text.substr(weight + 6);
  number.remove_prefix(std::min(number.find_first_not_of(" ="), number.size()));
  number = number.substr(0, number.find_first_not_of("0123456789"));
  problem.what = "an address takes no options";
  problem.fix = "write { address = \"" + std::string(text.substr(0, space)) + "\"" +
                (number.empty() ? "" : ", weight = " + std::string(number.substr(0, 4))) + " }";
  return problem;
}

// Reads the servers of one backend and refuses the second of a kind.
class ServerList {
 public:
  ServerList(const TableReader& backend, Backend& out, Draft& draft)
      : backend_(backend), report_(backend.report()), out_(out), draft_(draft) {}

  void load() {
    const Value* servers = backend_.require("servers", kServersExample);
    if (servers == nullptr) return;
    if (servers->type == Value::Type::string) {
      add(load_address(*servers), servers->span);
      return;
    }
    if (servers->type != Value::Type::array) {
      backend_.wrong_type("servers", *servers, "an array",
                          "write `" + std::string(kServersExample) + "`");
      return;
    }
    if (servers->items.empty()) {
      report_.add(Code::empty_value, servers->span, backend_.title() + " has no servers",
                  "name at least one: [\"127.0.0.1:9001\"]");
    }
    for (const Value& item : servers->items) load_item(item);
    if (!out_.servers.empty() &&
        std::ranges::all_of(out_.servers, [](const Server& s) { return s.weight == 0; })) {
      report_.add(Code::no_weight, servers->span,
                  "every server of " + backend_.title() + " has weight 0",
                  "no request is sent to any of them");
    }
  }

 private:
  void load_item(const Value& item) {
    if (item.type == Value::Type::string) {
      add(load_address(item), item.span);
    } else if (item.type == Value::Type::table) {
      load_table(item);
    } else {
      const bool port = item.type == Value::Type::integer;
      report_.add(Code::wrong_type, item.span,
                  "a server must be a string or a table, not " + std::string(type_name(item.type)),
                  "write \"" + (port ? std::to_string(item.integer) : "127.0.0.1:9001") + "\"");
    }
  }

  void load_table(const Value& item) {
    const TableReader table(item, item.span, TableKind::server, "a server of " + backend_.title(),
                            report_);
    std::optional<Server> server;
    if (table.require("address", "address = \"127.0.0.1:9001\"") != nullptr) {
      if (const Value* address = table.string("address")) server = load_address(*address);
    }
    std::string name;
    table.parsed("name", Code::bad_name, server_name, name);
    Server options;
    table.number("weight", 0, kWeightMax, options.weight);
    load_priority(table, options);
    options.limit = table.number("limit", 1, kServerLimitMax);
    table.choice<ServerWish>("state", kServerWishes, options.state);
    if (!server) return;
    if (!name.empty()) server->name = name;
    server->weight = options.weight;
    server->priority = options.priority;
    server->limit = options.limit;
    server->state = options.state;
    add(std::move(server), table.find(name.empty() ? "address" : "name")->span);
  }

  static Result<std::string, Problem> server_name(std::string_view text) {
    if (is_name(text)) return std::string(text);
    return Err(Problem{in_backticks(text) + " cannot be the name of a server",
                       "use 1 to 64 letters, digits, `_`, `.` and `-`"});
  }

  // `backup = true` is the last of the priorities.
  void load_priority(const TableReader& table, Server& server) {
    table.number("priority", 0, kTierMax, server.priority);
    const Value* given = table.find("backup");
    bool backup = false;
    table.boolean("backup", backup);
    if (given != nullptr && table.find("priority") != nullptr) {
      report_.add(Code::conflict, given->span, "a server has `priority` or `backup`, not both",
                  "keep one; backup = true is priority = 9");
    } else if (backup) {
      server.priority = kTierMax;
    }
  }

  std::optional<Server> load_address(const Value& value) {
    auto server = parse_server(value.text);
    if (!server) {
      report_.add(Code::bad_address, value.span, with_options(value.text, server.error()));
      return std::nullopt;
    }
    if (!server->host) draft_.servers.push_back({server->address, value.span, backend_.title()});
    return std::move(*server);
  }

  void add(std::optional<Server> server, const Span& span) {
    if (!server) return;
    const std::string address = server->host ? server->host->text() : server->address.text();
    const auto [by_address, new_address] = addresses_.emplace(address, span.line);
    const auto [by_name, new_name] = names_.emplace(server->name, span.line);
    if (!new_address) {
      report_.add(Code::duplicate_server, span, "server " + address + " is given twice",
                  "first in line " + std::to_string(by_address->second) + "; remove one");
    } else if (!new_name) {
      report_.add(Code::duplicate_server, span,
                  "two servers are called " + in_backticks(server->name),
                  "first in line " + std::to_string(by_name->second) + "; rename one");
    }
    out_.servers.push_back(std::move(*server));
  }

  const TableReader& backend_;
  Report& report_;
  Backend& out_;
  Draft& draft_;
  std::map<std::string, std::uint32_t> addresses_;  // To the line of the first.
  std::map<std::string, std::uint32_t> names_;
};

}  // namespace

void load_servers(const TableReader& backend, Backend& out, Draft& draft) {
  ServerList(backend, out, draft).load();
}

}  // namespace weir::config
