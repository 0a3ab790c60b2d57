#include "control/reload_diff.h"

#include <algorithm>
#include <set>
#include <utility>

namespace weir::control {
namespace {

const config::Listener* find(const std::vector<config::Listener>& listeners,
                             const std::string& name) {
  const auto at = std::find_if(listeners.begin(), listeners.end(),
                               [&](const config::Listener& l) { return l.name == name; });
  return at != listeners.end() ? &*at : nullptr;
}

std::set<std::string> server_identities(const config::Config& config) {
  std::set<std::string> identities;
  for (const config::Backend& backend : config.backends) {
    for (const config::Server& server : backend.servers) {
      identities.insert(backend.name + "/" + server.name + "/" + server.address.text());
    }
  }
  return identities;
}

std::size_t count_missing(const std::set<std::string>& of, const std::set<std::string>& in) {
  return static_cast<std::size_t>(
      std::count_if(of.begin(), of.end(), [&](const std::string& id) { return !in.contains(id); }));
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
  if (running.admin != next.admin) sentences.push_back("[admin] bind changed");
  if (running.log.access != next.log.access) sentences.push_back("[log] access changed");
  return sentences;
}

std::string describe_changes(const config::Config& running, const config::Config& next) {
  const std::set<std::string> before = server_identities(running);
  const std::set<std::string> after = server_identities(next);
  return "routes: " + std::to_string(next.routes.size()) +
         ", backends: " + std::to_string(next.backends.size()) +
         ", servers: " + std::to_string(after.size()) +
         "; servers added: " + std::to_string(count_missing(after, before)) +
         ", removed: " + std::to_string(count_missing(before, after));
}

config::Config keep_fixed_parts(const config::Config& running, config::Config next) {
  next.runtime.workers = running.runtime.workers;
  next.runtime.trigger = running.runtime.trigger;
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
  }
  return "?";
}

}  // namespace weir::control
