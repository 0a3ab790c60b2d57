// Settings that are allowed and hardly do what was meant.
#include <algorithm>
#include <string>

#include "config/draft.h"
#include "config/text.h"

namespace weir::config {
namespace {

void check_load_reports(const Draft& draft, Report& report) {
  for (const Backend& backend : draft.config.backends) {
    if (backend.balance != Balance::least_load || backend.health.load_report) continue;
    const Member* balance = draft.backend_tables.at(backend.name)->find("balance");
    report.add(Code::doubtful, balance->value.span,
               "no server of " + in_backticks(backend.name) +
                   " is asked for its load, so requests are spread evenly",
               "add load_report = true to [backend." + backend.name + ".health]");
  }
}

// One of several backends may well be tried out with copies as well.
void check_mirrors(const Draft& draft, Report& report) {
  for (std::size_t i = 0; i < draft.route_headers.size(); ++i) {
    const Route& route = draft.config.routes[i];
    if (!route.mirror || route.backends.size() != 1) continue;
    const std::string& mirror = route.mirror->backend;
    if (route.backends.front().backend != mirror) continue;
    report.add(Code::doubtful, draft.route_headers[i],
               "the mirror of this route is its own backend " + in_backticks(mirror),
               "its servers do the work twice; name another backend");
  }
}

// Where a server speaks first, to wait for a ClientHello only delays it.
void check_server_names(const Draft& draft, Report& report) {
  const auto is_tcp = [](const Listener& listener) { return listener.mode == ListenerMode::tcp; };
  const auto has_backend = [](const Listener& listener) { return !listener.backend.empty(); };
  const auto tcp = std::ranges::count_if(draft.config.listeners, is_tcp);
  if (tcp < 2 || std::ranges::none_of(draft.config.listeners, has_backend)) return;
  for (std::size_t i = 0; i < draft.route_headers.size(); ++i) {
    const Route& route = draft.config.routes[i];
    if (route.sni.empty() || !route.listeners.empty()) continue;
    report.add(
        Code::doubtful, draft.route_headers[i],
        "this route makes all " + std::to_string(tcp) + " TCP listeners wait for a TLS ClientHello",
        "name those that it is for, `listener = [\"NAME\"]`");
  }
}

// A PROXY header is believed by the address of who sends it.
void check_proxy_headers(const Draft& draft, Report& report) {
  for (const PlacedEndpoint& bound : draft.bound) {
    if (bound.endpoint.family != Endpoint::Family::unix_path) continue;
    const auto listener =
        std::ranges::find_if(draft.config.listeners, [&](const Listener& candidate) {
          return bound.owner == "[listener." + candidate.name + "]";
        });
    if (listener == draft.config.listeners.end() || listener->accept_proxy.empty()) continue;
    report.add(Code::doubtful, bound.span,
               "`accept_proxy` is about networks, and clients of a Unix socket have none",
               "none of them may send a PROXY header; bind an IP address for those that do");
  }
}

// What is set beside `enabled = false` waits for the day it is switched on, or is a mistake.
void check_switched_off(const Draft& draft, Report& report) {
  for (const auto& [name, table] : draft.backend_tables) {
    for (const std::string_view policy : {"retry", "ejection"}) {
      const Member* set = table->find(policy);
      const Member* enabled = set == nullptr ? nullptr : set->value.find("enabled");
      if (enabled == nullptr || enabled->value.boolean || set->value.members.size() == 1) continue;
      report.add(Code::doubtful, enabled->value.span,
                 "with this, the other settings of [backend." + std::string(name) + "." +
                     std::string(policy) + "] do nothing",
                 "remove them, or set enabled = true");
    }
  }
}

void check_try_timeouts(const Draft& draft, Report& report) {
  for (const Backend& backend : draft.config.backends) {
    const auto& limit = backend.request_timeout;
    if (!limit || !backend.retry.try_timeout || *backend.retry.try_timeout < *limit) continue;
    const Member* retry = draft.backend_tables.at(backend.name)->find("retry");
    report.add(Code::doubtful, retry->value.find("try_timeout")->value.span,
               "`request_timeout` ends every request before or when this ends its first attempt",
               "make it a part of `request_timeout`");
  }
}

}  // namespace

void check_doubtful(const Draft& draft, Report& report) {
  check_load_reports(draft, report);
  check_mirrors(draft, report);
  check_server_names(draft, report);
  check_proxy_headers(draft, report);
  check_switched_off(draft, report);
  check_try_timeouts(draft, report);
}

}  // namespace weir::config
