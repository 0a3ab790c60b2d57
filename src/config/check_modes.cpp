// What TCP listeners need and cannot have: checked when listeners, routes and backends are known.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "config/draft.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

// What only requests and their answers have; `table` is empty for [backend.NAME] itself. (A
// connection that no server took is no retry: it goes elsewhere at once, whatever [retry] says.)
struct HttpKey {
  std::string_view table;
  std::string_view key;
};
constexpr auto kHttpKeys = std::to_array<HttpKey>({
    {"", "response_head_timeout"},
    {"", "response_body_timeout"},
    {"", "idle_timeout"},
    {"", "request_timeout"},
    {"", "unavailable_status"},
    {"", "sticky"},
    {"", "retry"},
    {"queue", "priority_header"},
    {"ejection", "latency_factor"},
    {"ejection", "silence"},
});

void check_balance(const Backend& backend, const Value& table, Report& report) {
  const Member* balance = table.find("balance");
  if (balance == nullptr || !hashes_requests(backend.balance)) return;
  report.add(Code::conflict, balance->value.span,
             in_backticks(balance->value.text) + " looks at requests, and a TCP listener uses " +
                 in_backticks(backend.name),
             "use \"ip_hash\", or a backend of its own for the TCP listener");
}

void refuse_http_keys(const Backend& backend, const Value& table, Report& report) {
  for (const HttpKey& http : kHttpKeys) {
    const Member* outer = http.table.empty() ? nullptr : table.find(http.table);
    if (!http.table.empty() && outer == nullptr) continue;
    const Member* given = (outer == nullptr ? table : outer->value).find(http.key);
    if (given == nullptr) continue;
    report.add(Code::conflict, given->key_span,
               in_backticks(http.key) + " is for HTTP, and only TCP listeners use " +
                   in_backticks(backend.name),
               "remove it");
  }
}

}  // namespace

void check_tcp_listeners(const Draft& draft, Report& report) {
  const bool http = std::ranges::any_of(
      draft.modes, [](const auto& listener) { return listener.second == ListenerMode::http; });
  const auto for_http = std::ranges::find_if(
      draft.config.routes, [](const Route& route) { return route.sni.empty() && route.line != 0; });
  std::string help;
  if (!http && for_http != draft.config.routes.end()) {
    help = "the route in line " + std::to_string(for_http->line) +
           " has no `sni` and is for HTTP listeners; if it is meant, remove mode = \"tcp\"";
  }
  for (const auto& [name, header] : draft.without_backend) {
    report.add(Code::missing_key, header,
               "[listener." + name + "] has no `backend`, and no route with `sni`",
               "add `backend = \"NAME\"`", help);
  }
}

void check_tcp_backends(const Draft& draft, Report& report) {
  for (const Backend& backend : draft.config.backends) {
    if (!draft.uses.tcp.contains(backend.name)) continue;
    const Value& table = *draft.backend_tables.at(backend.name);
    check_balance(backend, table, report);
    if (draft.uses.only_tcp(backend.name)) refuse_http_keys(backend, table, report);
  }
}

}  // namespace weir::config
