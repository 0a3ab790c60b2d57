// Routes that nothing can reach: earlier ones take what they could take, or no listener is of their
// mode.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/draft.h"
#include "config/match_rules.h"

namespace weir::config {
namespace {

// Routes with one host and path that are compared with each other; beyond it a shadowed route
// goes unnoticed, which costs a warning and keeps large generated files quick.
constexpr std::size_t kComparedMax = 1000;

// What a route compares: server names, targets of CONNECT, or hosts.
const std::vector<std::string>& names_of(const Route& route) {
  if (!route.sni.empty()) return route.sni;
  return route.connect.empty() ? route.hosts : route.connect;
}

// Finds for each route of one kind an earlier one that takes everything it could take.
class Shadows {
 public:
  // `mode` is that of the listeners that the kind is for.
  Shadows(const Draft& draft, ListenerMode mode) {
    for (const auto& [name, its_mode] : draft.modes) {
      if (its_mode == mode) every_listener_.push_back(name);
    }
  }

  // Whether there is a listener for the kind at all.
  [[nodiscard]] bool served() const { return !every_listener_.empty(); }

  // Routes must be asked for in order. Returns the earlier route or null.
  const Route* covering(const Route& route) {
    const Route* found = nullptr;
    for_each_outer_path(route.path, [&](const std::string& path) {
      if (found == nullptr) found = search(path, route);
    });
    for (const std::string& name : keys_of(route)) by_path_[route.path][name].push_back(&route);
    return found;
  }

 private:
  using ByName = std::unordered_map<std::string, std::vector<const Route*>>;

  // "" stands for every host.
  static std::vector<std::string> keys_of(const Route& route) {
    return names_of(route).empty() ? std::vector<std::string>{""} : names_of(route);
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
    // A route that covers all of the names covers the first.
    const std::string first = keys_of(route).front();
    if (const Route* found = search(bucket->second, "", route)) return found;
    if (first.empty()) return nullptr;
    if (const Route* found = search(bucket->second, first, route)) return found;
    for (std::size_t dot = first.find('.'); dot != std::string::npos;
         dot = first.find('.', dot + 1)) {
      if (const Route* found = search(bucket->second, "*" + first.substr(dot), route)) return found;
    }
    return nullptr;
  }

  const Route* search(const ByName& by_name, const std::string& name, const Route& route) const {
    const auto found = by_name.find(name);
    if (found == by_name.end()) return nullptr;
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
    const std::vector<std::string>& patterns = names_of(outer);
    const std::vector<std::string>& names = names_of(inner);
    const bool name = patterns.empty() ||
                      (!names.empty() && std::ranges::all_of(names, [&](const std::string& one) {
                        return std::ranges::any_of(patterns, [&](const std::string& pattern) {
                          return host_covers(pattern, one);
                        });
                      }));
    return listener && method && name && path_covers(outer.path, inner.path);
  }

  std::vector<std::string> every_listener_;
  std::unordered_map<std::string, ByName> by_path_;
};

}  // namespace

void check_shadows(const Draft& draft, Report& report) {
  Shadows requests(draft, ListenerMode::http);
  Shadows targets(draft, ListenerMode::http);
  Shadows server_names(draft, ListenerMode::tcp);
  for (std::size_t i = 0; i < draft.route_headers.size(); ++i) {
    const Route& route = draft.config.routes[i];
    const bool tcp = !route.sni.empty();
    Shadows& same_kind = tcp ? server_names : route.connect.empty() ? requests : targets;
    const std::string message =
        tcp ? "no connection reaches this route" : "no request reaches this route";
    if (!same_kind.served()) {
      report.add(Code::unreachable_route, draft.route_headers[i], message,
                 tcp ? "no listener has mode = \"tcp\", and routes with `sni` are for those"
                     : "every listener has mode = \"tcp\", and this route has no `sni`");
    } else if (const Route* outer = same_kind.covering(route)) {
      report.add(Code::unreachable_route, draft.route_headers[i], message,
                 "the route in line " + std::to_string(outer->line) + " takes them all",
                 "routes are tried in written order; put the narrower one first");
    }
  }
}

}  // namespace weir::config
