#include "control/worker_set.h"

#include <algorithm>
#include <utility>

#include "control/connection_room.h"
#include "control/listening.h"
#include "os/process.h"
#include "upstream/server_registry.h"

namespace weir::control {
namespace {

// The kernel cuts it down to net.core.somaxconn.
constexpr int kBacklog = 4096;

Room room_of(const WorkerSet::Options& options) {
  return {options.workers, options.descriptor_limit};
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
        connections_max(listener, listeners, room_of(options));
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
    setup.pipes_max = set->pipes_max(options);
    setup.work = options.work;
    setup.control = &control;
    setup.access_log = logs.access_ring(i);
    setup.event_log = logs.event_ring(i);
    setup.listeners = states;
    setup.workers = &set->pointers_;
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
      std::string error = set->bind(i, endpoint, listeners[i]);
      if (!error.empty()) return Err(std::move(error));
    }
  }
  return set;
}

WorkerSet::~WorkerSet() {
  stop();
  join();
}

// For each worker; what clients leave of the descriptors.
std::size_t WorkerSet::pipes_max(const Options& options) const {
  const std::uint64_t room = free_descriptors(listeners_.size(), room_of(options)) / 2;
  std::uint64_t clients = 0;
  for (const auto& listener : listeners_) clients += listener->connections_max;
  const std::uint64_t left = room > clients ? room - clients : 0;
  return std::min<std::uint64_t>(left / options.workers, net::PipePool::kPipesMax);
}

// Empty, or why the address cannot be listened on.
std::string WorkerSet::bind(std::uint32_t index, const config::Endpoint& endpoint,
                            const config::Listener& listener) {
  const os::Address address = upstream::to_address(endpoint);
  Result<Listening, std::string> first = listen_first(endpoint, kBacklog);
  if (!first) return first.error();
  socket_files_.push_back(std::move(first->file));
  std::vector<os::Fd> sockets;
  sockets.push_back(std::move(first->socket));
  while (sockets.size() < workers_.size()) {
    os::SocketResult next = address.is_unix()
                                ? os::duplicate(sockets.front())
                                : os::listen_on(address, os::Share::another, kBacklog);
    if (next.status != os::IoStatus::done) return why_not_bound(endpoint, next.status);
    sockets.push_back(std::move(next.fd));
  }
  const auto keepalive_s = static_cast<unsigned>(listener.tcp_keepalive.count() / 1000);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (listener.defer_accept) os::defer_accept(sockets[i]);
    if (keepalive_s > 0) os::keep_alive(sockets[i], keepalive_s);
    if (!listener.congestion.empty()) os::set_congestion(sockets[i], listener.congestion);
    workers_[i]->add_listener(index, std::move(sockets[i]), address.is_unix());
  }
  return {};
}

void WorkerSet::start() {
  start_without_threads();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const std::string name = "weir-" + std::to_string(i);
    threads_.push_back(os::start_thread(name.c_str(), cpus_[i], [this, i] {
      while (workers_[i]->running()) workers_[i]->turn();
      ended(i);
    }));
  }
}

void WorkerSet::drain() {
  if (running_ == 0 || std::exchange(drain_posted_, true)) return;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->loop().mailbox().post(ports_[i]->drain);
  }
}

void WorkerSet::stop() {
  if (running_ == 0 || std::exchange(stop_posted_, true)) return;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->loop().mailbox().post(ports_[i]->stop);
  }
}

void WorkerSet::join() { threads_.clear(); }

void WorkerSet::worker_stopped() {
  if (--running_ == 0) all_stopped_();
}

}  // namespace weir::control
