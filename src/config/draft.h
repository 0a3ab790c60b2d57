// What the loaders of the single tables hand to the checks over all of them: the values, and where
// in the file each came from.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/document.h"
#include "config/report.h"
#include "config/table_reader.h"

namespace weir::config {

// Every declared name, also of a table that is refused: a reference to it is no second error.
using Names = std::map<std::string, Span, std::less<>>;

struct PlacedEndpoint {
  Endpoint endpoint;
  Span span;
  std::string owner;  // "[listener.web]"
};

// Which backends connections and requests go to, as far as the file was understood. Where it was
// not, nothing is said that another use would make untrue.
struct Uses {
  std::set<std::string, std::less<>> tcp;
  std::set<std::string, std::less<>> http;
  std::set<std::string, std::less<>> tunnels;  // Targets of CONNECT: they may speak anything.
  bool tcp_unclear = false;
  bool http_unclear = false;

  void all_unclear() { tcp_unclear = http_unclear = true; }
  // TCP listeners use the backend, and nobody else.
  [[nodiscard]] bool only_tcp(std::string_view backend) const {
    return tcp.contains(backend) && !tunnels.contains(backend) && gets_no_request(backend);
  }
  // Connections and tunnels reach the backend, and no request does.
  [[nodiscard]] bool gets_no_request(std::string_view backend) const {
    const bool used = tcp.contains(backend) || tunnels.contains(backend);
    return used && !http.contains(backend) && !http_unclear;
  }
};

// A [backend.NAME.health], which waits until it is known who uses the backend.
struct HealthTable {
  std::size_t backend;  // In config.backends.
  TableReader table;
};

struct Draft {
  Config config;
  bool has_listener_table = false;
  bool has_backend_table = false;
  Names listeners;
  std::map<std::string, ListenerMode, std::less<>> modes;  // Only those that were understood.
  Names without_backend;  // TCP listeners that no connection could leave; to their headers.
  Names backends;
  std::map<std::string_view, const Value*> backend_tables;  // As they stand in the file.
  std::vector<HealthTable> health_tables;
  Uses uses;
  Names limits;
  std::set<std::string, std::less<>> header_limits;  // Those counted per field value.
  std::vector<PlacedEndpoint> bound;  // In the order of the file, the admin address last.
  std::vector<PlacedEndpoint> servers;
  std::vector<Span> route_headers;  // Beside config.routes.
};

// One per table of the file; each reports what it finds. The member is the table's own.
void load_runtime(const Member& member, Draft& draft, Report& report);
// Before the tables that refer to limits.
void load_limits(const Member& member, Draft& draft, Report& report);
void load_backends(const Member& member, Draft& draft, Report& report);
// After the two above: listeners refer to them.
void load_listeners(const Member& member, Draft& draft, Report& report);
// After the three above: routes refer to them.
void load_routes(const Member& member, Draft& draft, Report& report);
void load_admin(const Member& member, Draft& draft, Report& report);
void load_log(const Member& member, Draft& draft, Report& report);

// Calls `load` for each [kind.NAME] of the table `kind`; reports tables without a usable name.
void for_each_named(const Member& member, Report& report,
                    const std::function<void(const Member&)>& load);

// What only shows when everything is read: addresses in use, routes nobody reaches, tables nobody
// uses.
void check_whole(Draft& draft, Report& report);

// Parts of it. The tables that have waited:
void load_health_checks(Draft& draft);
// A TCP listener without anywhere to send connections to:
void check_tcp_listeners(const Draft& draft, Report& report);
// Settings of backends that TCP connections cannot have.
void check_tcp_backends(const Draft& draft, Report& report);
// Routes that nothing reaches; when there are no errors so far.
void check_shadows(const Draft& draft, Report& report);
// Settings that hardly do what was meant; when there are no errors so far.
void check_doubtful(const Draft& draft, Report& report);

}  // namespace weir::config
