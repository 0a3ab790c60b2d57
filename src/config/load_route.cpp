// [[route]]: which requests go to which backends.
#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/draft.h"
#include "config/http_words.h"
#include "config/match_rules.h"
#include "config/references.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kShareWeightMax = 1000;
constexpr std::uint32_t kRoutePriorityMax = 3;

// A kind of route beside the usual one: the key that makes it, and those it does not go with.
struct Kind {
  std::string_view key;
  std::span<const std::string_view> refused;
  std::string_view fix;
};
constexpr auto kRefusedBySni = std::to_array<std::string_view>(
    {"host", "path", "methods", "connect", "upgrade", "mirror", "limits"});
constexpr auto kRefusedByConnect =
    std::to_array<std::string_view>({"host", "path", "methods", "upgrade", "mirror"});
constexpr Kind kSni = {"sni", kRefusedBySni, "remove it; a TCP connection has no requests"};
constexpr Kind kConnect = {"connect", kRefusedByConnect,
                           "remove it; of CONNECT only the target is looked at"};

void reference(const TableReader& table, const Draft& draft, std::string& out) {
  table.parsed("backend", Code::unknown_reference, one_of("backend", draft.backends), out);
}

// One of `backends`: a name, or a table with a weight.
RouteBackend load_share(const Value& item, const TableReader& route, const Draft& draft) {
  RouteBackend share;
  if (item.type == Value::Type::string) {
    auto name = one_of("backend", draft.backends)(item.text);
    if (name) {
      share.backend = std::move(*name);
    } else {
      route.report().add(Code::unknown_reference, item.span, std::move(name.error()));
    }
  } else if (item.type == Value::Type::table) {
    const TableReader table(item, item.span, TableKind::route_backend, "a backend of [[route]]",
                            route.report());
    if (table.require("backend", "backend = \"NAME\"") != nullptr) {
      reference(table, draft, share.backend);
    }
    table.number("weight", 0, kShareWeightMax, share.weight);
  } else {
    route.report().add(Code::wrong_type, item.span,
                       "a backend of a route must be a string or a table, not " +
                           std::string(type_name(item.type)),
                       "write { backend = \"NAME\", weight = 10 }");
  }
  return share;
}

void load_shares(const Value& list, const TableReader& table, const Draft& draft, Route& route) {
  Report& report = table.report();
  if (list.type != Value::Type::array) {
    table.wrong_type("backends", list, "an array",
                     "write [{ backend = \"NAME\", weight = 90 }, ...], or use `backend`");
    return;
  }
  if (list.items.empty()) {
    report.add(Code::empty_value, list.span, "`backends` is an empty array", "name at least one");
  }
  std::set<std::string> seen;
  for (const Value& item : list.items) {
    RouteBackend share = load_share(item, table, draft);
    if (!share.backend.empty() && !seen.insert(share.backend).second) {
      report.add(Code::listed_twice, item.span,
                 "`" + share.backend + "` is listed twice in `backends`",
                 "remove one, and give the other both weights");
    }
    route.backends.push_back(std::move(share));
  }
  if (!route.backends.empty() &&
      std::ranges::all_of(route.backends, [](const RouteBackend& b) { return b.weight == 0; })) {
    report.add(Code::out_of_range, list.span, "every backend of this route has weight 0",
               "give one of them a weight of 1 or more");
  }
}

void load_backends_of(const TableReader& table, const Draft& draft, Route& route) {
  const Value* list = table.find("backends");
  if (list == nullptr) {
    const Value* one = table.require("backend", "backend = \"NAME\"");
    if (one == nullptr) return;
    if (one->type == Value::Type::array) {
      table.wrong_type("backend", *one, "a string", "several stand in `backends`");
      return;
    }
    std::string name;
    reference(table, draft, name);
    if (!name.empty()) route.backends = {{std::move(name)}};
    return;
  }
  if (const Value* one = table.find("backend")) {
    table.report().add(Code::conflict, one->span, "a route has `backend` or `backends`, not both",
                       "keep one of them");
  }
  load_shares(*list, table, draft, route);
}

// "mirror = "m"" or "{ backend = "m", percent = 5 }".
void load_mirror(const TableReader& table, const Draft& draft, Route& route) {
  const Value* value = table.find("mirror");
  if (value == nullptr) return;
  Mirror mirror;
  if (value->type == Value::Type::table) {
    const TableReader inner(*value, value->span, TableKind::mirror, "mirror of [[route]]",
                            table.report());
    if (inner.require("backend", "backend = \"NAME\"") != nullptr) {
      reference(inner, draft, mirror.backend);
    }
    inner.number("percent", 0, 100, mirror.percent);
  } else {
    table.parsed("mirror", Code::unknown_reference, one_of("backend", draft.backends),
                 mirror.backend);
  }
  if (!mirror.backend.empty()) route.mirror = std::move(mirror);
}

// Listeners of the mode that the route is for.
void load_listeners_of(const TableReader& table, Draft& draft, Route& route) {
  const bool sni = table.find("sni") != nullptr;
  const auto wanted = sni || table.misspelt("sni") ? ListenerMode::tcp : ListenerMode::http;
  const auto known = one_of("listener", draft.listeners);
  const auto usable = [&](std::string_view text) -> Result<std::string, Problem> {
    const auto mode = draft.modes.find(text);
    if (mode == draft.modes.end() || mode->second == wanted) return known(text);
    const std::string name(text);
    if (sni) {
      return Err(Problem{in_backticks(name) + " is an HTTP listener, where no server name is seen",
                         "use `host`, or add mode = \"tcp\" to [listener." + name + "]"});
    }
    return Err(Problem{in_backticks(name) + " is a TCP listener, and this route has no `sni`",
                       "add `sni`, or write backend = \"NAME\" in [listener." + name + "]"});
  };
  route.listeners = table.parsed_list("listener", Code::unknown_reference, usable);
  if (wanted == ListenerMode::http) return;
  if (route.listeners.empty()) draft.without_backend.clear();
  for (const std::string& name : route.listeners) draft.without_backend.erase(name);
}

void note_uses(const TableReader& table, const Route& route, Uses& uses) {
  const auto has = [&](std::string_view key) {
    return table.find(key) != nullptr || table.misspelt(key);
  };
  const bool sni = has("sni");
  auto& kind = sni ? uses.tcp : has("connect") ? uses.tunnels : uses.http;
  bool unclear = route.backends.empty();
  for (const RouteBackend& share : route.backends) {
    unclear |= share.backend.empty();
    kind.insert(share.backend);
  }
  (sni ? uses.tcp_unclear : uses.http_unclear) |= unclear;
  if (route.mirror) uses.http.insert(route.mirror->backend);
  uses.http_unclear |= !route.mirror && has("mirror");
}

void refuse_keys(const TableReader& table, const Kind& kind) {
  for (std::string_view key : kind.refused) {
    const Value* value = table.find(key);
    if (value == nullptr) continue;
    table.report().add(
        Code::conflict, value->span,
        in_backticks(key) + " means nothing to a route with " + in_backticks(kind.key),
        std::string(kind.fix));
  }
}

// "CONNECT" is a method like others, but no route takes it for that.
Result<std::string, Problem> route_method(std::string_view text) {
  if (text != "CONNECT") return parse_method(text);
  return Err(Problem{"CONNECT goes by its target", "write connect = [\"db.example:5432\"]"});
}

void load_rule(const TableReader& table, Route& route) {
  if (table.find("sni") != nullptr) {
    refuse_keys(table, kSni);
    route.sni = table.parsed_list("sni", Code::bad_host, parse_sni_pattern);
    return;
  }
  if (table.find("connect") != nullptr) {
    refuse_keys(table, kConnect);
    route.connect = table.parsed_list("connect", Code::bad_address, parse_connect_target);
    return;
  }
  route.hosts = table.parsed_list("host", Code::bad_host, parse_host_pattern);
  route.methods = table.parsed_list("methods", Code::bad_method, route_method);
  table.parsed("path", Code::bad_path, parse_path_pattern, route.path);
  if (table.is_empty_list("upgrade")) {
    route.upgrade.clear();
  } else if (table.find("upgrade") != nullptr) {
    route.upgrade = table.parsed_list("upgrade", Code::bad_field, parse_upgrade);
  }
}

Route load_route(const TableReader& table, Draft& draft) {
  Route route;
  load_listeners_of(table, draft, route);
  load_rule(table, route);
  load_backends_of(table, draft, route);
  load_mirror(table, draft, route);
  note_uses(table, route, draft.uses);
  route.limits = read_references(table, "limits", "limit", draft.limits);
  table.number("priority", 0, kRoutePriorityMax, route.priority);
  return route;
}

}  // namespace

void load_routes(const Member& member, Draft& draft, Report& report) {
  const Value& routes = member.value;
  const bool tables =
      routes.type == Value::Type::array && std::ranges::all_of(routes.items, [](const Value& item) {
        return item.type == Value::Type::table;
      });
  if (!tables) {
    report.add(Code::wrong_type, member.key_span, "routes are a list, in the order they are tried",
               "write [[route]] with two brackets");
    draft.uses.all_unclear();
    return;
  }
  for (const Value& item : routes.items) {
    const TableReader table(item, item.span, TableKind::route, "[[route]]", report);
    Route route = load_route(table, draft);
    route.line = item.span.line;
    draft.route_headers.push_back(item.span);
    draft.config.routes.push_back(std::move(route));
  }
}

}  // namespace weir::config
