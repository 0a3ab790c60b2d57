// [backend.NAME]: a set of servers and how requests are spread over them.
#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "config/draft.h"
#include "config/endpoint.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kWeightMax = 1000;
constexpr std::uint32_t kServerLimitMax = 1'000'000;
constexpr std::string_view kServersExample = "servers = [\"127.0.0.1:9001\"]";

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
    std::optional<std::string> name;
    if (const Value* value = table.string("name")) {
      if (is_name(value->text)) {
        name = value->text;
      } else {
        report_.add(Code::bad_name, value->span,
                    in_backticks(value->text) + " cannot be the name of a server",
                    "use 1 to 64 letters, digits, `_`, `.` and `-`");
      }
    }
    const auto weight = table.number("weight", 0, kWeightMax);
    if (!server) return;
    if (name) server->name = *name;
    if (weight) server->weight = *weight;
    const Value* where = table.find(name ? "name" : "address");
    add(std::move(server), where->span);
  }

  std::optional<Server> load_address(const Value& value) {
    auto endpoint = parse_endpoint(value.text, Use::server);
    if (!endpoint) {
      report_.add(Code::bad_address, value.span, with_options(value.text, endpoint.error()));
      return std::nullopt;
    }
    draft_.servers.push_back({*endpoint, value.span, backend_.title()});
    Server server;
    server.name = endpoint->text();
    server.address = std::move(*endpoint);
    return server;
  }

  // "127.0.0.1:9001 weight=5" is how nginx and HAProxy write it.
  static Problem with_options(std::string_view text, Problem problem) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || !parse_endpoint(text.substr(0, space), Use::server)) {
      return problem;
    }
    const std::size_t weight = text.find("weight");
    std::string_view number = weight == std::string_view::npos ? "" : text.substr(weight + 6);
    number.remove_prefix(std::min(number.find_first_not_of(" ="), number.size()));
    number = number.substr(0, number.find_first_not_of("0123456789"));
    problem.what = "an address takes no options";
    problem.fix = "write { address = \"" + std::string(text.substr(0, space)) + "\"" +
                  (number.empty() ? "" : ", weight = " + std::string(number.substr(0, 4))) + " }";
    return problem;
  }

  void add(std::optional<Server> server, const Span& span) {
    if (!server) return;
    const auto [by_address, new_address] = addresses_.emplace(server->address.text(), span.line);
    const auto [by_name, new_name] = names_.emplace(server->name, span.line);
    if (!new_address) {
      report_.add(Code::duplicate_server, span,
                  "server " + server->address.text() + " is given twice",
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

void load_backends(const Member& member, Draft& draft, Report& report) {
  draft.has_backend_table = true;
  for_each_named(member, report, [&](const Member& named) {
    const TableReader table(named.value, named.value.span, TableKind::backend,
                            "[backend." + named.key + "]", report);
    Backend backend;
    backend.name = named.key;
    ServerList(table, backend, draft).load();
    table.choice<Balance>("balance", kBalances, backend.balance);
    table.duration("connect_timeout", backend.timeouts.connect);
    table.duration("response_head_timeout", backend.timeouts.response_head);
    table.duration("response_body_timeout", backend.timeouts.response_body);
    table.duration("idle_timeout", backend.timeouts.idle);
    if (const auto status = table.number("unavailable_status", 500, 599)) {
      backend.unavailable_status = static_cast<std::uint16_t>(*status);
    }
    backend.server_limit = table.number("server_limit", 1, kServerLimitMax);
    draft.backends.emplace(backend.name, named.key_span);
    draft.config.backends.push_back(std::move(backend));
  });
}

}  // namespace weir::config
