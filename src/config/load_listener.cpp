// [listener.NAME]: where clients connect, and what weir tells servers about them.
#include <algorithm>
#include <utility>

#include "config/draft.h"
#include "config/endpoint.h"
#include "config/references.h"
#include "config/table_reader.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::uint32_t kConnectionsMax = 10'000'000;

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

void load_trusted(const TableReader& table, ForwardedHeaders& forwarded) {
  for (const Value* value : table.strings("trusted_proxies")) {
    auto network = parse_network(value->text);
    if (!network) {
      table.report().add(Code::bad_network, value->span, std::move(network.error()));
      continue;
    }
    if (network->prefix_bits == 0) {
      table.report().add(Code::trusts_everyone, value->span,
                         "every client is trusted to say whom it speaks for",
                         "name only the networks of your own proxies");
    }
    forwarded.trusted_proxies.push_back(*network);
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
    listener.max_connections = table.number("max_connections", 1, kConnectionsMax);
    table.boolean("x_forwarded", listener.forwarded.x_forwarded);
    table.boolean("forwarded", listener.forwarded.forwarded);
    table.boolean("via", listener.forwarded.via);
    load_trusted(table, listener.forwarded);
    load_limits_of(table, draft, listener);
    table.duration("client_head_timeout", listener.timeouts.client_head);
    table.duration("client_idle_timeout", listener.timeouts.client_idle);
    table.duration("client_body_timeout", listener.timeouts.client_body);
    draft.listeners.emplace(listener.name, named.key_span);
    draft.config.listeners.push_back(std::move(listener));
  });
}

}  // namespace weir::config
