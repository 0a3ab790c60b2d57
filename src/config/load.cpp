#include "config/load.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "config/draft.h"
#include "config/endpoint.h"
#include "config/schema.h"
#include "config/syntax.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kWorkersMax = 256;

// [runtime] and its like are one table; anything else under the name is reported.
bool is_plain_table(const Member& member, Report& report) {
  if (member.value.type == Value::Type::table) return true;
  report.add(Code::wrong_type, member.key_span,
             in_backticks(member.key) + " must be a table, not " +
                 std::string(type_name(member.value.type)),
             "write [" + member.key + "]");
  return false;
}

// A name of the user or group database (passwd(5)); whether it is there, the start finds out.
void load_account(const TableReader& table, std::string_view key, std::string& out) {
  const Value* name = table.string(key);
  if (name == nullptr) return;
  const bool usable = std::ranges::none_of(name->text, [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == ':' || c == '\x7f';
  });
  if (name->text.empty() || !usable) {
    table.report().add(name->text.empty() ? Code::empty_value : Code::bad_name, name->span,
                       in_backticks(key) + " is not the name of a " + std::string(key),
                       "write a name that `getent " +
                           std::string(key == "user" ? "passwd" : "group") +
                           "` lists, or remove the key");
    return;
  }
  out = name->text;
}

// A name server: an IP address, of which 53 is the usual port.
Result<std::string, Problem> parse_resolver(std::string_view text) {
  constexpr std::uint16_t kDns = 53;
  const auto bare = parse_bind_ip(text, kDns);
  const auto endpoint = parse_endpoint(bare ? bare->text() : std::string(text), Use::server);
  if (!endpoint) return Err(endpoint.error());
  if (endpoint->family == Endpoint::Family::unix_path) {
    return Err(Problem{"a name server has an IP address", "write for example 127.0.0.1:53"});
  }
  return endpoint->text();
}

void load_resolvers(const TableReader& table, Runtime& runtime) {
  for (const std::string& text :
       table.parsed_list("resolvers", Code::bad_address, parse_resolver)) {
    runtime.resolvers.push_back(*parse_endpoint(text, Use::server));
  }
}

using Loader = void (*)(const Member&, Draft&, Report&);
struct Table {
  std::string_view name;
  Loader load;
};
// Listeners refer to limits and backends, routes to all three; the admin address is compared with
// the listeners'.
constexpr std::array<Table, 7> kTables = {{
    {"runtime", load_runtime},
    {"limit", load_limits},
    {"backend", load_backends},
    {"listener", load_listeners},
    {"route", load_routes},
    {"admin", load_admin},
    {"log", load_log},
}};

}  // namespace

void load_runtime(const Member& member, Draft& draft, Report& report) {
  if (!is_plain_table(member, report)) return;
  const TableReader table(member.value, member.value.span, TableKind::runtime, "[runtime]", report);
  Runtime& runtime = draft.config.runtime;
  const Value* workers = table.find("workers");
  if (workers != nullptr && workers->type == Value::Type::string && !all_digits(workers->text)) {
    if (workers->text != "auto") {
      report.add(Code::unknown_value, workers->span,
                 in_backticks(workers->text) + " is no number of workers",
                 "use 1 to 256, or \"auto\" for one per core");
    }
  } else {
    runtime.workers = table.number("workers", 1, kWorkersMax);
  }
  table.choice<Trigger>("trigger", kTriggers, runtime.trigger);
  table.duration("shutdown_grace", runtime.shutdown_grace, Milliseconds{0});
  load_account(table, "user", runtime.user);
  load_account(table, "group", runtime.group);
  if (table.find("group") != nullptr) (void)table.require("user", "user = \"weir\"");
  table.boolean("core_dumps", runtime.core_dumps);
  load_resolvers(table, runtime);
}

void load_admin(const Member& member, Draft& draft, Report& report) {
  if (!is_plain_table(member, report)) return;
  const TableReader table(member.value, member.value.span, TableKind::admin, "[admin]", report);
  if (table.require("bind", "bind = \"127.0.0.1:9900\"") == nullptr) return;
  const Value* bind = table.string("bind");
  if (bind == nullptr) return;
  auto endpoint = parse_endpoint(bind->text, Use::admin);
  if (!endpoint) {
    report.add(Code::bad_address, bind->span, std::move(endpoint.error()));
    return;
  }
  draft.bound.push_back({*endpoint, bind->span, "[admin]"});
  draft.config.admin = std::move(*endpoint);
}

void load_log(const Member& member, Draft& draft, Report& report) {
  if (!is_plain_table(member, report)) return;
  const TableReader table(member.value, member.value.span, TableKind::log, "[log]", report);
  const Value* access = table.string("access");
  if (access == nullptr) return;
  if (access->text.empty() || access->text.find('\0') != std::string::npos) {
    report.add(Code::empty_value, access->span, "`access` is no path",
               "write a path, or \"-\" for standard output, or remove the key");
    return;
  }
  draft.config.log.access = access->text;
}

void for_each_named(const Member& member, Report& report,
                    const std::function<void(const Member&)>& load) {
  const std::string example = "[" + member.key + ".main]";
  if (member.value.type != Value::Type::table) {
    report.add(Code::wrong_type, member.key_span, "each " + member.key + " is a table with a name",
               "write " + example);
    return;
  }
  bool nameless = member.value.members.empty();
  for (const Member& named : member.value.members) {
    if (named.value.type != Value::Type::table) {
      nameless = true;
      continue;
    }
    if (!is_name(named.key)) {
      report.add(Code::bad_name, named.key_span,
                 in_backticks(named.key) + " cannot be the name of a " + member.key,
                 "use 1 to 64 letters, digits, `_`, `.` and `-`");
    }
    load(named);
  }
  if (nameless) {
    report.add(Code::bad_name, member.key_span, "this " + member.key + " has no name",
               "write " + example);
  }
}

Result<Loaded, std::vector<Diagnostic>> load_text(std::string_view text, std::string_view file) {
  if (text.size() > kFileBytesMax) {
    return Err(std::vector{unreadable_file(file, "the file is larger than 4 MiB")});
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // Editors' byte order mark.
  Report report(text, file);
  if (!check_bytes(text, report)) return Err(report.take());
  const auto document = read_document(text, report);
  if (!document) return Err(report.take());

  const bool broken = report.has_errors();
  Draft draft;
  check_keys(*document, TableKind::root, schema_of(TableKind::root).title, report);
  // What was taken out, or is called something else, may be a listener or a route.
  if (report.has_errors()) draft.uses.all_unclear();
  for (const Table& table : kTables) {
    if (const Member* member = document->find(table.name)) table.load(*member, draft, report);
  }
  check_whole(draft, report);
  if (broken) report.drop_consequences();
  // [backends.app] or [[backend]]: their names are known to nobody, and that has been said.
  const bool misnamed = report.has(Code::unknown_table) || document->find("backend") != nullptr;
  if (misnamed && draft.backends.empty()) report.drop(Code::unknown_reference);
  if (report.has_errors()) return Err(report.take());
  return Loaded{std::move(draft.config), report.take()};
}

}  // namespace weir::config
