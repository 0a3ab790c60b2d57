#include "control/worker_set.h"

#include <algorithm>
#include <utility>

#include "os/process.h"
#include "upstream/server_registry.h"

namespace weir::control {
namespace {

// The kernel cuts it down to net.core.somaxconn.
constexpr int kBacklog = 4096;
// Descriptors that are not connections: logs, epoll, wake-ups, listening sockets, the admin pages.
constexpr std::uint64_t kReservedDescriptors = 32;
constexpr std::uint64_t kReservedPerWorker = 4;

std::string why_not_bound(const config::Endpoint& endpoint, os::IoStatus status) {
  const std::string address = endpoint.text();
  if (endpoint.family == config::Endpoint::Family::unix_path) {
    const char* reason = status == os::IoStatus::in_use
                             ? "another program listens there, or a file that is no socket is in "
                               "the way; stop it, remove the file, or choose another path"
                         : status == os::IoStatus::denied
                             ? "permission denied; choose a directory that weir may write to"
                         : status == os::IoStatus::unreachable
                             ? "the directory does not exist; create it first"
                             : os::to_string(status);
    return "cannot listen on " + address + ": " + reason;
  }
  switch (status) {
    case os::IoStatus::in_use:
      return "cannot listen on " + address +
             ": the address is in use; stop the program that listens there (ss -ltnp shows it) or "
             "choose another port";
    case os::IoStatus::denied:
      return "cannot listen on " + address +
             ": permission denied; ports below 1024 need CAP_NET_BIND_SERVICE (or root), choose a "
             "higher port otherwise";
    case os::IoStatus::unreachable:
      return "cannot listen on " + address +
             ": no interface of this machine has the address; use 0.0.0.0 for all of them";
    default: return "cannot listen on " + address + ": " + os::to_string(status);
  }
}

}  // namespace

Result<std::unique_ptr<WorkerSet>, std::string> WorkerSet::create(
    const std::vector<config::Listener>& listeners, const Options& options, LogWriter& logs,
    loop::Mailbox& control, std::function<void()> all_stopped) {
  std::unique_ptr<WorkerSet> set(new WorkerSet);
  set->control_ = &control;
  set->all_stopped_ = std::move(all_stopped);
  std::vector<proxy::ListenerState*> states;
  for (const config::Listener& listener : listeners) {
    const Result<std::uint32_t, std::string> most =
        set->connections_max(listener, listeners, options);
    if (!most) return Err(most.error());
    std::vector<std::string> addresses;
    for (const config::Endpoint& endpoint : listener.bind) addresses.push_back(endpoint.text());
    set->names_.push_back(listener.name);
    set->listeners_.push_back(std::make_unique<proxy::ListenerState>(
        listener.name, std::move(addresses), *most, options.workers));
    states.push_back(set->listeners_.back().get());
  }
  const std::vector<int> usable = os::usable_cpus();
  const std::uint64_t seed = os::random_seed();
  for (unsigned i = 0; i < options.workers; ++i) {
    proxy::WorkerSetup setup;
    setup.index = i;
    setup.trigger = options.trigger;
    setup.seed = seed;
    setup.control = &control;
    setup.access_log = logs.access_ring(i);
    setup.event_log = logs.event_ring(i);
    setup.listeners = states;
    set->workers_.push_back(std::make_unique<proxy::Worker>(setup));
    set->pointers_.push_back(set->workers_.back().get());
    set->cpus_.push_back(usable.empty() ? -1 : usable[i % usable.size()]);
    set->ports_.push_back(std::make_unique<Port>());
    set->ports_.back()->drain.worker = set->pointers_.back();
    set->ports_.back()->stop.worker = set->pointers_.back();
    set->ports_.back()->stopped.set = set.get();
  }
  for (std::uint32_t i = 0; i < listeners.size(); ++i) {
    for (const config::Endpoint& endpoint : listeners[i].bind) {
      std::string error = set->bind(i, endpoint);
      if (!error.empty()) return Err(std::move(error));
    }
  }
  return set;
}

WorkerSet::~WorkerSet() {
  stop();
  join();
  for (const os::Address& file : socket_files_) os::remove_socket_file(file);
}

// A proxied client takes two descriptors: its own and the server's.
Result<std::uint32_t, std::string> WorkerSet::connections_max(
    const config::Listener& listener, const std::vector<config::Listener>& all,
    const Options& options) const {
  const std::uint64_t reserved =
      kReservedDescriptors + kReservedPerWorker * options.workers + all.size() * options.workers;
  const std::uint64_t free = std::max<std::uint64_t>(options.descriptor_limit, reserved + 2);
  const std::uint64_t room = (free - reserved) / 2;
  std::uint64_t explicit_sum = 0;
  std::uint64_t derived = 0;
  for (const config::Listener& each : all) {
    explicit_sum += each.max_connections.value_or(0);
    derived += each.max_connections ? 0 : 1;
  }
  if (listener.max_connections) {
    if (explicit_sum <= room) return *listener.max_connections;
    return Err("listener " + listener.name +
               ": max_connections = " + std::to_string(*listener.max_connections) +
               " does not fit: the limit of " + std::to_string(options.descriptor_limit) +
               " open files leaves room for " + std::to_string(room) +
               " proxied connections in all; raise it (ulimit -n, LimitNOFILE=) or lower "
               "max_connections");
  }
  const std::uint64_t left = room > explicit_sum ? room - explicit_sum : 0;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(left / derived, 1, UINT32_MAX));
}

// Empty, or why the address cannot be listened on.
std::string WorkerSet::bind(std::uint32_t listener, const config::Endpoint& endpoint) {
  const os::Address address = upstream::to_address(endpoint);
  os::SocketResult first = os::listen_on(address, os::Share::first, kBacklog);
  if (first.status != os::IoStatus::done) return why_not_bound(endpoint, first.status);
  if (address.is_unix()) socket_files_.push_back(address);
  std::vector<os::Fd> sockets;
  sockets.push_back(std::move(first.fd));
  while (sockets.size() < workers_.size()) {
    os::SocketResult next = address.is_unix()
                                ? os::duplicate(sockets.front())
                                : os::listen_on(address, os::Share::another, kBacklog);
    if (next.status != os::IoStatus::done) return why_not_bound(endpoint, next.status);
    sockets.push_back(std::move(next.fd));
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->add_listener(listener, std::move(sockets[i]), address.is_unix());
  }
  return {};
}

void WorkerSet::start() {
  running_ = workers_.size();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    proxy::Worker* worker = workers_[i].get();
    loop::Message* stopped = &ports_[i]->stopped;
    const std::string name = "weir-" + std::to_string(i);
    threads_.push_back(os::start_thread(name.c_str(), cpus_[i], [this, worker, stopped] {
      while (worker->running()) worker->turn();
      control_->post(*stopped);
    }));
  }
}

void WorkerSet::drain() {
  if (std::exchange(drain_posted_, true)) return;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    workers_[i]->loop().mailbox().post(ports_[i]->drain);
  }
}

void WorkerSet::stop() {
  if (running_ == 0 || std::exchange(stop_posted_, true)) return;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    workers_[i]->loop().mailbox().post(ports_[i]->stop);
  }
}

void WorkerSet::join() { threads_.clear(); }

void WorkerSet::worker_stopped() {
  if (--running_ == 0) all_stopped_();
}

}  // namespace weir::control
