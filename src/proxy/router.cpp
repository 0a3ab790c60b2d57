#include "proxy/router.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/check.h"

namespace weir::proxy {
namespace {

// Where in a list each name stands.
class Numbers {
 public:
  template <typename Named>
  explicit Numbers(const std::vector<Named>& all) {
    for (const Named& one : all) numbers_.emplace(one.name, numbers_.size());
  }
  [[nodiscard]] std::uint32_t operator[](const std::string& name) const {
    const auto at = numbers_.find(name);
    CHECK(at != numbers_.end(), "a route names what was not validated");
    return at->second;
  }

 private:
  std::unordered_map<std::string_view, std::uint32_t> numbers_;
};

struct Names {
  explicit Names(const config::Config& config) : backends(config.backends), limits(config.limits) {}
  Numbers backends;
  Numbers limits;
};

const config::Listener& find_listener(const config::Config& config, const std::string& name) {
  const auto at = std::find_if(config.listeners.begin(), config.listeners.end(),
                               [&](const config::Listener& l) { return l.name == name; });
  CHECK(at != config.listeners.end(), "a running listener without a configuration");
  return *at;
}

Route compile(const Names& names, const config::Route& from, std::size_t number) {
  Route route;
  route.label =
      from.line > 0 ? "line " + std::to_string(from.line) : "route " + std::to_string(number);
  for (const config::RouteBackend& share : from.backends) {
    route.backends.add(names.backends[share.backend], share.weight);
  }
  if (from.mirror) route.mirror = {names.backends[from.mirror->backend], from.mirror->percent};
  for (const std::string& limit : from.limits) route.limits.push_back(names.limits[limit]);
  route.priority = static_cast<std::uint8_t>(from.priority);
  route.upgrade = from.upgrade;
  route.connect = from.connect;
  return route;
}

// Where connections of a TCP listener go that no route takes.
Route compile_default(const Names& names, const config::Listener& from) {
  Route route;
  route.label = "listener " + from.name;
  route.backends.add(names.backends[from.backend], 1);
  return route;
}

// Of the routes with these numbers; beyond the written ones they take everything.
RouteIndex make_index(const std::vector<config::Route>& routes,
                      const std::vector<std::uint32_t>& numbers) {
  RouteIndex index;
  for (const std::uint32_t number : numbers) {
    index.add(number, number < routes.size() ? routes[number] : config::Route{});
  }
  return index;
}

}  // namespace

void Split::add(std::uint32_t backend, std::uint32_t weight) {
  if (weight == 0) return;
  shares_.push_back({backend, weight + (shares_.empty() ? 0 : shares_.back().weight_up_to)});
}

std::uint32_t Split::pick_by(std::uint32_t random) const {
  CHECK(!shares_.empty(), "a route without a backend was not validated");
  const std::uint64_t sum = shares_.back().weight_up_to;
  const auto point = static_cast<std::uint32_t>(sum * random >> 32);
  return std::find_if(shares_.begin(), shares_.end(),
                      [&](const Share& share) { return point < share.weight_up_to; })
      ->backend;
}

Router::Router(const config::Config& config, const std::vector<std::string>& listeners)
    : listeners_(listeners.size()) {
  const Names names(config);
  for (const config::Route& from : config.routes) {
    routes_.push_back(compile(names, from, routes_.size() + 1));
  }
  std::map<std::vector<std::uint32_t>, std::uint32_t> known;
  for (std::size_t i = 0; i < listeners.size(); ++i) {
    const config::Listener& from = find_listener(config, listeners[i]);
    Listener& listener = listeners_[i];
    std::vector<std::uint32_t> numbers;
    for (std::uint32_t number = 0; number < config.routes.size(); ++number) {
      const config::Route& route = config.routes[number];
      if (!route.serves(from)) continue;
      (route.connect.empty() ? numbers : listener.connects).push_back(number);
      if (!route.sni.empty()) listener.by_name = true;
    }
    if (!from.backend.empty()) {
      numbers.push_back(static_cast<std::uint32_t>(routes_.size()));
      routes_.push_back(compile_default(names, from));
    }
    const auto next = static_cast<std::uint32_t>(indexes_.size());
    const auto [at, added] = known.try_emplace(std::move(numbers), next);
    if (added) indexes_.push_back(make_index(config.routes, at->first));
    listener.index = at->second;
  }
}

const Route* Router::match(std::uint32_t listener, std::string_view host, std::string_view path,
                           std::string_view method) const {
  if (host.ends_with('.')) host.remove_suffix(1);
  return find(listener, host, path, method);
}

const Route* Router::match_connect(std::uint32_t listener, const http::HeadParser& head,
                                   const http::RequestInfo& request) const {
  for (const std::uint32_t number : listeners_[listener].connects) {
    const std::vector<std::string>& targets = routes_[number].connect;
    const bool takes = std::ranges::any_of(
        targets, [&](const std::string& target) { return request.connects_to(head, target); });
    if (takes) return &routes_[number];
  }
  return nullptr;
}

const Route* Router::match_name(std::uint32_t listener, std::string_view name) const {
  return find(listener, name, "/", {});
}

const Route* Router::find(std::uint32_t listener, std::string_view host, std::string_view path,
                          std::string_view method) const {
  const std::uint32_t number = indexes_[listeners_[listener].index].find(host, path, method);
  return number == RouteIndex::kNone ? nullptr : &routes_[number];
}

}  // namespace weir::proxy
