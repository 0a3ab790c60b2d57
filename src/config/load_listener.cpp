// [listener.NAME]: where clients connect, and what weir tells servers about them.
#include <array>
#include <string_view>
#include <utility>

#include "config/draft.h"
#include "config/endpoint.h"
#include "config/references.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kConnectionsMax = 10'000'000;

constexpr auto kHttpKeys =
    std::to_array<std::string_view>({"x_forwarded", "forwarded", "via", "trusted_proxies",
                                     "client_idle_timeout", "client_body_timeout", "defer_accept"});

void load_bind(const TableReader& table, Listener& listener, Draft& draft) {
  if (table.require("bind", "bind = \"127.0.0.1:8080\"") == nullptr) return;
  for (const Value* value : table.strings("bind")) {
    auto endpoint = parse_endpoint(value->text, Use::listen);
    if (!endpoint) {
      table.report().add(Code::bad_address, value->span, std::move(endpoint.error()));
      continue;
    }
    draft.bound.push_back({*endpoint, value->span, table.title()});
    listener.bind.push_back(std::move(*endpoint));
  }
}

void load_networks(const TableReader& table, std::string_view key, std::string everyone,
                   std::vector<Network>& out) {
  for (const Value* value : table.strings(key)) {
    auto network = parse_network(value->text);
    if (!network) {
      table.report().add(Code::bad_network, value->span, std::move(network.error()));
      continue;
    }
    if (network->prefix_bits == 0) {
      table.report().add(Code::trusts_everyone, value->span, everyone,
                         "name only the networks of your own proxies");
    }
    out.push_back(*network);
  }
}

void load_forwarded(const TableReader& table, ForwardedHeaders& forwarded) {
  table.boolean("x_forwarded", forwarded.x_forwarded);
  table.boolean("forwarded", forwarded.forwarded);
  table.boolean("via", forwarded.via);
  load_networks(table, "trusted_proxies", "every client is trusted to say whom it speaks for",
                forwarded.trusted_proxies);
}

void load_timeouts(const TableReader& table, ListenerTimeouts& timeouts) {
  table.duration("client_head_timeout", timeouts.client_head);
  table.duration("client_idle_timeout", timeouts.client_idle);
  table.duration("client_body_timeout", timeouts.client_body);
  table.duration("tunnel_idle_timeout", timeouts.tunnel_idle);
}

void load_mode(const TableReader& table, Listener& listener, Draft& draft) {
  if (!table.choice<ListenerMode>("mode", kModes, listener.mode)) {
    draft.uses.all_unclear();
    return;
  }
  draft.modes.emplace(listener.name, listener.mode);
  const Value* backend = table.find("backend");
  if (listener.mode == ListenerMode::http) {
    if (backend == nullptr) return;
    table.report().add(Code::conflict, backend->span,
                       "an HTTP listener has no `backend`; routes choose it for each request",
                       "write it in a [[route]], or add mode = \"tcp\"");
    return;
  }
  for (std::string_view key : kHttpKeys) {
    const Value* value = table.find(key);
    if (value == nullptr) continue;
    table.report().add(Code::conflict, value->span,
                       in_backticks(key) + " means nothing to mode = \"tcp\"",
                       "remove it; bytes are relayed as they are");
  }
}

void load_backend(const TableReader& table, Listener& listener, Draft& draft) {
  table.parsed("backend", Code::unknown_reference, one_of("backend", draft.backends),
               listener.backend);
  const bool absent = table.find("backend") == nullptr && !table.misspelt("backend");
  // One that is not TCP has been told that it names no backend.
  if (!listener.backend.empty() && listener.mode == ListenerMode::tcp) {
    draft.uses.tcp.insert(listener.backend);
  } else if (!absent) {
    draft.uses.tcp_unclear = true;
  }
  if (listener.mode == ListenerMode::tcp && absent) {
    draft.without_backend.emplace(listener.name, table.header());
  }
}

// A header does not exist yet when a connection is accepted.
void load_limits_of(const TableReader& table, const Draft& draft, Listener& listener) {
  const auto known = one_of("limit", draft.limits);
  const auto usable = [&](std::string_view text) -> Result<std::string, Problem> {
    if (!draft.header_limits.contains(text)) return known(text);
    return Err(Problem{in_backticks(text) + " counts per header, and a new connection has none yet",
                       "name it in a [[route]], or use key = \"client\""});
  };
  listener.limits = table.parsed_list("limits", Code::unknown_reference, usable);
}

}  // namespace

void load_listeners(const Member& member, Draft& draft, Report& report) {
  draft.has_listener_table = true;
  for_each_named(member, report, [&](const Member& named) {
    const TableReader table(named.value, named.value.span, TableKind::listener,
                            "[listener." + named.key + "]", report);
    Listener listener;
    listener.name = named.key;
    load_bind(table, listener, draft);
    load_mode(table, listener, draft);
    load_backend(table, listener, draft);
    listener.max_connections = table.number("max_connections", 1, kConnectionsMax);
    load_limits_of(table, draft, listener);
    if (!table.is_empty_list("accept_proxy")) {
      load_networks(table, "accept_proxy", "every client is trusted to say where it comes from",
                    listener.accept_proxy);
    }
    load_forwarded(table, listener.forwarded);
    load_timeouts(table, listener.timeouts);
    load_keepalive(table, listener.tcp_keepalive);
    load_congestion(table, listener.congestion);
    table.boolean("defer_accept", listener.defer_accept);
    draft.listeners.emplace(listener.name, named.key_span);
    draft.config.listeners.push_back(std::move(listener));
  });
}

}  // namespace weir::config
