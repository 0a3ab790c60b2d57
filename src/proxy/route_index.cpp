#include "proxy/route_index.h"

#include <algorithm>

#include "base/check.h"

namespace weir::proxy {
namespace {

// Takes the last label off, with its dot; false when it was the only one.
bool take_label(std::string_view& host, std::string_view& label) {
  const std::size_t dot = host.rfind('.');
  const bool more = dot != std::string_view::npos;
  label = more ? host.substr(dot + 1) : host;
  host = more ? host.substr(0, dot) : std::string_view{};
  return more;
}

// Takes the first segment off, with the slash behind it; false when it was the only one.
bool take_segment(std::string_view& path, std::string_view& segment) {
  const std::size_t slash = path.find('/');
  const bool more = slash != std::string_view::npos;
  segment = path.substr(0, slash);
  path = more ? path.substr(slash + 1) : std::string_view{};
  return more;
}

}  // namespace

struct RouteIndex::Search {
  std::string_view path;
  std::string_view method;
  std::uint32_t found = kNone;
};

void RouteIndex::add(std::uint32_t number, const config::Route& route) {
  std::uint32_t methods = kNone;
  if (!route.methods.empty()) {
    methods = static_cast<std::uint32_t>(methods_.size());
    methods_.push_back(route.methods);
  }
  const std::vector<std::string>& hosts = route.sni.empty() ? route.hosts : route.sni;
  const bool every_request = hosts.empty() && methods == kNone && route.path == "/";
  if (entries_.empty() && every_request) takes_all_ = number;
  if (!hosts.empty()) first_with_host_ = std::min(first_with_host_, number);
  for (const std::string& host : hosts) add_path(places_of(host), route.path, number, methods);
  if (hosts.empty()) add_path(every_host_, route.path, number, methods);
}

RouteIndex::Id RouteIndex::places_of(std::string_view host_pattern) {
  const bool below = host_pattern.starts_with("*.");
  if (below) host_pattern.remove_prefix(2);
  Id at = host_root_;
  std::string_view label;
  for (bool more = true; more;) {
    more = take_label(host_pattern, label);
    at = hosts_.add(at, label);
  }
  Id& root = below ? hosts_[at].below : hosts_[at].exact;
  if (root == kNone) root = places_.add_root();
  return root;
}

void RouteIndex::add_path(Id root, std::string_view pattern, std::uint32_t number,
                          std::uint32_t methods) {
  Ending ending = pattern.ends_with('/') ? Ending::slash : Ending::border;
  if (pattern.starts_with('=')) {
    ending = Ending::nothing;
    pattern.remove_prefix(1);
  }
  CHECK(pattern.starts_with('/'), "a route has a path that was not validated");
  if (ending == Ending::slash) pattern.remove_suffix(1);
  Id at = root;
  places_[at].first = std::min(places_[at].first, number);
  std::string_view segment;
  for (bool more = take_segment(pattern, segment); more;) {
    more = take_segment(pattern, segment);
    at = places_.add(at, segment);
    places_[at].first = std::min(places_[at].first, number);
  }
  add_entry(places_[at], {number, methods, kNone, ending});
}

void RouteIndex::add_entry(Place& place, const Entry& entry) {
  const auto index = static_cast<std::uint32_t>(entries_.size());
  entries_.push_back(entry);
  (place.entries == kNone ? place.entries : entries_[place.entries_end].next) = index;
  place.entries_end = index;
}

std::uint32_t RouteIndex::find(std::string_view host, std::string_view path,
                               std::string_view method) const {
  if (!path.starts_with('/') && path != "*") return kNone;
  return takes_all_ != kNone ? takes_all_ : search_trees(host, path, method);
}

std::uint32_t RouteIndex::search_trees(std::string_view host, std::string_view path,
                                       std::string_view method) const {
  Search search{path, method};
  walk(every_host_, search);
  if (first_with_host_ >= search.found) return search.found;
  Id at = host_root_;
  std::string_view label;
  for (bool more = true; more;) {
    more = take_label(host, label);
    at = hosts_.child(at, label);
    if (at == kNone) break;
    if (!more) {
      walk(hosts_[at].exact, search);
    } else if (!host.empty()) {  // "*.example.com" does not take ".example.com".
      walk(hosts_[at].below, search);
    }
  }
  return search.found;
}

void RouteIndex::walk(Id root, Search& search) const {
  // "*" is no segment: it belongs to the route of everything, which ends at the root.
  const bool asterisk = search.path == "*";
  std::string_view rest = search.path.substr(1);
  std::string_view segment;
  bool more = true;
  for (Id at = root; at != kNone && places_[at].first < search.found;) {
    look(places_[at], more, search);
    if (!more || asterisk || places_[at].first >= search.found) return;
    more = take_segment(rest, segment);
    at = places_.child(at, segment);
  }
}

void RouteIndex::look(const Place& place, bool slash_follows, Search& search) const {
  for (std::uint32_t i = place.entries; i != kNone; i = entries_[i].next) {
    const Entry& entry = entries_[i];
    if (entry.number >= search.found) return;
    const bool ends_so =
        entry.ending == Ending::border || (entry.ending == Ending::slash) == slash_follows;
    if (!ends_so || !takes_method(entry, search.method)) continue;
    search.found = entry.number;
    return;
  }
}

bool RouteIndex::takes_method(const Entry& entry, std::string_view method) const {
  return entry.methods == kNone ||
         std::ranges::find(methods_[entry.methods], method) != methods_[entry.methods].end();
}

}  // namespace weir::proxy
