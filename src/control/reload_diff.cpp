#include "control/reload_diff.h"

#include <algorithm>
#include <concepts>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace weir::control {
namespace {

constexpr std::size_t kShown = 8;

// The element of that name, or null.
template <typename Named>
const Named* find(const std::vector<Named>& all, const std::string& name) {
  const auto at = std::ranges::find(all, name, &Named::name);
  return at != all.end() ? &*at : nullptr;
}

// The same for thousands of servers.
template <typename Named>
std::unordered_map<std::string_view, const Named*> by_name(const std::vector<Named>& all) {
  std::unordered_map<std::string_view, const Named*> index;
  for (const Named& each : all) index.emplace(each.name, &each);
  return index;
}

std::string text_of(config::Milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + "s"
                                  : std::to_string(time.count()) + "ms";
}
std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(const std::string& text) { return text.empty() ? "none" : text; }
std::string text_of(std::unsigned_integral auto number) { return std::to_string(number); }
template <typename T>
std::string text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : "none";
}

std::string type_of(const config::HealthCheck& health) {
  switch (health.type) {
    case config::HealthCheck::Type::none: return "none";
    case config::HealthCheck::Type::http: return "http";
    case config::HealthCheck::Type::tcp: return "tcp";
  }
  return "?";
}

// Collects what differs, table by table, in the words of the file.
class Changes {
 public:
  void in_table(const std::string& header) { table_ = header + " "; }
  void add(const std::string& what) {
    if (++count_ > kShown) return;
    text_ += count_ == 1 ? "" : table_.empty() ? ", " : "; ";
    text_ += std::exchange(table_, {}) + what;
  }
  // With both values.
  template <typename T>
  void compare(const std::string& key, const T& before, const T& after) {
    if (before != after) add(key + " " + text_of(before) + " -> " + text_of(after));
  }
  void compare(const std::string& key, const char* before, const char* after) {
    compare(key, std::string(before), std::string(after));
  }
  // Without them: lists, secrets, and texts that may be of any bytes.
  template <typename T>
  void note(const std::string& key, const T& before, const T& after) {
    if (before != after) add(key + " changed");
  }
  [[nodiscard]] std::string text() const {
    if (count_ == 0) return "nothing changed";
    return text_ + (count_ > kShown ? " and " + std::to_string(count_ - kShown) + " more" : "");
  }

 private:
  std::string text_;
  std::string table_;  // Of the next change; empty once it has been written.
  std::size_t count_ = 0;
};

// "app:3000" of a name, else the address.
std::string address_of(const config::Server& server) {
  return server.host ? server.host->text() : server.address.text();
}

void compare_servers(const config::Backend& before, const config::Backend& after,
                     Changes& changes) {
  const auto old_servers = by_name(before.servers);
  const auto new_servers = by_name(after.servers);
  for (const config::Server& server : after.servers) {
    if (!old_servers.contains(server.name)) changes.add("added " + server.name);
  }
  for (const config::Server& server : before.servers) {
    const auto at = new_servers.find(server.name);
    if (at == new_servers.end()) {
      changes.add("removed " + server.name);
      continue;
    }
    const config::Server& now = *at->second;
    changes.compare("address of " + server.name, address_of(server), address_of(now));
    changes.compare("weight of " + server.name, server.weight, now.weight);
    changes.compare("priority of " + server.name, server.priority, now.priority);
    changes.compare("limit of " + server.name, server.limit, now.limit);
    changes.compare("state of " + server.name, to_string(server.state), to_string(now.state));
  }
}

void compare_health(const config::HealthCheck& before, const config::HealthCheck& after,
                    Changes& changes) {
  changes.compare("type", type_of(before), type_of(after));
  changes.compare("method", before.method, after.method);
  changes.compare("path", before.path, after.path);
  changes.compare("host", before.host, after.host);
  changes.note("headers", before.headers, after.headers);
  changes.note("expect_status", before.expect_status, after.expect_status);
  changes.note("expect_body", before.expect_body, after.expect_body);
  changes.note("send", before.send, after.send);
  changes.note("expect", before.expect, after.expect);
  changes.compare("port", before.port, after.port);
  changes.compare("interval", before.interval, after.interval);
  changes.compare("fast_interval", before.fast_interval, after.fast_interval);
  changes.compare("timeout", before.timeout, after.timeout);
  changes.compare("rise", before.rise, after.rise);
  changes.compare("fall", before.fall, after.fall);
  changes.compare("every_requests", before.every_requests, after.every_requests);
  changes.compare("load_report", before.load_report, after.load_report);
}

void compare_ejection(const config::Ejection& before, const config::Ejection& after,
                      Changes& changes) {
  changes.compare("enabled", before.enabled, after.enabled);
  changes.compare("consecutive_errors", before.consecutive_errors, after.consecutive_errors);
  changes.compare("error_percent", before.error_percent, after.error_percent);
  changes.compare("latency_factor", before.latency_factor, after.latency_factor);
  changes.compare("min_requests", before.min_requests, after.min_requests);
  changes.compare("window", before.window, after.window);
  changes.compare("silence", before.silence, after.silence);
  changes.compare("time", before.time, after.time);
  changes.compare("time_max", before.time_max, after.time_max);
  changes.compare("max_ejected_percent", before.max_ejected_percent, after.max_ejected_percent);
}

void compare_retry(const config::RetryPolicy& before, const config::RetryPolicy& after,
                   Changes& changes) {
  changes.compare("enabled", before.enabled, after.enabled);
  changes.compare("max", before.max, after.max);
  changes.note("statuses", before.statuses, after.statuses);
  changes.compare("backoff", before.backoff, after.backoff);
  changes.compare("backoff_max", before.backoff_max, after.backoff_max);
  changes.compare("budget_percent", before.budget_percent, after.budget_percent);
  changes.compare("try_timeout", before.try_timeout, after.try_timeout);
}

void compare_queue(const config::QueuePolicy& before, const config::QueuePolicy& after,
                   Changes& changes) {
  changes.compare("size", before.size, after.size);
  changes.compare("timeout", before.timeout, after.timeout);
  changes.compare("target", before.target, after.target);
  changes.compare("target_interval", before.target_interval, after.target_interval);
  changes.compare("priority_header", before.priority_header, after.priority_header);
}

void compare_sticky(const config::Sticky& before, const config::Sticky& after, Changes& changes) {
  changes.compare("cookie", before.cookie, after.cookie);
  changes.note("secret", before.secret, after.secret);  // Never shown.
  changes.compare("secure", before.secure, after.secure);
  changes.compare("max_age", before.max_age, after.max_age);
}

void compare_keys(const config::Backend& before, const config::Backend& after, Changes& changes) {
  changes.compare("balance", to_string(before.balance), to_string(after.balance));
  changes.compare("hash_key", before.hash_key, after.hash_key);
  changes.compare("hash_load_percent", before.hash_load_percent, after.hash_load_percent);
  const config::BackendTimeouts& old = before.timeouts;
  changes.compare("connect_timeout", old.connect, after.timeouts.connect);
  changes.compare("response_head_timeout", old.response_head, after.timeouts.response_head);
  changes.compare("response_body_timeout", old.response_body, after.timeouts.response_body);
  changes.compare("idle_timeout", old.idle, after.timeouts.idle);
  changes.compare("request_timeout", before.request_timeout, after.request_timeout);
  changes.compare("unavailable_status", before.unavailable_status, after.unavailable_status);
  changes.compare("server_limit", before.server_limit, after.server_limit);
  changes.compare("limit", before.limit, after.limit);
  changes.compare("server_pending_limit", before.server_pending_limit, after.server_pending_limit);
  changes.compare("server_retry_limit", before.server_retry_limit, after.server_retry_limit);
  changes.compare("slow_start", before.slow_start, after.slow_start);
  changes.compare("panic_percent", before.panic_percent, after.panic_percent);
  changes.compare("tcp_keepalive", before.tcp_keepalive, after.tcp_keepalive);
  changes.compare("congestion", before.congestion, after.congestion);
  const auto version = [](const config::Backend& backend) -> std::optional<std::uint8_t> {
    if (backend.send_proxy == 0) return std::nullopt;
    return backend.send_proxy;
  };
  changes.compare("send_proxy", version(before), version(after));
}

void compare_backend(const config::Backend& before, const config::Backend& after,
                     Changes& changes) {
  const std::string table = "[backend." + after.name;
  changes.in_table(table + "]");
  compare_servers(before, after, changes);
  compare_keys(before, after, changes);
  changes.in_table(table + ".health]");
  compare_health(before.health, after.health, changes);
  changes.in_table(table + ".ejection]");
  compare_ejection(before.ejection, after.ejection, changes);
  changes.in_table(table + ".retry]");
  compare_retry(before.retry, after.retry, changes);
  changes.in_table(table + ".queue]");
  compare_queue(before.queue, after.queue, changes);
  changes.in_table(table + ".sticky]");
  compare_sticky(before.sticky, after.sticky, changes);
}

void compare_listener(const config::Listener& before, const config::Listener& after,
                      Changes& changes) {
  if (before.mode != after.mode) return;  // Then it stays as it is.
  changes.in_table("[listener." + after.name + "]");
  changes.compare("backend", before.backend, after.backend);
  const config::ListenerTimeouts& old = before.timeouts;
  changes.compare("client_head_timeout", old.client_head, after.timeouts.client_head);
  changes.compare("client_idle_timeout", old.client_idle, after.timeouts.client_idle);
  changes.compare("client_body_timeout", old.client_body, after.timeouts.client_body);
  changes.compare("tunnel_idle_timeout", old.tunnel_idle, after.timeouts.tunnel_idle);
  changes.note("limits", before.limits, after.limits);
  changes.note("accept_proxy", before.accept_proxy, after.accept_proxy);
  changes.note("forwarding headers", before.forwarded, after.forwarded);
}

std::string rate_of(const config::RateLimit& limit) {
  return std::to_string(limit.count) + "/" + text_of(limit.per);
}
std::string key_of(const config::RateLimit& limit) {
  switch (limit.key) {
    case config::RateLimit::Key::client: return "client";
    case config::RateLimit::Key::total: return "total";
    case config::RateLimit::Key::header: break;
  }
  return "header:" + limit.header;
}

void compare_limit(const config::RateLimit& before, const config::RateLimit& after,
                   Changes& changes) {
  changes.in_table("[limit." + after.name + "]");
  changes.compare("rate", rate_of(before), rate_of(after));
  changes.compare("burst", before.burst, after.burst);
  changes.compare("key", key_of(before), key_of(after));
  changes.compare("keys_max", before.keys_max, after.keys_max);
}

// The tables of one kind, matched by name: what is new, what is gone, and `compare` for the rest.
template <typename Named, typename Compare>
void compare_tables(const std::string& kind, const std::vector<Named>& before,
                    const std::vector<Named>& after, Changes& changes, const Compare& compare) {
  const auto old_ones = by_name(before);
  const auto new_ones = by_name(after);
  for (const Named& now : after) {
    const auto old = old_ones.find(now.name);
    if (old != old_ones.end()) {
      compare(*old->second, now, changes);
    } else {
      changes.in_table("[" + kind + "." + now.name + "]");
      changes.add("added");
    }
  }
  for (const Named& old : before) {
    changes.in_table("[" + kind + "." + old.name + "]");
    if (!new_ones.contains(old.name)) changes.add("removed");
  }
}

// What a route says; where it stands in the file does not count.
auto rule_of(const config::Route& route) {
  return std::tie(route.listeners, route.hosts, route.path, route.methods, route.upgrade,
                  route.connect, route.sni, route.backends, route.mirror, route.limits,
                  route.priority);
}

void compare_routes(const std::vector<config::Route>& before,
                    const std::vector<config::Route>& after, Changes& changes) {
  changes.in_table("[[route]]");
  if (before.size() != after.size()) {
    changes.add(std::to_string(before.size()) + " -> " + std::to_string(after.size()));
    return;
  }
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (rule_of(before[i]) == rule_of(after[i])) continue;
    changes.add("line " + std::to_string(after[i].line) + " changed");
  }
}

// A listener that goes on although the file has lost it, or wants it in another mode, keeps its
// backend and limits, of which the file may have lost some too, or made them such as no listener
// can have.
void keep_references(config::Listener& listener, const config::Config& running,
                     config::Config& next) {
  if (!listener.backend.empty() && find(next.backends, listener.backend) == nullptr) {
    next.backends.push_back(*find(running.backends, listener.backend));
  }
  std::erase_if(listener.limits, [&](const std::string& name) {
    const config::RateLimit* limit = find(next.limits, name);
    if (limit != nullptr) return limit->key == config::RateLimit::Key::header;
    const config::RateLimit* old = find(running.limits, name);
    if (old != nullptr) next.limits.push_back(*old);
    return old == nullptr;
  });
}

}  // namespace

std::vector<std::string> needs_restart(const config::Config& running, const config::Config& next) {
  std::vector<std::string> sentences;
  for (const config::Listener& listener : next.listeners) {
    const config::Listener* old = find(running.listeners, listener.name);
    if (old == nullptr) {
      sentences.push_back("[listener." + listener.name + "] is new and does not listen yet");
    } else if (old->mode != listener.mode) {
      const bool routed =
          old->mode == config::ListenerMode::tcp ||
          std::any_of(next.routes.begin(), next.routes.end(),
                      [&](const config::Route& route) { return route.serves(*old); });
      sentences.push_back("[listener." + listener.name + "] mode changed; the old one stays" +
                          (routed ? "" : ", and without a route every request gets 404"));
    } else if (old->bind != listener.bind) {
      sentences.push_back("[listener." + listener.name + "] bind changed; the old addresses stay");
    } else if (old->max_connections != listener.max_connections) {
      sentences.push_back("[listener." + listener.name + "] max_connections changed");
    } else if (old->tcp_keepalive != listener.tcp_keepalive) {
      sentences.push_back("[listener." + listener.name + "] tcp_keepalive changed");
    } else if (old->congestion != listener.congestion) {
      sentences.push_back("[listener." + listener.name + "] congestion changed");
    } else if (old->defer_accept != listener.defer_accept) {
      sentences.push_back("[listener." + listener.name + "] defer_accept changed");
    }
  }
  for (const config::Listener& listener : running.listeners) {
    if (find(next.listeners, listener.name) != nullptr) continue;
    sentences.push_back("[listener." + listener.name + "] was removed and still listens");
  }
  if (running.runtime.workers != next.runtime.workers) {
    sentences.push_back("[runtime] workers changed");
  }
  if (running.runtime.trigger != next.runtime.trigger) {
    sentences.push_back("[runtime] trigger changed");
  }
  if (running.runtime.user != next.runtime.user || running.runtime.group != next.runtime.group) {
    sentences.push_back("[runtime] user or group changed; weir stays who it is");
  }
  if (running.runtime.core_dumps != next.runtime.core_dumps) {
    sentences.push_back("[runtime] core_dumps changed");
  }
  if (running.admin != next.admin) sentences.push_back("[admin] bind changed");
  if (running.log.access != next.log.access) sentences.push_back("[log] access changed");
  return sentences;
}

std::string describe_changes(const config::Config& running, const config::Config& next) {
  Changes changes;
  changes.in_table("[runtime]");
  changes.compare("shutdown_grace", running.runtime.shutdown_grace, next.runtime.shutdown_grace);
  changes.note("resolvers", running.runtime.resolvers, next.runtime.resolvers);
  for (const config::Listener& listener : running.listeners) {
    const config::Listener* now = find(next.listeners, listener.name);
    if (now != nullptr) compare_listener(listener, *now, changes);
  }
  compare_routes(running.routes, next.routes, changes);
  compare_tables("limit", running.limits, next.limits, changes, compare_limit);
  compare_tables("backend", running.backends, next.backends, changes, compare_backend);
  return changes.text();
}

config::Config keep_fixed_parts(const config::Config& running, config::Config next) {
  next.runtime.workers = running.runtime.workers;
  next.runtime.trigger = running.runtime.trigger;
  next.runtime.user = running.runtime.user;
  next.runtime.group = running.runtime.group;
  next.runtime.core_dumps = running.runtime.core_dumps;
  next.admin = running.admin;
  next.log = running.log;
  std::vector<config::Listener> listeners = running.listeners;
  for (config::Listener& listener : listeners) {
    const config::Listener* changed = find(next.listeners, listener.name);
    if (changed == nullptr || changed->mode != listener.mode) {
      keep_references(listener, running, next);
      continue;
    }
    config::Listener fixed = std::exchange(listener, *changed);
    listener.bind = std::move(fixed.bind);
    listener.max_connections = fixed.max_connections;
    listener.tcp_keepalive = fixed.tcp_keepalive;
    listener.congestion = std::move(fixed.congestion);
    listener.defer_accept = fixed.defer_accept;
  }
  next.listeners = std::move(listeners);
  return next;
}

const char* to_string(config::ServerWish wish) {
  switch (wish) {
    case config::ServerWish::ready: return "ready";
    case config::ServerWish::drain: return "drain";
    case config::ServerWish::maintenance: return "maintenance";
  }
  return "?";
}

const char* to_string(config::Balance balance) {
  switch (balance) {
    case config::Balance::round_robin: return "round_robin";
    case config::Balance::least_connections: return "least_connections";
    case config::Balance::p2c: return "p2c";
    case config::Balance::ewma: return "ewma";
    case config::Balance::least_load: return "least_load";
    case config::Balance::random: return "random";
    case config::Balance::first: return "first";
    case config::Balance::ip_hash: return "ip_hash";
    case config::Balance::uri_hash: return "uri_hash";
    case config::Balance::header_hash: return "header_hash";
    case config::Balance::cookie_hash: return "cookie_hash";
    case config::Balance::query_hash: return "query_hash";
  }
  return "?";
}

}  // namespace weir::control
