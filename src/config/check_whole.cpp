// The checks over the whole configuration, after every table was read.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "config/draft.h"
#include "config/endpoint.h"
#include "config/match_rules.h"
#include "config/text.h"

namespace weir::config {
namespace {

// Routes with one host and path that are compared with each other; beyond it a shadowed route
// goes unnoticed, which costs a warning and keeps large generated files quick.
constexpr std::size_t kComparedMax = 1000;

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
  if (!draft.config.routes.empty()) return;
  if (draft.backends.size() == 1) {
    // One backend and no routes leave one thing to do with a request.
    Route route;
    route.backends = {{draft.config.backends.front().name}};
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

// Finds for each route an earlier one that takes every request it could take.
class Shadows {
 public:
  explicit Shadows(const Draft& draft) {
    for (const auto& [name, span] : draft.listeners) every_listener_.push_back(name);
  }

  // Routes must be asked for in order. Returns the earlier route or null.
  const Route* covering(const Route& route) {
    const Route* found = nullptr;
    for_each_outer_path(route.path, [&](const std::string& path) {
      if (found == nullptr) found = search(path, route);
    });
    for (const std::string& host : hosts_of(route)) by_path_[route.path][host].push_back(&route);
    return found;
  }

 private:
  using ByHost = std::unordered_map<std::string, std::vector<const Route*>>;

  // "" stands for every host.
  static std::vector<std::string> hosts_of(const Route& route) {
    return route.hosts.empty() ? std::vector<std::string>{""} : route.hosts;
  }

  // Every path pattern that covers `path`: itself and its prefixes on segment borders.
  template <typename Visit>
  static void for_each_outer_path(std::string_view path, const Visit& visit) {
    visit(std::string(path));
    if (path.starts_with('=')) path.remove_prefix(1);
    for (std::size_t i = 0; i < path.size(); ++i) {
      if (path[i] == '/' && i > 0) visit(std::string(path.substr(0, i)));
      if (path[i] == '/') visit(std::string(path.substr(0, i + 1)));
    }
    visit(std::string(path));
  }

  const Route* search(const std::string& path, const Route& route) const {
    const auto bucket = by_path_.find(path);
    if (bucket == by_path_.end()) return nullptr;
    // A route that covers all of the hosts covers the first.
    const std::string first = hosts_of(route).front();
    if (const Route* found = search(bucket->second, "", route)) return found;
    if (first.empty()) return nullptr;
    if (const Route* found = search(bucket->second, first, route)) return found;
    for (std::size_t dot = first.find('.'); dot != std::string::npos;
         dot = first.find('.', dot + 1)) {
      if (const Route* found = search(bucket->second, "*" + first.substr(dot), route)) return found;
    }
    return nullptr;
  }

  const Route* search(const ByHost& by_host, const std::string& host, const Route& route) const {
    const auto found = by_host.find(host);
    if (found == by_host.end()) return nullptr;
    const std::size_t most = std::min(found->second.size(), kComparedMax);
    for (std::size_t i = 0; i < most; ++i) {
      if (covers(*found->second[i], route)) return found->second[i];
    }
    return nullptr;
  }

  [[nodiscard]] bool covers(const Route& outer, const Route& inner) const {
    const auto has = [](const std::vector<std::string>& all, const std::string& one) {
      return std::ranges::find(all, one) != all.end();
    };
    const auto& listeners = inner.listeners.empty() ? every_listener_ : inner.listeners;
    const bool listener =
        outer.listeners.empty() || std::ranges::all_of(listeners, [&](const std::string& name) {
          return has(outer.listeners, name);
        });
    const bool method =
        outer.methods.empty() ||
        (!inner.methods.empty() && std::ranges::all_of(inner.methods, [&](const std::string& name) {
          return has(outer.methods, name);
        }));
    const bool host =
        outer.hosts.empty() ||
        (!inner.hosts.empty() && std::ranges::all_of(inner.hosts, [&](const std::string& name) {
          return std::ranges::any_of(
              outer.hosts, [&](const std::string& pattern) { return host_covers(pattern, name); });
        }));
    return listener && method && host && path_covers(outer.path, inner.path);
  }

  std::vector<std::string> every_listener_;
  std::unordered_map<std::string, ByHost> by_path_;
};

void check_shadows(const Draft& draft, Report& report) {
  Shadows shadows(draft);
  for (std::size_t i = 0; i < draft.route_headers.size(); ++i) {
    const Route* outer = shadows.covering(draft.config.routes[i]);
    if (outer == nullptr) continue;
    report.add(Code::unreachable_route, draft.route_headers[i], "no request reaches this route",
               "the route in line " + std::to_string(outer->line) + " takes them all",
               "routes are tried in written order; put the narrower one first");
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
    every_listener |= route.listeners.empty();
  }
  for (const Listener& listener : draft.config.listeners) {
    limits.insert(listener.limits.begin(), listener.limits.end());
  }
  for (const auto& [name, span] : draft.limits) {
    if (limits.contains(name)) continue;
    report.add(
        Code::unused_limit, span, "nothing uses the limit " + in_backticks(name),
        "add limits = [\"" + printable(name) + "\"] to a [[route]] or listener, or remove it");
  }
  for (const auto& [name, span] : draft.backends) {
    if (backends.contains(name)) continue;
    report.add(Code::unused_backend, span, "no route uses the backend " + in_backticks(name),
               "add a [[route]] with backend = \"" + printable(name) + "\", or remove it");
  }
  for (const auto& [name, span] : draft.listeners) {
    if (every_listener || listeners.contains(name)) continue;
    report.add(Code::unrouted_listener, span, "no route serves the listener " + in_backticks(name),
               "every request on it is answered with 404");
  }
}

}  // namespace

void check_whole(Draft& draft, Report& report) {
  check_presence(draft, report);
  check_addresses(draft, report);
  // A route with a mistake may mean another backend or path than it says.
  if (report.has_errors()) return;
  check_shadows(draft, report);
  check_unused(draft, report);
}

}  // namespace weir::config
