#include "proxy/worker.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/prng.h"
#include "os/os.h"
#include "proxy/networks.h"

namespace weir::proxy {

// One listener's socket in this worker, and what a new connection of it becomes.
struct Worker::ListenerSlot final : net::Acceptor {
  ListenerSlot(Worker& owner, std::uint32_t listener_index, os::Fd socket, bool shared_socket)
      : worker(owner),
        index(listener_index),
        state(*owner.setup_.listeners[listener_index]),
        listener(owner.loop_, *this, owner.listener_counters(listener_index), std::move(socket),
                 shared_socket) {}

  // Exact over all workers: the place is taken before the connection is. At the limit somebody who
  // waits is worth more than an idle client.
  Verdict may_accept(bool waiting) override {
    if (reserve()) return placed();
    if (!waiting) return Verdict::full;
    const unsigned first = worker.longest_idle(index);
    if (first == worker.index() && worker.make_room(index) && reserve()) return placed();
    note_crowd();
    if (!worker.room_requests_.empty()) worker.room_requests_[index]->send(first);
    return Verdict::full;
  }

  Verdict placed() {
    if (worker.crowded(index)) note_since();
    return Verdict::go_on;
  }

  void note_since() {
    state.crowded_since_ms.store(worker.loop_.now_ms(), std::memory_order_relaxed);
  }

  // Until the next look, a little later than the listener's own.
  void note_crowd() {
    constexpr std::uint64_t kCrowdedMs = 200;
    if (!worker.crowded(index)) note_since();
    state.crowded_until_ms.store(worker.loop_.now_ms() + kCrowdedMs, std::memory_order_relaxed);
  }

  bool reserve() {
    std::uint32_t taken = state.connections.load(std::memory_order_relaxed);
    do {
      // While the queue is emptied for closing, a place too many is better than a reset.
      if (taken >= state.connections_max && !worker.draining()) return false;
    } while (!state.connections.compare_exchange_weak(taken, taken + 1));
    return true;
  }

  void nobody_accepted() override { worker.give_place_back(index); }

  void accepted(os::Fd fd, const os::Peer& peer) override {
    // One who sends a PROXY header speaks for somebody else, who is looked at then.
    const bool proxy = contains(worker.listener_plan(index).accept_proxy, peer);
    if (!proxy && worker.refuses_connection(index, peer)) {
      worker.counters_.errors[refusal(ProxyError::rate_limited).index].add();
      os::close_with_reset(fd);
      return nobody_accepted();
    }
    HandOver& hand_over = worker.hand_over_;
    hand_over.note_fresh();
    if (hand_over.gives_fresh() && hand_over.begin_fresh()) {
      return hand_over.send({std::move(fd), peer, index});
    }
    Session* session = worker.create_session(index, std::move(fd), peer);
    if (session == nullptr) return nobody_accepted();  // The descriptor is closed on the way.
    worker.admit(*session);
  }

  bool descriptors_exhausted() override {
    log_exhaustion();
    note_crowd();
    return worker.make_room(index);
  }

  void log_exhaustion() {
    constexpr std::uint64_t kQuietMs = 60'000;
    const std::uint64_t now_ms = worker.loop_.now_ms();
    std::uint64_t logged_ms = state.exhaustion_logged_ms.load(std::memory_order_relaxed);
    if (logged_ms != 0 && now_ms - logged_ms < kQuietMs) return;
    if (!state.exhaustion_logged_ms.compare_exchange_strong(logged_ms, now_ms)) return;
    worker.log_event("listener " + state.name +
                     ": out of file descriptors, idle clients are closed and new ones wait; raise "
                     "the limit (ulimit -n, LimitNOFILE=)");
  }

  Worker& worker;
  std::uint32_t index;
  ListenerState& state;
  net::Listener listener;
};

Worker::Worker(const WorkerSetup& setup)
    : setup_(setup),
      pipes_(setup.pipes_max),
      loop_(setup.trigger),
      prng_(setup.seed + setup.index),
      tickets_(loop_.mailbox()),
      upstreams_(loop_, buffers_, counters_.upstream, setup.index),
      hand_over_(*this, setup.workers, setup.work),
      spare_sessions_(setup.listeners.size()) {
  for (std::uint32_t i = 0; i < setup.listeners.size(); ++i) {
    traffic(i).whole = &counters_.downstream;
  }
  if (setup.workers == nullptr) return;
  for (std::uint32_t i = 0; i < setup.listeners.size(); ++i) {
    room_requests_.push_back(std::make_unique<RoomRequest>(*this, i, *setup.workers));
  }
}

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
  if (idle_changed_) tell_idle();
  hand_over_.turn_ended(loop_.now_ms());
  if (uses_.size() > 1 || !retired_snapshots_.empty()) retire_old_snapshots();
  if (setup_.access_log != nullptr) setup_.access_log->notify();
  if (setup_.event_log != nullptr) setup_.event_log->notify();
  if (state_ != State::draining || sessions_open_ > 0 || listening()) return;
  if (!hand_over_.expects()) stop();
}

bool Worker::listening() const {
  return std::any_of(listeners_.begin(), listeners_.end(),
                     [](const auto& slot) { return !slot->listener.retired(); });
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
  if (!first) return move_waiters();
  hand_over_.open();
  for (const auto& slot : listeners_) (void)slot->listener.start();
}

bool Worker::refuses_connection(std::uint32_t listener, const os::Peer& peer) {
  const std::vector<RateLimiter*>& limits = listener_plan(listener).limits;
  const bool refused = refused_by_any(limits, peer, nullptr, loop_.now_ns()).has_value();
  if (refused) setup_.listeners[listener]->counters[setup_.index].rate_limited.add();
  return refused;
}

// A Backend of the present snapshot goes on where nothing changed for it.
upstream::Backend* Worker::backend_for(const upstream::BackendPlan& plan) {
  if (current_ != nullptr) {
    const std::vector<upstream::BackendPlan>& plans = current_->snapshot->backends();
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (plans[i].name != plan.name || !upstream::same_servers(plans[i], plan)) continue;
      return current_->backends[i];
    }
  }
  std::vector<upstream::ServerPool*> pools;
  for (const upstream::GatePlan::Server& server : plan.gate.servers) {
    pools.push_back(&upstreams_.pool(*server.state));
  }
  // Consecutive seeds per worker: the rotations of two workers start far apart.
  backends_.push_back(std::make_unique<upstream::Backend>(
      std::move(pools), plan, setup_.seed + setup_.index, loop_.now_us()));
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

// Servers that want another PROXY header than the one that has been written are others.
Worker::Newest Worker::newest_of(const upstream::BackendPlan& plan) const {
  const std::vector<upstream::BackendPlan>& plans = current_->snapshot->backends();
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (plans[i].state != plan.state || plans[i].send_proxy != plan.send_proxy) continue;
    return {&plans[i], current_->backends[i]};
  }
  return {};
}

void Worker::follow(upstream::ServerChoice& choice, const upstream::BackendPlan*& plan,
                    upstream::Backend*& backend, std::vector<SnapshotUse*>& uses) {
  if (uses_.size() == 1) return;  // Nearly always.
  const Newest newest = newest_of(*plan);
  if (newest.plan == nullptr || newest.plan == plan || !choice.may_follow(*newest.plan)) return;
  uses.push_back(&exchange_begun());
  choice.follow(*newest.plan, *newest.backend);
  plan = newest.plan;
  backend = newest.backend;
}

// Whoever waits for a server does so by the present snapshot from now on: as old as it is, and all
// before the first of them gets one. Where its backend is gone, it is told.
void Worker::move_waiters() {
  if (tickets_.slab.live() == 0) return;
  for (const auto& use : uses_) {
    if (use.get() == current_) continue;
    for (const upstream::BackendPlan& plan : use->snapshot->backends()) {
      const upstream::BackendPlan* newest = newest_of(plan).plan;
      plan.state->gate.move(tickets_, plan.gate, newest != nullptr ? &newest->gate : nullptr);
    }
  }
  for_each_session([](Session& session) { session.follow(); });
  for (const upstream::BackendPlan& plan : current_->snapshot->backends()) {
    plan.state->gate.poke(loop_.now_ns() / 1000);
  }
}

void Worker::exchange_ended(SnapshotUse& use) {
  CHECK(use.exchanges > 0);
  --use.exchanges;
}

void Worker::retire_old_snapshots() {
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
  if (!retired_snapshots_.empty()) release_snapshots();
}

// Once the pools are gone that only they named.
void Worker::release_snapshots() {
  std::vector<upstream::ServerState*> named;
  for (const auto& use : uses_) {
    const std::vector<upstream::ServerState*>& servers = use->snapshot->servers();
    named.insert(named.end(), servers.begin(), servers.end());
  }
  upstreams_.keep_only(named, true);
  if (!upstreams_.only_kept(named)) return;
  for (Snapshot* snapshot : std::exchange(retired_snapshots_, {})) snapshot->release(setup_.index);
}

void Worker::enter(State next) {
  CHECK(kWorkerNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)],
        to_string(next));
  os::trace_transition(os::Machine::worker, state_, next);
  state_ = next;
}

void Worker::drain() {
  if (state_ != State::serving) return;
  enter(State::draining);
  hand_over_.close();
  for (const auto& slot : listeners_) slot->listener.drain();
  for_each_session([](Session& session) { session.drain(); });
  mirrors_.abandon_all();
}

void Worker::stop() {
  if (state_ == State::stopped) return;
  enter(State::stopped);
  hand_over_.close();
  for (const auto& slot : listeners_) {
    if (!slot->listener.retired()) slot->listener.drain_and_close();
  }
  for_each_session([](Session& session) { session.abort(CloseReason::draining); });
  mirrors_.abandon_all();
  upstreams_.retire_all();
  loop_.mailbox().deliver_all();  // From queues that sessions have just left: nobody is told later.
}

template <typename Visit>
void Worker::for_each_session(Visit visit) {
  busy_sessions_.for_each(visit);
  for (Spare& spare : spare_sessions_) {
    spare.lingering.for_each(visit);
    spare.steady.for_each(visit);
    spare.others.for_each(visit);
  }
}

bool Worker::wants_place_of(const Session& session) {
  if (!crowded(session.listener())) return false;
  if (!session.in_steady_use()) return true;
  std::atomic<std::uint64_t>& since = setup_.listeners[session.listener()]->crowded_since_ms;
  std::uint64_t before = since.load(std::memory_order_relaxed);
  const std::uint64_t now_ms = loop_.now_ms();
  return before + kStarvedMs <= now_ms && since.compare_exchange_strong(before, now_ms);
}

// Of the clients that can make room, when the one that is to go first became idle.
std::uint64_t Worker::idle_since_ms(std::uint32_t listener) {
  Spare& spare = spare_sessions_[listener];
  if (!spare.lingering.empty()) return 0;
  std::uint64_t since = ListenerState::kNobodyIdle;
  for (SessionList* list : {&spare.steady, &spare.others}) {
    if (const Session* first = list->front()) since = std::min(since, first->idle_since_ms());
  }
  return since;
}

void Worker::tell_idle() {
  idle_changed_ = false;
  if (setup_.workers == nullptr || setup_.workers->size() < 2) return;
  for (std::uint32_t i = 0; i < spare_sessions_.size(); ++i) {
    const std::uint64_t since = idle_since_ms(i);
    std::atomic<std::uint64_t>& told = setup_.listeners[i]->idle_since[setup_.index].ms;
    if (told.load(std::memory_order_relaxed) != since) {
      told.store(since, std::memory_order_relaxed);
    }
  }
}

unsigned Worker::longest_idle(std::uint32_t listener) {
  unsigned first = setup_.index;
  std::uint64_t longest = idle_since_ms(listener);
  if (setup_.workers == nullptr) return first;
  for (unsigned i = 0; i < setup_.workers->size(); ++i) {
    if (i == setup_.index) continue;
    const std::uint64_t since =
        setup_.listeners[listener]->idle_since[i].ms.load(std::memory_order_relaxed);
    if (since >= longest) continue;
    longest = since;
    first = i;
  }
  return first;
}

bool Worker::make_room(std::uint32_t listener) {
  Spare& spare = spare_sessions_[listener];
  if (Session* oldest = spare.lingering.front()) return oldest->make_room();
  const Session* steady = spare.steady.front();
  const Session* other = spare.others.front();
  const bool steady_first =
      steady != nullptr && (other == nullptr || steady->idle_since_ms() < other->idle_since_ms());
  if (steady_first && one_makes_room(spare.steady)) return true;
  return one_makes_room(spare.others);
}

// The first that can. Those whose request has just arrived are passed over.
bool Worker::one_makes_room(SessionList& sessions) {
  constexpr int kLooks = 8;
  int looks = 0;
  bool made = false;
  (void)sessions.visit_until([&](Session& session) {
    made = session.make_room();
    return made || ++looks == kLooks;
  });
  if (made) tell_idle();  // Others may look before this turn ends.
  return made;
}

void Worker::unlist(Session& session) {
  static_cast<ListLink<SessionTag>&>(session).unlink();
  idle_changed();
}

void Worker::session_idle(Session& session) {
  unlist(session);
  Spare& spare = spare_sessions_[session.listener()];
  (session.in_steady_use() ? spare.steady : spare.others).push_back(session);
}

void Worker::session_lingers(Session& session) {
  unlist(session);
  spare_sessions_[session.listener()].lingering.push_back(session);
}

void Worker::resume_listeners() {
  for (const auto& slot : listeners_) slot->listener.resume();
}

void Worker::session_busy(Session& session) {
  unlist(session);
  busy_sessions_.push_back(session);
}

void Worker::session_ended(Session& session) {
  session_left(session);
  give_place_back(session.listener());
  resume_listeners();
}

void Worker::session_left(Session& session) {
  unlist(session);
  --sessions_open_;
  loop_.retire(session);
}

void Worker::give_place_back(std::uint32_t listener) {
  setup_.listeners[listener]->connections.fetch_sub(1, std::memory_order_relaxed);
}

Session* Worker::create_session(std::uint32_t listener, os::Fd fd, const os::Peer& peer) {
  if (listener_plan(listener).mode == config::ListenerMode::tcp) {
    return tcp_sessions_.create(*this, listener, std::move(fd), peer);
  }
  return http_sessions_.create(*this, listener, std::move(fd), peer);
}

void Worker::admit(Session& session) {
  ++sessions_open_;
  session_idle(session);
  session.start();
}

// Its place among the listener's connections came with it.
void Worker::adopt(MovingClient& client) {
  Session* session = client.served
                         ? http_sessions_.create(*this, client)
                         : create_session(client.listener, std::move(client.fd), client.peer);
  if (session == nullptr) {
    counters_.closes[static_cast<std::size_t>(CloseReason::no_memory)].add();
    return give_place_back(client.listener);
  }
  admit(*session);
  if (state_ == State::stopped) session->abort(CloseReason::draining);
}

std::string_view Worker::date() {
  if (loop_.now_ns() >= date_until_ns_) {
    const std::uint64_t wall_ns = os::wall_clock_ns();
    constexpr std::uint64_t kSecond = 1'000'000'000;
    date_ = http::format_date(wall_ns / kSecond);
    date_until_ns_ = loop_.now_ns() + (kSecond - wall_ns % kSecond);
  }
  return {date_.data(), date_.size()};
}

const char* to_string(Worker::State state) {
  switch (state) {
    case Worker::State::serving: return "serving";
    case Worker::State::draining: return "draining";
    case Worker::State::stopped: return "stopped";
  }
  return "?";
}

void Worker::log_event(std::string_view text) {
  if (setup_.event_log == nullptr) return;
  std::string line = "weir: ";
  line.append(text);
  line.push_back('\n');
  if (!setup_.event_log->push(line)) counters_.log_lines_dropped.add();
}

}  // namespace weir::proxy
