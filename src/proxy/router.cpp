#include "proxy/router.h"

#include <algorithm>

#include "base/check.h"
#include "http/request.h"
#include "http/scan.h"

namespace weir::proxy {
namespace {

std::uint32_t backend_index(const config::Config& config, const std::string& name) {
  const auto at =
      std::find_if(config.backends.begin(), config.backends.end(),
                   [&](const config::Backend& backend) { return backend.name == name; });
  CHECK(at != config.backends.end(), "a route names a backend that was not validated");
  return static_cast<std::uint32_t>(at - config.backends.begin());
}

const config::Listener& find_listener(const config::Config& config, const std::string& name) {
  const auto at = std::find_if(config.listeners.begin(), config.listeners.end(),
                               [&](const config::Listener& l) { return l.name == name; });
  CHECK(at != config.listeners.end(), "a running listener without a configuration");
  return *at;
}

std::uint32_t limit_index(const config::Config& config, const std::string& name) {
  const auto at = std::find_if(config.limits.begin(), config.limits.end(),
                               [&](const config::RateLimit& limit) { return limit.name == name; });
  CHECK(at != config.limits.end(), "a route names a limit that was not validated");
  return static_cast<std::uint32_t>(at - config.limits.begin());
}

Route compile(const config::Config& config, const config::Route& from, std::size_t number) {
  Route route;
  route.label =
      from.line > 0 ? "line " + std::to_string(from.line) : "route " + std::to_string(number);
  for (const config::RouteBackend& share : from.backends) {
    route.backends.add(backend_index(config, share.backend), share.weight);
  }
  if (from.mirror) {
    route.mirror = {backend_index(config, from.mirror->backend), from.mirror->percent};
  }
  for (const std::string& limit : from.limits) route.limits.push_back(limit_index(config, limit));
  route.priority = static_cast<std::uint8_t>(from.priority);
  for (const std::string& host : from.sni.empty() ? from.hosts : from.sni) {
    if (host.starts_with("*.")) {
      route.hosts_suffix.push_back(host.substr(1));
    } else {
      route.hosts_exact.push_back(host);
    }
  }
  route.path_exact = from.path.starts_with('=');
  route.path = route.path_exact ? from.path.substr(1) : from.path;
  route.methods = from.methods;
  route.upgrade = from.upgrade;
  route.connect = from.connect;
  return route;
}

// Where connections of a TCP listener go that no route takes.
Route compile_default(const config::Config& config, const config::Listener& from) {
  Route route;
  route.label = "listener " + from.name;
  route.backends.add(backend_index(config, from.backend), 1);
  return route;
}

}  // namespace

void Split::add(std::uint32_t backend, std::uint32_t weight) {
  if (weight == 0) return;
  shares_.push_back({backend, weight + (shares_.empty() ? 0 : shares_.back().weight_up_to)});
}

std::uint32_t Split::pick(std::uint32_t random) const {
  CHECK(!shares_.empty(), "a route without a backend was not validated");
  const std::uint64_t sum = shares_.back().weight_up_to;
  const auto point = static_cast<std::uint32_t>(sum * random >> 32);
  return std::find_if(shares_.begin(), shares_.end(),
                      [&](const Share& share) { return point < share.weight_up_to; })
      ->backend;
}

bool Route::takes_host(std::string_view host) const {
  if (hosts_exact.empty() && hosts_suffix.empty()) return true;
  const auto equal = [&](const std::string& exact) {
    return http::scan::equals_lower(host, exact);
  };
  const auto below = [&](const std::string& suffix) {
    return host.size() > suffix.size() &&
           http::scan::equals_lower(host.substr(host.size() - suffix.size()), suffix);
  };
  return std::any_of(hosts_exact.begin(), hosts_exact.end(), equal) ||
         std::any_of(hosts_suffix.begin(), hosts_suffix.end(), below);
}

bool Route::takes_path(std::string_view request_path) const {
  if (path_exact) return request_path == path;
  if (!request_path.starts_with(path)) return path == "/" && request_path == "*";
  return path.ends_with('/') || request_path.size() == path.size() ||
         request_path[path.size()] == '/';
}

bool Route::takes_method(std::string_view method) const {
  return methods.empty() || std::find(methods.begin(), methods.end(), method) != methods.end();
}

Router::Router(const config::Config& config, const std::vector<std::string>& listeners)
    : by_listener_(listeners.size()), by_name_(listeners.size()) {
  std::vector<const config::Listener*> running;
  for (const std::string& name : listeners) running.push_back(&find_listener(config, name));
  for (const config::Route& from : config.routes) {
    const auto index = static_cast<std::uint32_t>(routes_.size());
    routes_.push_back(compile(config, from, routes_.size() + 1));
    for (std::size_t i = 0; i < running.size(); ++i) {
      if (!from.serves(*running[i])) continue;
      by_listener_[i].push_back(index);
      if (!from.sni.empty()) by_name_[i] = true;
    }
  }
  for (std::size_t i = 0; i < running.size(); ++i) {
    if (running[i]->backend.empty()) continue;
    by_listener_[i].push_back(static_cast<std::uint32_t>(routes_.size()));
    routes_.push_back(compile_default(config, *running[i]));
  }
}

const Route* Router::match(std::uint32_t listener, std::string_view host, std::string_view path,
                           std::string_view method) const {
  if (host.ends_with('.')) host.remove_suffix(1);
  for (const std::uint32_t index : by_listener_[listener]) {
    const Route& route = routes_[index];
    if (!route.connect.empty()) continue;
    if (route.takes_path(path) && route.takes_method(method) && route.takes_host(host)) {
      return &route;
    }
  }
  return nullptr;
}

const Route* Router::match_connect(std::uint32_t listener, const http::HeadParser& head,
                                   const http::RequestInfo& request) const {
  for (const std::uint32_t index : by_listener_[listener]) {
    const std::vector<std::string>& targets = routes_[index].connect;
    const bool takes = std::any_of(targets.begin(), targets.end(), [&](const std::string& target) {
      return request.connects_to(head, target);
    });
    if (takes) return &routes_[index];
  }
  return nullptr;
}

const Route* Router::match_name(std::uint32_t listener, std::string_view name) const {
  for (const std::uint32_t index : by_listener_[listener]) {
    if (routes_[index].takes_host(name)) return &routes_[index];
  }
  return nullptr;
}

}  // namespace weir::proxy
