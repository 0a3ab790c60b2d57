// Router: which route takes a request. The first in written order whose every part matches.
//
// Immutable, part of a snapshot; a RouteIndex for each listener finds the route. Hosts compare
// without case and without a final dot (RFC 9110 4.2.3); methods and paths compare with case. The
// path is matched as it was sent: percent-escapes and dot segments are not interpreted, because it
// is forwarded as it was sent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "http/request.h"
#include "proxy/route_index.h"

namespace weir::proxy {

// The backends of a route and how they share its requests.
class Split {
 public:
  Split() = default;
  void add(std::uint32_t backend, std::uint32_t weight);
  [[nodiscard]] bool single() const { return shares_.size() == 1; }
  // `random`: any 32 random bits; of no use when single().
  [[nodiscard]] std::uint32_t pick(std::uint32_t random) const {
    return single() ? shares_[0].backend : pick_by(random);
  }

 private:
  struct Share {
    std::uint32_t backend;
    std::uint32_t weight_up_to;  // Running sum.
  };
  [[nodiscard]] std::uint32_t pick_by(std::uint32_t random) const;

  std::vector<Share> shares_;
};

struct MirrorPlan {
  std::uint32_t backend = 0;
  std::uint32_t percent = 0;  // Of the requests; 0: no mirror.
};

// Where a route leads.
struct Route {
  std::string label;  // For logs: "line 12" of the file, or "route 1" without a file.
  Split backends;
  MirrorPlan mirror;
  std::vector<std::uint32_t> limits;  // By index in the snapshot.
  std::uint8_t priority = 1;          // In a backend's queue.
  std::vector<std::string> upgrade;   // Protocols a client may switch to.
  std::vector<std::string> connect;   // "host:port" of CONNECT; not empty: takes nothing else.
};

class Router {
 public:
  Router() = default;
  // `listeners`: names by listener index. The configuration is valid: every name exists.
  Router(const config::Config& config, const std::vector<std::string>& listeners);

  // Null when no route matches. `host` without port, in any case; `path` without the query, or "*".
  [[nodiscard]] const Route* match(std::uint32_t listener, std::string_view host,
                                   std::string_view path, std::string_view method) const;

  // For a CONNECT. Routes for CONNECT are tried one by one: there are few.
  [[nodiscard]] const Route* match_connect(std::uint32_t listener, const http::HeadParser& head,
                                           const http::RequestInfo& request) const;
  // For a connection of a TCP listener. `name`: from its ClientHello, or empty.
  [[nodiscard]] const Route* match_name(std::uint32_t listener, std::string_view name) const;
  // The TCP listener has routes for names.
  [[nodiscard]] bool by_name(std::uint32_t listener) const { return listeners_[listener].by_name; }

 private:
  struct Listener {
    std::uint32_t index = 0;  // Into indexes_; listeners with the same routes share one.
    std::vector<std::uint32_t> connects;  // Routes for CONNECT, in written order.
    bool by_name = false;
  };

  [[nodiscard]] const Route* find(std::uint32_t listener, std::string_view host,
                                  std::string_view path, std::string_view method) const;

  std::vector<Route> routes_;
  std::vector<RouteIndex> indexes_;
  std::vector<Listener> listeners_;
};

}  // namespace weir::proxy
