#include "config/schema.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "config/foreign.h"
#include "config/text.h"

namespace weir::config {
namespace {

using Words = std::string_view;

constexpr auto kRoot =
    std::to_array<Words>({"runtime", "listener", "route", "backend", "limit", "admin", "log"});
constexpr auto kRuntime = std::to_array<Words>(
    {"workers", "trigger", "shutdown_grace", "user", "group", "core_dumps", "resolvers"});
constexpr auto kListener = std::to_array<Words>(
    {"bind", "mode", "backend", "max_connections", "limits", "accept_proxy", "x_forwarded",
     "forwarded", "via", "trusted_proxies", "client_head_timeout", "client_idle_timeout",
     "client_body_timeout", "tunnel_idle_timeout", "tcp_keepalive", "congestion", "defer_accept"});
constexpr auto kRoute =
    std::to_array<Words>({"listener", "host", "path", "methods", "sni", "connect", "upgrade",
                          "backend", "backends", "mirror", "limits", "priority"});
constexpr auto kRouteBackend = std::to_array<Words>({"backend", "weight"});
constexpr auto kMirror = std::to_array<Words>({"backend", "percent"});
constexpr auto kBackend = std::to_array<Words>({"servers",
                                                "balance",
                                                "hash_key",
                                                "hash_load_percent",
                                                "connect_timeout",
                                                "response_head_timeout",
                                                "response_body_timeout",
                                                "idle_timeout",
                                                "request_timeout",
                                                "unavailable_status",
                                                "server_limit",
                                                "limit",
                                                "server_pending_limit",
                                                "server_retry_limit",
                                                "slow_start",
                                                "panic_percent",
                                                "tcp_keepalive",
                                                "congestion",
                                                "send_proxy",
                                                "health",
                                                "ejection",
                                                "retry",
                                                "queue",
                                                "sticky"});
constexpr auto kServer =
    std::to_array<Words>({"address", "name", "weight", "priority", "backup", "limit", "state"});
constexpr auto kHealth =
    std::to_array<Words>({"enabled", "type", "method", "path", "host", "headers", "expect_status",
                          "expect_body", "send", "expect", "port", "interval", "fast_interval",
                          "timeout", "rise", "fall", "every_requests", "load_report"});
constexpr auto kEjection = std::to_array<Words>(
    {"enabled", "consecutive_errors", "error_percent", "latency_factor", "min_requests", "window",
     "silence", "time", "time_max", "max_ejected_percent"});
constexpr auto kRetry = std::to_array<Words>(
    {"enabled", "max", "statuses", "backoff", "backoff_max", "budget_percent", "try_timeout"});
constexpr auto kQueue =
    std::to_array<Words>({"size", "timeout", "target", "target_interval", "priority_header"});
constexpr auto kSticky = std::to_array<Words>({"cookie", "secret", "secure", "max_age"});
constexpr auto kLimit = std::to_array<Words>({"rate", "burst", "key", "keys_max"});
constexpr auto kAdmin = std::to_array<Words>({"bind"});
constexpr auto kLog = std::to_array<Words>({"access"});

// In the order of TableKind.
constexpr std::array<TableSchema, 16> kSchemas = {{
    {"the top of the file", kRoot},
    {"[runtime]", kRuntime},
    {"[listener.NAME]", kListener},
    {"[[route]]", kRoute},
    {"[backend.NAME]", kBackend},
    {"{ address = ... } in servers", kServer},
    {"{ backend = ... } in backends", kRouteBackend},
    {"{ backend = ... } of mirror", kMirror},
    {"[backend.NAME.health]", kHealth},
    {"[backend.NAME.ejection]", kEjection},
    {"[backend.NAME.retry]", kRetry},
    {"[backend.NAME.queue]", kQueue},
    {"[backend.NAME.sticky]", kSticky},
    {"[limit.NAME]", kLimit},
    {"[admin]", kAdmin},
    {"[log]", kLog},
}};

bool knows(const TableSchema& schema, std::string_view key) {
  return std::ranges::find(schema.keys, key) != schema.keys.end();
}

// "[listener.NAME] or [admin]"; empty when no table but `kind` has the key. Tables' own names are
// no keys to look for.
std::string tables_with(std::string_view key, TableKind kind) {
  std::string titles;
  for (const TableSchema& schema : std::span(kSchemas).subspan(1)) {
    if (&schema == &schema_of(kind) || !knows(schema, key)) continue;
    titles += (titles.empty() ? "" : " or ") + std::string(schema.title);
  }
  return titles;
}

void unknown_table(const Member& member, Report& report) {
  std::string label;
  if (const auto known = closest(member.key, kRoot)) {
    label = "did you mean " + in_backticks(*known) + "?";
  } else if (const auto ours = foreign_table(member.key)) {
    label = "weir's way: " + std::string(*ours);
  }
  report.add(Code::unknown_table, member.key_span, "unknown table " + in_backticks(member.key),
             std::move(label),
             "tables are [runtime], [listener.NAME], [[route]], [backend.NAME], [limit.NAME], "
             "[admin], [log]");
}

bool is_tcp_listener(const Value& table, TableKind kind) {
  const Member* mode = kind == TableKind::listener ? table.find("mode") : nullptr;
  return mode != nullptr && mode->value.text == "tcp";
}

void unknown_key(const Member& member, const Value& table, TableKind kind, std::string_view title,
                 Report& report) {
  const TableSchema& schema = schema_of(kind);
  const std::string where = kind == TableKind::root ? "at " : "in ";
  const std::string message =
      "unknown key " + in_backticks(member.key) + " " + where + std::string(title);
  const auto foreign = foreign_word(member.key, is_tcp_listener(table, kind));
  // Words such as `port` and `timeout` are keys of ours too, of quite another table.
  if (const std::string plural = member.key + "s"; knows(schema, plural)) {
    report.add(Code::unknown_key, member.key_span, message,
               "did you mean " + in_backticks(plural) + "?");
    return;
  }
  const bool certain = foreign && (foreign->key.empty() || knows(schema, foreign->key));
  if (const std::string titles = certain ? "" : tables_with(member.key, kind); !titles.empty()) {
    report.add(Code::misplaced_key, member.key_span,
               in_backticks(member.key) + " does not belong " + where + std::string(title),
               "it belongs in " + titles);
    return;
  }
  if (const auto known = closest(member.key, schema.keys); known && !certain) {
    report.add(Code::unknown_key, member.key_span, message,
               "did you mean " + in_backticks(*known) + "?");
    return;
  }
  if (foreign) {
    const std::string label = knows(schema, foreign->key)
                                  ? "weir's name for it is " + in_backticks(foreign->key)
                                  : "weir's way: " + std::string(foreign->write);
    report.add(Code::unknown_key, member.key_span, message, label);
    return;
  }
  for (const TableSchema& other : std::span(kSchemas).subspan(1)) {
    const auto known = closest(member.key, other.keys);
    if (!known) continue;
    report.add(
        Code::unknown_key, member.key_span, message,
        "did you mean " + in_backticks(*known) + "? it belongs in " + std::string(other.title));
    return;
  }
  report.add(Code::unknown_key, member.key_span, message, {},
             "keys here are " + joined(schema.keys));
}

}  // namespace

const TableSchema& schema_of(TableKind kind) { return kSchemas[static_cast<std::size_t>(kind)]; }

bool stands_for(std::string_view word, std::string_view key) {
  if (closest(word, std::span(&key, 1))) return true;
  const auto foreign = foreign_word(word);
  return foreign && foreign->key == key;
}

void check_keys(const Value& table, TableKind kind, std::string_view title, Report& report) {
  for (const Member& member : table.members) {
    if (report.full()) return;
    if (knows(schema_of(kind), member.key)) continue;
    const bool is_table = member.value.type == Value::Type::table ||
                          (member.value.type == Value::Type::array && !member.value.items.empty() &&
                           member.value.items.front().type == Value::Type::table);
    if (kind == TableKind::root && is_table) {
      unknown_table(member, report);
    } else {
      unknown_key(member, table, kind, title, report);
    }
  }
}

}  // namespace weir::config
