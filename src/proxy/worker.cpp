#include "proxy/worker.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/prng.h"
#include "os/os.h"

namespace weir::proxy {

// One listener's socket in this worker, and what a new connection of it becomes.
struct Worker::ListenerSlot final : net::Acceptor {
  ListenerSlot(Worker& owner, std::uint32_t listener_index, os::Fd socket, bool shared_socket)
      : worker(owner),
        index(listener_index),
        state(*owner.setup_.listeners[listener_index]),
        listener(owner.loop_, *this, state.counters[owner.setup_.index], std::move(socket),
                 shared_socket) {}

  // Exact over all workers: the place is taken before the connection is.
  Verdict may_accept() override {
    std::uint32_t taken = state.connections.load(std::memory_order_relaxed);
    do {
      // While the queue is emptied for closing, a place too many is better than a reset.
      if (taken >= state.connections_max && !worker.draining()) return Verdict::full;
    } while (!state.connections.compare_exchange_weak(taken, taken + 1));
    return Verdict::go_on;
  }

  void nobody_accepted() override { state.connections.fetch_sub(1, std::memory_order_relaxed); }

  void accepted(os::Fd fd, const os::Peer& peer) override {
    HttpSession* session = worker.session_slab_.create(worker, index, std::move(fd), peer);
    if (session == nullptr) return nobody_accepted();  // The descriptor is closed on the way.
    worker.sessions_.push_back(*session);
    session->start();
  }

  void descriptors_exhausted() override {
    constexpr std::uint64_t kQuietMs = 60'000;
    const std::uint64_t now_ms = worker.loop_.now_ms();
    std::uint64_t logged_ms = state.exhaustion_logged_ms.load(std::memory_order_relaxed);
    if (logged_ms != 0 && now_ms - logged_ms < kQuietMs) return;
    if (!state.exhaustion_logged_ms.compare_exchange_strong(logged_ms, now_ms)) return;
    worker.log_event("listener " + state.name +
                     ": out of file descriptors, not accepting until one is free; raise the "
                     "limit (ulimit -n, LimitNOFILE=)");
  }

  Worker& worker;
  std::uint32_t index;
  ListenerState& state;
  net::Listener listener;
};

Worker::Worker(const WorkerSetup& setup)
    : setup_(setup),
      loop_(setup.trigger),
      upstreams_(loop_, buffers_, counters_.upstream, setup.index) {}

Worker::~Worker() {
  stop();
  loop_.reap_retired();
}

void Worker::add_listener(std::uint32_t listener, os::Fd socket, bool shared_socket) {
  listeners_.push_back(
      std::make_unique<ListenerSlot>(*this, listener, std::move(socket), shared_socket));
}

void Worker::turn() {
  loop_.turn();
  retire_old_snapshots();
  if (setup_.access_log != nullptr) setup_.access_log->notify();
  if (setup_.event_log != nullptr) setup_.event_log->notify();
  if (state_ == State::draining && sessions_.empty()) stop();
}

void Worker::take_snapshot(Snapshot& snapshot) {
  auto use = std::make_unique<SnapshotUse>();
  use->snapshot = &snapshot;
  for (const upstream::BackendPlan& plan : snapshot.backends()) {
    use->backends.push_back(backend_for(plan));
  }
  uses_.push_back(std::move(use));
  const bool first = current_ == nullptr;
  current_ = uses_.back().get();
  upstreams_.keep_only(snapshot.servers(), false);
  if (!first) return;
  for (const auto& slot : listeners_) CHECK(slot->listener.start(), "epoll has no room");
}

// A Backend of the present snapshot goes on where nothing changed for it.
upstream::Backend* Worker::backend_for(const upstream::BackendPlan& plan) {
  if (current_ != nullptr) {
    const std::vector<upstream::BackendPlan>& plans = current_->snapshot->backends();
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (plans[i].name == plan.name && plans[i].same_servers(plan)) return current_->backends[i];
    }
  }
  std::vector<upstream::ServerPool*> pools;
  for (upstream::ServerState* server : plan.servers) pools.push_back(&upstreams_.pool(*server));
  // Consecutive seeds per worker: the rotations of two workers start far apart.
  backends_.push_back(std::make_unique<upstream::Backend>(
      std::move(pools), plan, setup_.seed + setup_.index, loop_.now_ms()));
  return backends_.back().get();
}

void Worker::drop_unused_backends() {
  std::erase_if(backends_, [this](const std::unique_ptr<upstream::Backend>& backend) {
    return std::none_of(uses_.begin(), uses_.end(), [&](const auto& use) {
      return std::find(use->backends.begin(), use->backends.end(), backend.get()) !=
             use->backends.end();
    });
  });
}

SnapshotUse& Worker::exchange_begun() {
  ++current_->exchanges;
  return *current_;
}

void Worker::exchange_ended(SnapshotUse& use) {
  CHECK(use.exchanges > 0);
  --use.exchanges;
}

void Worker::retire_old_snapshots() {
  if (uses_.size() < 2 && retired_snapshots_.empty()) return;
  const std::size_t before = uses_.size();
  for (auto at = uses_.begin(); at != uses_.end();) {
    if (at->get() == current_ || (*at)->exchanges > 0) {
      ++at;
      continue;
    }
    Snapshot* snapshot = (*at)->snapshot;
    at = uses_.erase(at);
    retired_snapshots_.push_back(snapshot);
  }
  if (uses_.size() != before) drop_unused_backends();
  if (uses_.size() > 1) return;
  // Nobody works with an older snapshot: its servers' pools can go, and then the snapshots.
  upstreams_.keep_only(current_->snapshot->servers(), true);
  if (!upstreams_.only_kept(current_->snapshot->servers())) return;
  for (Snapshot* snapshot : std::exchange(retired_snapshots_, {})) snapshot->release(setup_.index);
}

void Worker::drain() {
  if (state_ != State::serving) return;
  state_ = State::draining;
  // First everything that waits in the queues, so that closing the sockets resets nobody.
  for (const auto& slot : listeners_) slot->listener.drain_and_close();
  sessions_.for_each([](HttpSession& session) { session.drain(); });
}

void Worker::stop() {
  if (state_ == State::stopped) return;
  const bool listening = state_ == State::serving;
  state_ = State::stopped;
  if (listening) {
    for (const auto& slot : listeners_) slot->listener.drain_and_close();
  }
  sessions_.for_each([](HttpSession& session) { session.abort(CloseReason::draining); });
  upstreams_.retire_all();
}

void Worker::session_ended(HttpSession& session) {
  static_cast<ListLink<SessionTag>&>(session).unlink();
  loop_.retire(session);
  setup_.listeners[session.listener()]->connections.fetch_sub(1, std::memory_order_relaxed);
  for (const auto& slot : listeners_) slot->listener.resume();
}

void Worker::destroy_session(HttpSession& session) { session_slab_.destroy(session); }

std::string_view Worker::date() {
  if (loop_.now_ns() >= date_until_ns_) {
    const std::uint64_t wall_ns = os::wall_clock_ns();
    constexpr std::uint64_t kSecond = 1'000'000'000;
    date_ = http::format_date(wall_ns / kSecond);
    date_until_ns_ = loop_.now_ns() + (kSecond - wall_ns % kSecond);
  }
  return {date_.data(), date_.size()};
}

void Worker::log_event(std::string_view text) {
  if (setup_.event_log == nullptr) return;
  std::string line = "weir: ";
  line.append(text);
  line.push_back('\n');
  if (!setup_.event_log->push(line)) counters_.log_lines_dropped.add();
}

}  // namespace weir::proxy
