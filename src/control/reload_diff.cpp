#include "control/reload_diff.h"

#include <algorithm>
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
std::string text_of(const std::optional<std::uint32_t>& number) {
  return number ? std::to_string(*number) : "none";
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
  void compare(const std::string& key, const std::string& before, const std::string& after) {
    if (before != after) add(key + " " + before + " -> " + after);
  }
  void compare(const std::string& key, config::Milliseconds before, config::Milliseconds after) {
    compare(key, text_of(before), text_of(after));
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
    changes.compare("address of " + server.name, server.address.text(), now.address.text());
    changes.compare("weight of " + server.name, std::to_string(server.weight),
                    std::to_string(now.weight));
  }
}

void compare_backend(const config::Backend& before, const config::Backend& after,
                     Changes& changes) {
  compare_servers(before, after, changes);
  changes.compare("balance", to_string(before.balance), to_string(after.balance));
  const config::BackendTimeouts& old = before.timeouts;
  changes.compare("connect_timeout", old.connect, after.timeouts.connect);
  changes.compare("response_head_timeout", old.response_head, after.timeouts.response_head);
  changes.compare("response_body_timeout", old.response_body, after.timeouts.response_body);
  changes.compare("idle_timeout", old.idle, after.timeouts.idle);
  changes.compare("unavailable_status", std::to_string(before.unavailable_status),
                  std::to_string(after.unavailable_status));
  changes.compare("server_limit", text_of(before.server_limit), text_of(after.server_limit));
}

void compare_listener(const config::Listener& before, const config::Listener& after,
                      Changes& changes) {
  const config::ListenerTimeouts& old = before.timeouts;
  changes.compare("client_head_timeout", old.client_head, after.timeouts.client_head);
  changes.compare("client_idle_timeout", old.client_idle, after.timeouts.client_idle);
  changes.compare("client_body_timeout", old.client_body, after.timeouts.client_body);
  if (before.forwarded != after.forwarded) changes.add("forwarding headers changed");
}

// What a route says; where it stands in the file does not count.
auto rule_of(const config::Route& route) {
  return std::tie(route.listeners, route.hosts, route.path, route.methods, route.priority);
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

}  // namespace

std::vector<std::string> needs_restart(const config::Config& running, const config::Config& next) {
  std::vector<std::string> sentences;
  for (const config::Listener& listener : next.listeners) {
    const config::Listener* old = find(running.listeners, listener.name);
    if (old == nullptr) {
      sentences.push_back("[listener." + listener.name + "] is new and does not listen yet");
    } else if (old->bind != listener.bind) {
      sentences.push_back("[listener." + listener.name + "] bind changed; the old addresses stay");
    } else if (old->max_connections != listener.max_connections) {
      sentences.push_back("[listener." + listener.name + "] max_connections changed");
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
  for (const config::Listener& listener : running.listeners) {
    const config::Listener* now = find(next.listeners, listener.name);
    changes.in_table("[listener." + listener.name + "]");
    if (now != nullptr) compare_listener(listener, *now, changes);
  }
  compare_routes(running.routes, next.routes, changes);
  const auto old_backends = by_name(running.backends);
  const auto new_backends = by_name(next.backends);
  for (const config::Backend& backend : next.backends) {
    changes.in_table("[backend." + backend.name + "]");
    const auto old = old_backends.find(backend.name);
    if (old != old_backends.end()) compare_backend(*old->second, backend, changes);
    if (old == old_backends.end()) changes.add("added");
  }
  for (const config::Backend& backend : running.backends) {
    changes.in_table("[backend." + backend.name + "]");
    if (!new_backends.contains(backend.name)) changes.add("removed");
  }
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
    if (changed == nullptr) continue;
    listener.forwarded = changed->forwarded;
    listener.timeouts = changed->timeouts;
  }
  next.listeners = std::move(listeners);
  return next;
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
