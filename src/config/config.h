// The configuration as plain, validated values: what the text means, nothing that runs.
//
// Produced by config::load() from TOML, or by the command line for the forms without a file.
// Everything in here is already checked (ranges, references, duplicates), so that the compilers of
// the proxy layer never have to refuse. Durations are std::chrono, sizes are bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir::config {

using Milliseconds = std::chrono::milliseconds;

// Where a socket listens or connects to. Text forms are described in docs/configuration.md.
struct Endpoint {
  enum class Family : std::uint8_t {
    ipv4,
    ipv6,
    unix_path,
  };
  Family family = Family::ipv4;
  std::string host;        // Canonical literal without brackets, or the path of a unix socket.
  std::uint16_t port = 0;  // 1..65535; 0 only for unix sockets.

  bool operator==(const Endpoint&) const = default;
  // "127.0.0.1:8080", "[::1]:8080", "unix:/run/app.sock".
  [[nodiscard]] std::string text() const;
};

// An address block of `trusted_proxies`, e.g. 10.0.0.0/8 or fd00::/8.
struct Network {
  std::uint8_t address[16] = {};  // IPv4 in the first four bytes.
  bool ipv6 = false;
  std::uint8_t prefix_bits = 0;

  bool operator==(const Network&) const = default;
};

enum class Trigger : std::uint8_t {
  edge,
  level,
  oneshot,
};

enum class Balance : std::uint8_t {
  round_robin,
  least_connections,
  p2c,
};

// What of its own making weir adds to requests. See docs/decisions on forwarding headers.
struct ForwardedHeaders {
  bool x_forwarded = true;               // X-Forwarded-For, -Proto, -Host.
  bool forwarded = false;                // Forwarded (RFC 7239).
  bool via = false;                      // Via (RFC 9110 7.6.3).
  std::vector<Network> trusted_proxies;  // Clients whose own values are kept and appended to.

  bool operator==(const ForwardedHeaders&) const = default;
};

struct ListenerTimeouts {
  Milliseconds client_head{10'000};  // First byte of a head to its last byte.
  Milliseconds client_idle{60'000};  // Between two requests of one connection.
  Milliseconds client_body{30'000};  // Between two pieces of a body, in either direction.
};

struct Listener {
  std::string name;
  std::vector<Endpoint> bind;  // At least one.
  // Most client connections at one time over all workers; empty means derived from the
  // descriptor limit.
  std::optional<std::uint32_t> max_connections;
  ForwardedHeaders forwarded;
  ListenerTimeouts timeouts;
};

struct BackendTimeouts {
  Milliseconds connect{5'000};         // connect() to an established connection.
  Milliseconds response_head{60'000};  // Last request byte to the complete response head.
  Milliseconds response_body{30'000};  // Between two pieces of a body, in either direction.
  Milliseconds idle{4'000};            // How long an unused connection is kept.
};

struct Server {
  std::string name;  // Unique in its backend; the address text unless given.
  Endpoint address;
  std::uint32_t weight = 1;  // 0..1000; 0 takes no new requests.
};

struct Backend {
  std::string name;
  std::vector<Server> servers;  // At least one.
  Balance balance = Balance::round_robin;
  BackendTimeouts timeouts;
  // Status of the answer when no server can take the request: 503, or 500 in the classic form.
  std::uint16_t unavailable_status = 503;
  // Most requests at one time per server; parsed and checked, used by the overload queue.
  std::optional<std::uint32_t> server_limit;
};

// One rule. A request takes the first route, in written order, whose every given part matches.
struct Route {
  std::vector<std::string> listeners;  // Empty: every listener.
  std::vector<std::string> hosts;      // "example.com" or "*.example.com", lower case. Empty: any.
  std::string path = "/";              // A prefix on segment borders, or "=/exact".
  std::vector<std::string> methods;    // Case-sensitive tokens. Empty: any.
  std::string backend;
  std::uint32_t line = 0;  // Line of the [[route]] header in the file, 0 without a file.
};

struct Runtime {
  std::optional<std::uint32_t> workers;  // 1..256; empty means one per usable core.
  Trigger trigger = Trigger::edge;
  Milliseconds shutdown_grace{30'000};
  std::string user;         // Whom to become once everything is open; empty: nobody else.
  std::string group;        // Empty: the user's primary group. Never without `user`.
  bool core_dumps = false;  // False: none, true: as the limits of the process say.
};

struct Log {
  std::string access;  // Path, "-" for standard output, empty for none.
};

struct Config {
  Runtime runtime;
  std::optional<Endpoint> admin;
  Log log;
  std::vector<Listener> listeners;
  std::vector<Route> routes;
  std::vector<Backend> backends;
};

}  // namespace weir::config
