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
  ewma,
  least_load,
  random,
  first,
  ip_hash,
  uri_hash,
  header_hash,
  cookie_hash,
  query_hash,
};

// What of its own making weir adds to requests. See docs/decisions on forwarding headers.
struct ForwardedHeaders {
  bool x_forwarded = true;               // X-Forwarded-For, -Proto, -Host.
  bool forwarded = false;                // Forwarded (RFC 7239).
  bool via = false;                      // Via (RFC 9110 7.6.3).
  std::vector<Network> trusted_proxies;  // Clients whose own values are kept and appended to.

  bool operator==(const ForwardedHeaders&) const = default;
};

// Keepalive probes of a connection begin after so long without a byte; 0: never.
inline constexpr Milliseconds kTcpKeepalive{60'000};

struct ListenerTimeouts {
  // First byte of a head to its last byte; a PROXY header and a ClientHello have as long.
  Milliseconds client_head{10'000};
  Milliseconds client_idle{60'000};     // Between two requests of one connection.
  Milliseconds client_body{30'000};     // Between two pieces of a body, in either direction.
  Milliseconds tunnel_idle{3'600'000};  // Of a relay or tunnel: no byte in either direction.
};

enum class ListenerMode : std::uint8_t {
  http,
  tcp,  // Bytes are relayed as they are.
};

struct Listener {
  std::string name;
  ListenerMode mode = ListenerMode::http;
  std::vector<Endpoint> bind;  // At least one.
  std::string backend;         // tcp: for connections that no route takes; empty: they are closed.
  // Most client connections at one time over all workers; empty means derived from the
  // descriptor limit.
  std::optional<std::uint32_t> max_connections;
  std::vector<std::string> limits;    // Names of [limit.NAME], for new connections.
  std::vector<Network> accept_proxy;  // Peers whose connections begin with a PROXY header.
  ForwardedHeaders forwarded;
  ListenerTimeouts timeouts;
  Milliseconds tcp_keepalive = kTcpKeepalive;  // Whole seconds to 32767.
  std::string congestion;                      // Congestion control; empty: the system's.
  // http: the kernel keeps a connection until its first bytes are there, for a second at most.
  bool defer_accept = false;
};

struct BackendTimeouts {
  Milliseconds connect{5'000};         // connect() to an established connection.
  Milliseconds response_head{60'000};  // Last request byte to the complete response head.
  Milliseconds response_body{30'000};  // Between two pieces of a body, in either direction.
  Milliseconds idle{4'000};            // How long an unused connection is kept.
};

// A server given by name: its addresses are looked up while weir runs, and each is a server.
struct HostName {
  std::string name;        // Lower case, without a final dot.
  std::uint16_t port = 0;  // 0: an SRV record says it.

  bool operator==(const HostName&) const = default;
  [[nodiscard]] bool srv() const { return port == 0; }
  // "app.example.com:3000", "srv:_http._tcp.example.com".
  [[nodiscard]] std::string text() const;
};

// What the operator wants of a server.
enum class ServerWish : std::uint8_t {
  ready,
  drain,        // No new requests but those that a cookie binds to it.
  maintenance,  // None at all.
};

struct Server {
  std::string name;  // Unique in its backend; the address text unless given.
  Endpoint address;  // Of a looked-up server: one of its addresses, filled in by the resolver.
  std::optional<HostName> host;  // Given by name; `address` means nothing in a read configuration.
  std::uint32_t weight = 1;      // 0..1000; 0 takes no new requests.
  std::uint32_t priority = 0;    // 0..9: lower ones are used while any of them can be.
  std::optional<std::uint32_t> limit;  // Instead of the backend's server_limit.
  ServerWish state = ServerWish::ready;
};

// "200-299" of expect_status, "500-504" of statuses.
struct StatusRange {
  std::uint16_t first = 0;  // 100..599
  std::uint16_t last = 0;   // first..599

  bool operator==(const StatusRange&) const = default;
};

struct HeaderField {
  std::string name;
  std::string value;

  bool operator==(const HeaderField&) const = default;
};

// [backend.NAME.health]
struct HealthCheck {
  enum class Type : std::uint8_t {
    none,
    http,
    tcp,
  };
  Type type = Type::none;  // http when the table is there and does not say.
  std::string method = "GET";
  std::string path = "/";
  std::string host;  // Empty: the server's address.
  std::vector<HeaderField> headers;
  std::vector<StatusRange> expect_status{{200, 399}};  // Empty: any well-formed answer.
  std::string expect_body;                             // A substring; empty: anything.
  std::string send;                                    // tcp: sent when connected.
  std::string expect;                                  // tcp: a substring of what comes back.
  std::optional<std::uint16_t> port;                   // Instead of the server's.
  Milliseconds interval{5'000};
  Milliseconds fast_interval{1'000};  // While the verdict is changing or bad.
  Milliseconds timeout{2'000};        // Connecting, sending and the whole answer.
  std::uint32_t rise = 2;             // Good ones in a row that make a down server up: 1..100.
  std::uint32_t fall = 3;             // Bad ones in a row that make an up server down: 1..100.
  std::uint32_t every_requests = 0;   // Besides, after every so many requests; 0: never.
  bool load_report = false;  // The body may say how loaded the server is (docs/balancing.md).

  bool operator==(const HealthCheck&) const = default;
};

// [backend.NAME.ejection]: servers that answer badly are left alone for a while.
struct Ejection {
  bool enabled = true;
  std::uint32_t consecutive_errors = 5;  // 5xx, resets, timeouts in a row; 0: never for that.
  std::uint32_t error_percent = 50;      // Of a window's answers; 0: never for that.
  std::uint32_t latency_factor = 5;      // Times the backend's median; 0: never for that.
  std::uint32_t min_requests = 20;       // Fewer in a window say nothing.
  Milliseconds window{10'000};
  Milliseconds silence{1'000};             // So long without any answer; 0: never for that.
  Milliseconds time{2'000};                // The first ejection; each further one is longer.
  Milliseconds time_max{300'000};          // After verdicts over a window; else 4 s, or `time`.
  std::uint32_t max_ejected_percent = 50;  // Of a backend's servers; the last one never.

  bool operator==(const Ejection&) const = default;
};

// [backend.NAME.retry]
struct RetryPolicy {
  bool enabled = true;
  std::uint32_t max = 3;                // Further attempts after the first: 0..7.
  std::vector<std::uint16_t> statuses;  // 5xx answers that are tried again, each once.
  Milliseconds backoff{25};             // Before the second retry; doubles, with jitter.
  Milliseconds backoff_max{250};
  std::uint32_t budget_percent = 20;        // Retries as a share of requests: 0..100.
  std::optional<Milliseconds> try_timeout;  // One attempt, head of the answer included.

  bool operator==(const RetryPolicy&) const = default;
};

// [backend.NAME.queue]: where requests wait when every server is full.
struct QueuePolicy {
  std::uint32_t size = 1'000;  // Most that wait; 0: nobody waits.
  Milliseconds timeout{5'000};
  // When even the shortest wait of `target_interval` was longer than `target`, the queue drops
  // what waits too long (CoDel). 0: never.
  Milliseconds target{500};
  Milliseconds target_interval{1'000};
  std::string priority_header;  // A request's field with 0..3, 0 first; empty: the route says.

  bool operator==(const QueuePolicy&) const = default;
};

// [backend.NAME.sticky]
struct Sticky {
  std::string cookie;  // Its name; empty: not sticky.
  std::string secret;  // Signs the value; empty: the plain id.
  bool secure = false;
  std::optional<Milliseconds> max_age;  // Empty: until the browser closes.

  bool operator==(const Sticky&) const = default;
};

struct Backend {
  std::string name;
  std::vector<Server> servers;  // At least one in a read configuration; names may stand for none.
  Balance balance = Balance::p2c;
  std::string hash_key;  // The field, cookie or parameter of header_, cookie_ and query_hash.
  // Hashing passes over a server with more than this share of the mean load. 0: never; else >= 100.
  std::uint32_t hash_load_percent = 150;
  BackendTimeouts timeouts;
  // Status of the answer when no server can take the request: 503, or 500 in the classic form.
  std::uint16_t unavailable_status = 503;
  // Most requests at one time: per server, and in all. Over all workers, exactly.
  std::optional<std::uint32_t> server_limit;
  std::optional<std::uint32_t> limit;
  // Circuit breakers per server: most connections being opened, most retries under way.
  std::uint32_t server_pending_limit = 1'024;
  std::uint32_t server_retry_limit = 64;
  std::optional<Milliseconds> request_timeout;  // Queue, all attempts, until the answer's head.
  Milliseconds slow_start{10'000};              // 0: none.
  // With fewer healthy servers than this share all are used, healthy or not.
  std::uint32_t panic_percent = 10;
  HealthCheck health;
  Ejection ejection;
  RetryPolicy retry;
  QueuePolicy queue;
  Sticky sticky;
  Milliseconds tcp_keepalive = kTcpKeepalive;  // Whole seconds to 32767.
  std::string congestion;                      // Congestion control; empty: the system's.
  std::uint8_t send_proxy = 0;                 // Version of the PROXY header; 0: none is sent.
};

// [limit.NAME]: so many requests or connections in a time, per key (GCRA).
struct RateLimit {
  enum class Key : std::uint8_t {
    client,  // The source address; of IPv6 the first 64 bits.
    header,  // The value of `header`; requests without it share one key.
    total,   // All together.
  };
  std::string name;
  Key key = Key::client;
  std::string header;
  std::uint32_t count = 0;  // So many ...
  Milliseconds per{1'000};  // ... in this time,
  std::uint32_t burst = 0;  // and so many at once: at least 1.
  std::uint32_t keys_max = 65'536;

  bool operator==(const RateLimit&) const = default;
};

struct RouteBackend {
  std::string backend;
  std::uint32_t weight = 1;  // 0..1000; at least one of a route has more than 0.

  bool operator==(const RouteBackend&) const = default;
};

struct Mirror {
  std::string backend;
  std::uint32_t percent = 100;  // 0..100

  bool operator==(const Mirror&) const = default;
};

// One rule. A request takes the first route, in written order, whose every given part matches.
// There are three kinds: with `sni` for connections of TCP listeners, with `connect` for CONNECT
// requests, and for all other requests. What belongs to another kind has its default.
struct Route {
  std::vector<std::string> listeners;  // Empty: every listener of the mode that the kind is for.
  std::vector<std::string> hosts;      // "example.com" or "*.example.com", lower case. Empty: any.
  std::string path = "/";              // A prefix on segment borders, or "=/exact".
  std::vector<std::string> methods;    // Case-sensitive tokens. Empty: any.
  std::vector<std::string> upgrade{"websocket"};  // Lower case, "name" or "name/version".
  std::vector<std::string> connect;    // "db.example:5432", "[::1]:22": lower case, canonical.
  std::vector<std::string> sni;        // As hosts, but no addresses.
  std::vector<RouteBackend> backends;  // At least one; several share the requests by weight.
  std::optional<Mirror> mirror;
  std::vector<std::string> limits;  // Names of [limit.NAME].
  std::uint32_t priority = 1;       // In the queue: 0 (first) to 3.
  std::uint32_t line = 0;           // Line of the [[route]] header in the file, 0 without a file.

  // Whether it is tried at all for what arrives there: listeners and kind.
  [[nodiscard]] bool serves(const Listener& listener) const;
};

struct Runtime {
  // Name servers to ask, "127.0.0.1:53"; empty: those of the system (resolv.conf).
  std::vector<Endpoint> resolvers;
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
  std::vector<RateLimit> limits;
};

}  // namespace weir::config
