// [backend.NAME]: a set of servers and how requests are spread over them.
#include "config/load_backend.h"

#include <string>
#include <utility>

#include "config/http_words.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kLimitMax = 10'000'000;

std::string_view name_of(Balance balance) {
  for (const auto& known : kBalances) {
    if (known.value == balance) return known.text;
  }
  return {};
}

// `hash_key` names what is hashed, for the three policies that cannot know it.
void load_hash(const TableReader& table, Backend& backend) {
  table.choice<Balance>("balance", kBalances, backend.balance);
  table.number_or_zero("hash_load_percent", 100, 10'000, backend.hash_load_percent);
  const std::string_view part = hashed_part(backend.balance);
  if (!part.empty()) {
    const char* example = part == "header" ? "hash_key = \"X-User\"" : "hash_key = \"user\"";
    if (table.require("hash_key", example) == nullptr) return;
    const auto parse = part == "header"   ? parse_field_name
                       : part == "cookie" ? parse_cookie_name
                                          : parse_query_name;
    table.parsed("hash_key", Code::bad_field, parse, backend.hash_key);
    return;
  }
  const Value* key = table.find("hash_key");
  const Value* policy = table.find("balance");
  const bool unknown = policy != nullptr && policy->text != name_of(backend.balance);
  if (key == nullptr || unknown) return;
  table.report().add(
      Code::conflict, key->span,
      "`hash_key` means nothing to balance = \"" + std::string(name_of(backend.balance)) + "\"",
      "it is for header_hash, cookie_hash and query_hash");
}

void load_timeouts(const TableReader& table, Backend& backend) {
  table.duration("connect_timeout", backend.timeouts.connect);
  table.duration("response_head_timeout", backend.timeouts.response_head);
  table.duration("response_body_timeout", backend.timeouts.response_body);
  table.duration("idle_timeout", backend.timeouts.idle);
  table.duration("request_timeout", backend.request_timeout);
}

void load_limits_of(const TableReader& table, Backend& backend) {
  backend.server_limit = table.number("server_limit", 1, kServerLimitMax);
  backend.limit = table.number("limit", 1, kLimitMax);
  table.number("server_pending_limit", 1, kServerLimitMax, backend.server_pending_limit);
  table.number("server_retry_limit", 0, kServerLimitMax, backend.server_retry_limit);
}

}  // namespace

void load_backends(const Member& member, Draft& draft, Report& report) {
  draft.has_backend_table = true;
  for_each_named(member, report, [&](const Member& named) {
    const TableReader table(named.value, named.value.span, TableKind::backend,
                            "[backend." + named.key + "]", report);
    Backend backend;
    backend.name = named.key;
    load_servers(table, backend, draft);
    load_hash(table, backend);
    load_timeouts(table, backend);
    table.number("unavailable_status", 500, 599, backend.unavailable_status);
    load_limits_of(table, backend);
    table.duration("slow_start", backend.slow_start, Milliseconds{0});
    table.number("panic_percent", 0, 100, backend.panic_percent);
    if (auto health = table.table("health", TableKind::health)) {
      draft.health_tables.push_back({draft.config.backends.size(), std::move(*health)});
    }
    load_ejection(table, backend.ejection);
    load_retry(table, backend.retry);
    load_queue(table, backend.queue);
    load_sticky(table, backend.sticky);
    load_keepalive(table, backend.tcp_keepalive);
    load_congestion(table, backend.congestion);
    table.number("send_proxy", 1, 2, backend.send_proxy);
    draft.backends.emplace(backend.name, named.key_span);
    draft.backend_tables.emplace(named.key, &named.value);
    draft.config.backends.push_back(std::move(backend));
  });
}

}  // namespace weir::config
