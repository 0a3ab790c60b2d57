// RouteIndex: which of many routes is the first, in written order, whose host, path and methods all
// match.
//
// A tree of host labels, read from the right, leads to trees of path segments: one for each exact
// host, one for each "*.suffix", one for routes of every host. Each node of those has its routes in
// written order, and the first route at or below it, so that a walk ends where nothing earlier than
// what was found can follow.
//
//   com ─ example ┬ exact: "/" ─ api ─ v1       a request for www.example.com/api/x walks
//                 ├ below: "/" ─ api            every host's tree, com, example, and
//                 └ www ─ exact: "/" ─ static   its `below`, then www and its `exact`
//
// What a look-up costs depends on the patterns that the request's own host and path run into, not
// on the number of routes, nor on the length of the path: every step is to a node that a route
// made. Nothing is allocated. Only routes with the same host and path are tried one by one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "http/scan.h"
#include "proxy/segment_tree.h"

namespace weir::proxy {

class RouteIndex {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  RouteIndex() : host_root_(hosts_.add_root()), every_host_(places_.add_root()) {}

  // By the route's hosts or server names, path and methods. Numbers ascend from call to call.
  void add(std::uint32_t number, const config::Route& route);

  // The lowest number of those that match, or kNone. `host` in any case; `path` is what a request
  // has: it begins with "/", or is "*".
  [[nodiscard]] std::uint32_t find(std::string_view host, std::string_view path,
                                   std::string_view method) const;

 private:
  using Id = std::uint32_t;

  // How the path may go on behind the segments that led to a node.
  enum class Ending : std::uint8_t {
    border,   // "/api": in any way.
    slash,    // "/api/": with a slash.
    nothing,  // "=/api": not at all.
  };
  // A route at a node.
  struct Entry {
    std::uint32_t number;
    std::uint32_t methods;  // Into methods_, or kNone: every method.
    std::uint32_t next;     // Into entries_, or kNone.
    Ending ending;
  };
  struct Host {
    Id exact = kNone;  // Roots in places_, or kNone.
    Id below = kNone;
  };
  struct Place {
    std::uint32_t first = kNone;    // Lowest number here and below.
    std::uint32_t entries = kNone;  // First and last of a list in entries_.
    std::uint32_t entries_end = kNone;
  };
  struct Search;

  static bool same_bytes(std::string_view a, std::string_view b) { return a == b; }

  [[nodiscard]] std::uint32_t search_trees(std::string_view host, std::string_view path,
                                           std::string_view method) const;
  [[nodiscard]] Id places_of(std::string_view host_pattern);
  void add_path(Id root, std::string_view pattern, std::uint32_t number, std::uint32_t methods);
  void add_entry(Place& place, const Entry& entry);
  void walk(Id root, Search& search) const;
  void look(const Place& place, bool slash_follows, Search& search) const;
  [[nodiscard]] bool takes_method(const Entry& entry, std::string_view method) const;

  SegmentTree<Host, http::scan::equals_lower> hosts_;
  SegmentTree<Place, same_bytes> places_;  // The root of each tree stands for the path's first "/".
  std::vector<Entry> entries_;
  std::vector<std::vector<std::string>> methods_;
  std::uint32_t first_with_host_ = kNone;  // Lowest number of a route of certain hosts.
  std::uint32_t takes_all_ = kNone;        // The first route, when nothing gets past it.
  Id host_root_;
  Id every_host_;
};

}  // namespace weir::proxy
