#include "config/foreign.h"

#include <algorithm>
#include <array>

#include "config/text.h"

namespace weir::config {
namespace {

constexpr std::string_view kWriteBind = "bind = \"127.0.0.1:8080\" in [listener.NAME]";
constexpr std::string_view kWriteServers = "servers = [\"127.0.0.1:9001\"] in [backend.NAME]";
constexpr std::string_view kWriteBackend = "backend = \"NAME\" in [[route]]";
constexpr std::string_view kWriteProxyPass =
    "servers = [\"127.0.0.1:9001\"] in [backend.NAME], backend = \"NAME\" in [[route]]";
constexpr std::string_view kWriteHost = "host = \"example.com\" in [[route]]";
constexpr std::string_view kWritePath = "path = \"/\" in [[route]]";
constexpr std::string_view kWriteBalance = "balance = \"p2c\" in [backend.NAME]";
constexpr std::string_view kWriteWorkers = "workers = 4 in [runtime]";
constexpr std::string_view kWriteMax = "max_connections = 10000 in [listener.NAME]";
constexpr std::string_view kWriteConnect = "connect_timeout = \"5s\" in [backend.NAME]";
constexpr std::string_view kWriteHead = "response_head_timeout = \"60s\" in [backend.NAME]";
constexpr std::string_view kWriteClientIdle = "client_idle_timeout = \"60s\" in [listener.NAME]";
constexpr std::string_view kWriteClientHead = "client_head_timeout = \"10s\" in [listener.NAME]";
constexpr std::string_view kWriteAccess = "access = \"/var/log/weir/access.log\" in [log]";
constexpr std::string_view kWriteAdmin = "bind = \"127.0.0.1:9900\" in [admin]";
constexpr std::string_view kWriteLimit = "server_limit = 100 in [backend.NAME]";
constexpr std::string_view kWriteHealth = "path = \"/healthz\" in [backend.NAME.health]";
constexpr std::string_view kWriteInterval = "interval = \"5s\" in [backend.NAME.health]";
constexpr std::string_view kWriteEjection = "consecutive_errors = 5 in [backend.NAME.ejection]";
constexpr std::string_view kWriteRate = "rate = \"100/s\" in [limit.NAME]";
constexpr std::string_view kWriteSni = "sni = \"db.example.com\" in [[route]]";
constexpr std::string_view kWriteTunnelIdle = "tunnel_idle_timeout = \"1h\" in [listener.NAME]";
constexpr std::string_view kWriteKeepalive =
    "tcp_keepalive = \"60s\" in [listener.NAME] or [backend.NAME]";
constexpr std::string_view kWriteAcceptProxy = "accept_proxy = [\"10.0.0.0/8\"] in [listener.NAME]";
constexpr std::string_view kWriteSendProxy = "send_proxy = 2 in [backend.NAME]";
constexpr std::string_view kWriteTimeouts =
    "one key per timeout, such as connect_timeout = \"5s\" in [backend.NAME]";

// nginx, HAProxy, Traefik, Caddy and Envoy, in this order.
constexpr std::array kWords = std::to_array<ForeignWord>({
    {"listen", "bind", kWriteBind},
    {"server_name", "host", kWriteHost},
    {"location", "path", kWritePath},
    {"proxy_pass", "backend", kWriteProxyPass},
    {"upstream", "servers", kWriteServers},
    {"upstreams", "servers", kWriteServers},
    {"server", "servers", kWriteServers},
    {"worker_processes", "workers", kWriteWorkers},
    {"worker_connections", "max_connections", kWriteMax},
    {"least_conn", "balance", "balance = \"least_connections\" in [backend.NAME]"},
    {"proxy_connect_timeout", "connect_timeout", kWriteConnect},
    {"proxy_read_timeout", "response_head_timeout", kWriteHead},
    {"keepalive_timeout", "client_idle_timeout", kWriteClientIdle},
    {"client_header_timeout", "client_head_timeout", kWriteClientHead},
    {"set_real_ip_from", "trusted_proxies",
     "trusted_proxies = [\"10.0.0.0/8\"] in [listener.NAME]"},
    {"access_log", "access", kWriteAccess},
    {"frontend", "", "[listener.NAME]"},
    {"use_backend", "backend", kWriteBackend},
    {"default_backend", "backend", kWriteBackend},
    {"maxconn", "max_connections", kWriteMax},
    {"nbthread", "workers", kWriteWorkers},
    {"nbproc", "workers", kWriteWorkers},
    {"timeout", "", kWriteTimeouts},
    {"timeouts", "", kWriteTimeouts},
    {"mode", "mode", "mode = \"tcp\" in [listener.NAME]; nothing for HTTP"},
    {"option", "", "the key of weir with this meaning; there is no `option`"},
    {"acl", "", "host, path and methods in [[route]]"},
    {"stats", "", kWriteAdmin},
    {"threads", "workers", kWriteWorkers},
    {"entrypoints", "listener", "listener = \"NAME\" in [[route]]"},
    {"rule", "", "host, path and methods in [[route]]"},
    {"service", "backend", kWriteBackend},
    {"url", "", "address = \"127.0.0.1:9001\" for a server, path = \"/healthz\" for its health"},
    {"port", "bind", kWriteBind},
    {"domain", "host", kWriteHost},
    {"prefix", "path", kWritePath},
    {"path_prefix", "path", kWritePath},
    {"reverse_proxy", "backend", kWriteBackend},
    {"to", "servers", kWriteServers},
    {"lb_policy", "balance", kWriteBalance},
    {"algorithm", "balance", kWriteBalance},
    {"strategy", "balance", kWriteBalance},
    {"endpoints", "servers", kWriteServers},
    {"max_fails", "consecutive_errors", kWriteEjection},
    {"fail_timeout", "time", "time = \"10s\" in [backend.NAME.ejection]"},
    {"max_conns", "server_limit", kWriteLimit},
    {"proxy_next_upstream", "", "statuses = [503] in [backend.NAME.retry]"},
    {"limit_req", "limits", kWriteRate},
    {"limit_conn", "limits", kWriteRate},
    {"resolver", "resolvers", "resolvers = [\"127.0.0.1:53\"] in [runtime]"},
    {"nameserver", "resolvers", "resolvers = [\"127.0.0.1:53\"] in [runtime]"},
    {"maxqueue", "size", "size = 1000 in [backend.NAME.queue]"},
    {"retries", "max", "max = 3 in [backend.NAME.retry]"},
    {"inter", "interval", kWriteInterval},
    {"fastinter", "fast_interval", "fast_interval = \"1s\" in [backend.NAME.health]"},
    {"httpchk", "", kWriteHealth},
    {"healthcheck", "health", kWriteHealth},
    {"health_check", "health", kWriteHealth},
    {"health_uri", "path", kWriteHealth},
    {"uri", "path", kWriteHealth},
    {"outlier_detection", "ejection", kWriteEjection},
    {"ssl_preread", "sni", kWriteSni},
    {"hostsni", "sni", kWriteSni},
    {"req_ssl_sni", "sni", kWriteSni},
    {"proxy_timeout", "tunnel_idle_timeout", kWriteTunnelIdle},
    {"so_keepalive", "tcp_keepalive", kWriteKeepalive},
    {"proxy_socket_keepalive", "tcp_keepalive", kWriteKeepalive},
    {"accept-proxy", "accept_proxy", kWriteAcceptProxy},
    {"send-proxy", "send_proxy", kWriteSendProxy},
    {"send-proxy-v2", "send_proxy", kWriteSendProxy},
    {"proxy_protocol", "",
     "accept_proxy = [\"10.0.0.0/8\"] in [listener.NAME], send_proxy = 2 in [backend.NAME]"},
});

// Those of a TCP listener that mean something else on an HTTP listener.
constexpr std::array kTcpWords = std::to_array<ForeignWord>({
    {"set_real_ip_from", "accept_proxy", kWriteAcceptProxy},
    {"real_ip_from", "accept_proxy", kWriteAcceptProxy},
});

struct ForeignTable {
  std::string_view word;
  std::string_view ours;
};
constexpr std::array kForeignTables = std::to_array<ForeignTable>({
    {"global", "[runtime]"},
    {"main", "[runtime]"},
    {"events", "[runtime]"},
    {"frontend", "[listener.NAME]"},
    {"frontends", "[listener.NAME]"},
    {"listen", "[listener.NAME]"},
    {"listeners", "[listener.NAME]"},
    {"server", "[listener.NAME] or [backend.NAME]"},
    {"servers", "[backend.NAME]"},
    {"http", "[listener.NAME], [[route]] and [backend.NAME]"},
    {"stream", "[listener.NAME] with mode = \"tcp\" and backend = \"NAME\""},
    {"tcp", "[listener.NAME] with mode = \"tcp\" and backend = \"NAME\""},
    {"entrypoints", "[listener.NAME]"},
    {"upstream", "[backend.NAME]"},
    {"upstreams", "[backend.NAME]"},
    {"cluster", "[backend.NAME]"},
    {"clusters", "[backend.NAME]"},
    {"backends", "[backend.NAME]"},
    {"service", "[backend.NAME]"},
    {"services", "[backend.NAME]"},
    {"pool", "[backend.NAME]"},
    {"location", "[[route]]"},
    {"routes", "[[route]]"},
    {"routers", "[[route]]"},
    {"rule", "[[route]]"},
    {"rules", "[[route]]"},
    {"stats", "[admin]"},
    {"metrics", "[admin]"},
    {"api", "[admin]"},
    {"logs", "[log]"},
    {"logging", "[log]"},
    {"access_log", "[log]"},
    {"health", "[backend.NAME.health]"},
    {"healthcheck", "[backend.NAME.health]"},
    {"ejection", "[backend.NAME.ejection]"},
    {"retry", "[backend.NAME.retry]"},
    {"queue", "[backend.NAME.queue]"},
    {"sticky", "[backend.NAME.sticky]"},
    {"rate_limit", "[limit.NAME]"},
    {"defaults", "the timeouts into each [listener.NAME] and [backend.NAME]"},
});

}  // namespace

std::optional<ForeignWord> foreign_word(std::string_view word, bool tcp) {
  const std::string wanted = lower(word);
  const auto* const meant = std::ranges::find(kTcpWords, wanted, &ForeignWord::word);
  if (tcp && meant != kTcpWords.end()) return *meant;
  for (const ForeignWord& known : kWords) {
    if (known.word == wanted) return known;
  }
  return std::nullopt;
}

std::optional<std::string_view> foreign_table(std::string_view word) {
  const std::string wanted = lower(word);
  for (const ForeignTable& known : kForeignTables) {
    if (known.word == wanted) return known.ours;
  }
  return std::nullopt;
}

}  // namespace weir::config
