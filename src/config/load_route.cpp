// [[route]]: which requests go to which backends.
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/draft.h"
#include "config/http_words.h"
#include "config/match_rules.h"
#include "config/references.h"
#include "config/table_reader.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kWeightMax = 1000;
constexpr std::uint32_t kPriorityMax = 3;

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
    table.number("weight", 0, kWeightMax, share.weight);
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

Route load_route(const TableReader& table, const Draft& draft) {
  Route route;
  route.listeners = read_references(table, "listener", "listener", draft.listeners);
  route.hosts = table.parsed_list("host", Code::bad_host, parse_host_pattern);
  route.methods = table.parsed_list("methods", Code::bad_method, parse_method);
  table.parsed("path", Code::bad_path, parse_path_pattern, route.path);
  load_backends_of(table, draft, route);
  load_mirror(table, draft, route);
  route.limits = read_references(table, "limits", "limit", draft.limits);
  table.number("priority", 0, kPriorityMax, route.priority);
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
