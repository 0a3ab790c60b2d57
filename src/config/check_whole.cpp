// The checks over the whole configuration, after every table was read.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "config/draft.h"
#include "config/endpoint.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::string_view kListenerExample = "[listener.web]\nbind = \"127.0.0.1:8080\"";
constexpr std::string_view kBackendExample =
    "[backend.app]\nservers = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]";

std::string example(std::string_view lines) { return "add for example\n" + std::string(lines); }

void check_presence(Draft& draft, Report& report) {
  // A table that was refused is there all the same.
  if (report.has(Code::unknown_table)) return;
  const bool listeners = draft.has_listener_table;
  const bool backends = draft.has_backend_table;
  if (!listeners && !backends && draft.config.routes.empty()) {
    report.add(Code::nothing_to_do, {}, "the configuration has no listener and no backend", {},
               "the smallest that works is\n" + std::string(kListenerExample) + "\n" +
                   std::string(kBackendExample));
    return;
  }
  if (!listeners) {
    report.add(Code::nothing_to_do, {}, "there is no listener, so no client could connect", {},
               example(kListenerExample));
  }
  if (!backends) {
    report.add(Code::nothing_to_do, {}, "there is no backend, so no request could be answered", {},
               example(kBackendExample));
  }
  // TCP listeners name their backend themselves.
  const bool requests =
      !draft.has_listener_table || std::ranges::any_of(draft.modes, [](const auto& listener) {
        return listener.second == ListenerMode::http;
      });
  if (!draft.config.routes.empty() || !requests) return;
  if (draft.backends.size() == 1) {
    // One backend and no routes leave one thing to do with a request.
    Route route;
    route.backends = {{draft.config.backends.front().name}};
    draft.uses.http.insert(route.backends.front().backend);
    draft.config.routes.push_back(std::move(route));
  } else if (draft.backends.size() > 1) {
    report.add(Code::nothing_to_do, {},
               "there are " + std::to_string(draft.backends.size()) +
                   " backends and no [[route]] to choose between them",
               {},
               "add for example\n[[route]]\npath = \"/\"\nbackend = \"" +
                   draft.config.backends.front().name + "\"");
  }
}

// Every address that listens, by what can collide: family and port (all Unix sockets together).
class Listening {
 public:
  // The address that already takes connections for `endpoint`, or null.
  [[nodiscard]] const PlacedEndpoint* taker(const Endpoint& endpoint) const {
    const auto found = buckets_.find({endpoint.family, endpoint.port});
    if (found == buckets_.end()) return nullptr;
    const auto same = found->second.by_host.find(endpoint.host);
    return same != found->second.by_host.end() ? same->second : found->second.wildcard;
  }

  // The address that `bound` cannot stand beside, or null.
  const PlacedEndpoint* add(const PlacedEndpoint& bound) {
    const PlacedEndpoint* other = taker(bound.endpoint);
    Bucket& bucket = buckets_[{bound.endpoint.family, bound.endpoint.port}];
    const bool wildcard = bound.endpoint.host == "0.0.0.0" || bound.endpoint.host == "::";
    if (wildcard && other == nullptr && !bucket.by_host.empty()) {
      other = bucket.by_host.begin()->second;
    }
    bucket.by_host.emplace(bound.endpoint.host, &bound);
    if (wildcard && bucket.wildcard == nullptr) bucket.wildcard = &bound;
    return other;
  }

 private:
  struct Bucket {
    std::map<std::string_view, const PlacedEndpoint*> by_host;
    const PlacedEndpoint* wildcard = nullptr;
  };
  std::map<std::pair<Endpoint::Family, std::uint16_t>, Bucket> buckets_;
};

void check_addresses(const Draft& draft, Report& report) {
  Listening listening;
  for (const PlacedEndpoint& bound : draft.bound) {
    const PlacedEndpoint* other = listening.add(bound);
    if (other == nullptr) continue;
    const bool same = other->endpoint == bound.endpoint;
    const std::string text = bound.endpoint.text();
    report.add(Code::address_in_use, bound.span,
               same ? text + " is in use already"
                    : text + " and " + other->endpoint.text() + " share a port",
               "by " + other->owner + " in line " + std::to_string(other->span.line) +
                   "; choose another port");
  }
  for (const PlacedEndpoint& server : draft.servers) {
    const PlacedEndpoint* bound = listening.taker(server.endpoint);
    if (bound == nullptr || !reaches(server.endpoint, bound->endpoint)) continue;
    report.add(Code::points_at_itself, server.span,
               "server " + server.endpoint.text() + " is weir itself",
               "bound by " + bound->owner + " in line " + std::to_string(bound->span.line) +
                   "; requests may go round in a circle");
  }
}

void check_unused(const Draft& draft, Report& report) {
  std::set<std::string_view> backends;
  std::set<std::string_view> listeners;
  std::set<std::string_view> limits;
  bool every_listener = false;
  for (const Route& route : draft.config.routes) {
    for (const RouteBackend& share : route.backends) backends.insert(share.backend);
    if (route.mirror) backends.insert(route.mirror->backend);
    limits.insert(route.limits.begin(), route.limits.end());
    listeners.insert(route.listeners.begin(), route.listeners.end());
    every_listener |= route.listeners.empty() && route.sni.empty();
  }
  for (const Listener& listener : draft.config.listeners) {
    limits.insert(listener.limits.begin(), listener.limits.end());
    backends.insert(listener.backend);
  }
  for (const auto& [name, span] : draft.limits) {
    if (limits.contains(name)) continue;
    report.add(
        Code::unused_limit, span, "nothing uses the limit " + in_backticks(name),
        "add limits = [\"" + printable(name) + "\"] to a [[route]] or listener, or remove it");
  }
  const bool only_tcp = std::ranges::all_of(
      draft.modes, [](const auto& listener) { return listener.second == ListenerMode::tcp; });
  for (const auto& [name, span] : draft.backends) {
    if (backends.contains(name)) continue;
    const std::string line = "backend = \"" + printable(name) + "\"";
    report.add(Code::unused_backend, span, "no route uses the backend " + in_backticks(name),
               only_tcp ? "write " + line + " in a TCP listener or a [[route]] with `sni`, " +
                              "or remove it"
                        : "add a [[route]] with " + line + ", or remove it");
  }
  for (const auto& [name, span] : draft.listeners) {
    const bool tcp = draft.modes.at(name) == ListenerMode::tcp;
    if (tcp || every_listener || listeners.contains(name)) continue;
    report.add(Code::unrouted_listener, span, "no route serves the listener " + in_backticks(name),
               "every request on it is answered with 404");
  }
}

}  // namespace

void check_whole(Draft& draft, Report& report) {
  check_presence(draft, report);
  check_addresses(draft, report);
  check_tcp_listeners(draft, report);
  // A table without a name may be a listener of either mode.
  if (report.has(Code::bad_name)) draft.uses.all_unclear();
  load_health_checks(draft);
  check_tcp_backends(draft, report);
  // A route with a mistake may mean another backend or path than it says.
  if (report.has_errors()) return;
  check_shadows(draft, report);
  check_unused(draft, report);
  check_doubtful(draft, report);
}

}  // namespace weir::config
