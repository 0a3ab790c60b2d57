// [[route]]: which requests go to which backend.
#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/draft.h"
#include "config/match_rules.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

// Names to look through for a suggestion; more would make a large file slow to refuse.
constexpr std::size_t kCandidatesMax = 2000;

Problem unknown_reference(std::string_view kind, std::string_view text, const Names& names) {
  std::vector<std::string_view> known;
  for (const auto& [name, span] : names) {
    if (known.size() == kCandidatesMax) break;
    known.push_back(name);
  }
  Problem problem = {"there is no " + std::string(kind) + " " + in_backticks(text), {}};
  if (const auto meant = closest(text, known)) {
    problem.fix = "did you mean " + in_backticks(*meant) + "?";
  } else if (known.empty() || known.size() > 8) {
    const std::string_view name = is_name(text) ? text : "NAME";
    problem.fix = "add a table [" + std::string(kind) + "." + std::string(name) + "]";
  } else {
    problem.fix = "known are " + joined(known);
  }
  return problem;
}

using Parse = std::function<Result<std::string, Problem>(std::string_view)>;

// The strings of one key through `parse`; repeated ones are reported.
std::vector<std::string> patterns(const TableReader& table, std::string_view key, Code code,
                                  const Parse& parse) {
  std::set<std::string> seen;
  std::vector<std::string> out;
  for (const Value* value : table.strings(key)) {
    if (table.report().full()) break;
    auto pattern = parse(value->text);
    if (!pattern) {
      table.report().add(code, value->span, std::move(pattern.error()));
    } else if (!seen.insert(*pattern).second) {
      table.report().add(Code::listed_twice, value->span,
                         in_backticks(*pattern) + " is listed twice in " + in_backticks(key),
                         "remove one");
    } else {
      out.push_back(std::move(*pattern));
    }
  }
  return out;
}

Parse one_of(std::string_view kind, const Names& names) {
  return [kind, &names](std::string_view text) -> Result<std::string, Problem> {
    if (!names.contains(text)) return Err(unknown_reference(kind, text, names));
    return std::string(text);
  };
}

Route load_route(const TableReader& table, const Draft& draft) {
  Report& report = table.report();
  Route route;
  route.listeners =
      patterns(table, "listener", Code::unknown_reference, one_of("listener", draft.listeners));
  route.hosts = patterns(table, "host", Code::bad_host, parse_host_pattern);
  route.methods = patterns(table, "methods", Code::bad_method, parse_method);
  if (const Value* path = table.string("path")) {
    auto pattern = parse_path_pattern(path->text);
    if (pattern) {
      route.path = std::move(*pattern);
    } else {
      report.add(Code::bad_path, path->span, std::move(pattern.error()));
    }
  }
  if (table.require("backend", "backend = \"NAME\"") == nullptr) return route;
  if (const Value* backend = table.string("backend")) {
    auto name = one_of("backend", draft.backends)(backend->text);
    if (name) {
      route.backends = {{std::move(*name)}};
    } else {
      report.add(Code::unknown_reference, backend->span, std::move(name.error()));
    }
  }
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
