// Worker: one data-plane thread's whole world. It shares nothing on the data path.
//
// Made by the control thread, then used by the worker's own thread alone, which does nothing but
// `while (worker.running()) worker.turn()`. Other threads reach it through loop().mailbox() and
// read its counters.
//
// The slabs and pools here own every session, exchange, connection and buffer of the worker.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/slab.h"
#include "http/date.h"
#include "loop/loop.h"
#include "net/buffer.h"
#include "net/listener.h"
#include "net/splice_pipe.h"
#include "proxy/access_log.h"
#include "proxy/counters.h"
#include "proxy/exchange.h"
#include "proxy/hand_over.h"
#include "proxy/http_session.h"
#include "proxy/mirrors.h"
#include "proxy/room_request.h"
#include "proxy/snapshot.h"
#include "proxy/tcp_session.h"
#include "upstream/upstreams.h"

namespace weir::proxy {

class Worker;

// What a worker needs from the program; outlives the worker.
struct WorkerSetup {
  unsigned index = 0;
  loop::Trigger trigger = loop::Trigger::edge;
  std::uint64_t seed = 0;
  std::size_t pipes_max = net::PipePool::kPipesMax;
  WorkTuning work;
  loop::Mailbox* control = nullptr;
  LogRing* access_log = nullptr;  // Null when no access log is wanted.
  LogRing* event_log = nullptr;
  std::vector<ListenerState*> listeners;  // By listener index.
  // All workers by index, complete before the first one runs; null when there is only this one.
  const std::vector<Worker*>* workers = nullptr;
};

// A snapshot as one worker uses it. `exchanges` are still working with it.
struct SnapshotUse {
  Snapshot* snapshot = nullptr;
  std::vector<upstream::Backend*> backends;  // By backend index of the snapshot.
  std::size_t exchanges = 0;
};

class Worker {
 public:
  //   serving ---- drain() ----> draining ---- nothing is left ----> stopped
  //      |                          |                                   ^
  //      +--------------------------+-------------- stop() -------------+
  enum class State : std::uint8_t {
    serving,   // Accepts and serves.
    draining,  // Listeners close, sessions finish their exchange. The control thread's grace runs.
    stopped,   // Nothing is left.
  };

  explicit Worker(const WorkerSetup& setup);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // --- The control thread, before the worker's thread starts -------------------------------------

  // `shared_socket`: the open socket is also used by other workers (unix sockets).
  void add_listener(std::uint32_t listener, os::Fd socket, bool shared_socket);

  // --- The worker's thread -----------------------------------------------------------------------

  void turn();
  [[nodiscard]] bool running() const { return state_ != State::stopped || hand_over_.expects(); }

  // Messages of the control thread, delivered in the publish phase.
  void take_snapshot(Snapshot& snapshot);
  // Stops accepting, finishes what runs, then stops.
  void drain();
  // Ends everything at once, whatever goes on. Turn once more to see it gone.
  void stop();

  // --- Sessions and exchanges --------------------------------------------------------------------

  [[nodiscard]] loop::Loop& loop() { return loop_; }
  [[nodiscard]] loop::Mailbox& control() { return *setup_.control; }
  [[nodiscard]] net::BufferPool& buffers() { return buffers_; }
  [[nodiscard]] net::PipePool& pipes() { return pipes_; }
  [[nodiscard]] WorkerCounters& counters() { return counters_; }
  [[nodiscard]] LogRing* access_log() { return setup_.access_log; }
  [[nodiscard]] unsigned index() const { return setup_.index; }
  [[nodiscard]] bool draining() const { return state_ != State::serving; }
  [[nodiscard]] const ListenerPlan& listener_plan(std::uint32_t listener) const {
    return current_->snapshot->listeners()[listener];
  }
  [[nodiscard]] const ListenerState& listener_state(std::uint32_t listener) const {
    return *setup_.listeners[listener];
  }
  [[nodiscard]] net::ListenerCounters& listener_counters(std::uint32_t listener) const {
    return listener_state(listener).counters[index()];
  }
  [[nodiscard]] net::Traffic& traffic(std::uint32_t listener) const {
    return listener_state(listener).traffic[index()];
  }
  // A limit on new connections has been reached; counted.
  [[nodiscard]] bool refuses_connection(std::uint32_t listener, const os::Peer& peer);
  // For a connection of a TCP listener, by the present snapshot.
  [[nodiscard]] const Router& router() const { return current_->snapshot->router(); }
  // Closes a client of the listener without a request: one that lingers, else the one that has been
  // so longest. In steady use, it stays. False when there is none.
  [[nodiscard]] bool make_room(std::uint32_t listener);
  // The worker whose client has been idle longest, as far as is known here.
  [[nodiscard]] unsigned longest_idle(std::uint32_t listener);
  // Whether the answer that is being written is to be the session's last, because others wait. One
  // in steady use is asked only when nobody has got a place for kStarvedMs; then one of them is.
  [[nodiscard]] bool wants_place_of(const Session& session);
  // Another worker has closed an idle client for one that waits here.
  void room_was_made() { resume_listeners(); }
  // Clients wait for a place or a descriptor at the listener, in whatever worker.
  [[nodiscard]] bool crowded(std::uint32_t listener) const {
    return loop_.now_ms() <
           setup_.listeners[listener]->crowded_until_ms.load(std::memory_order_relaxed);
  }
  // Any 32 random bits.
  [[nodiscard]] std::uint32_t random() { return static_cast<std::uint32_t>(prng_() >> 32); }
  // Where requests stand in the queues of backends.
  [[nodiscard]] upstream::Tickets& tickets() { return tickets_; }
  // IMF-fixdate of this second.
  [[nodiscard]] std::string_view date();

  // The snapshot a new exchange works with, until exchange_ended().
  [[nodiscard]] SnapshotUse& exchange_begun();
  void exchange_ended(SnapshotUse& use);
  // Turns `choice` from `plan` to the newest plan of that backend, if it may: who is asked, and
  // until when is waited, the newest snapshot says; all else, the one the exchange began with. The
  // newest is added to `uses` then, for exchange_ended().
  void follow(upstream::ServerChoice& choice, const upstream::BackendPlan*& plan,
              upstream::Backend*& backend, std::vector<SnapshotUse*>& uses);

  [[nodiscard]] Exchange* create_exchange(HttpSession& session) {
    return exchanges_.create(*this, session);
  }
  void destroy_exchange(Exchange& exchange) { exchanges_.destroy(exchange); }
  [[nodiscard]] Mirrors& mirrors() { return mirrors_; }
  // What other workers are told of the idle clients here is not true any more.
  void idle_changed() { idle_changed_ = true; }
  // For each session, where it stands in the order of those that make room for others.
  void session_idle(Session& session);
  void session_busy(Session& session);
  void session_lingers(Session& session);
  void session_ended(Session& session);  // Retired; its slot is freed by reap.
  void session_left(Session& session);   // The same, but its client is with another worker.
  // Takes over a client that another worker has given.
  void adopt(MovingClient& client);
  [[nodiscard]] HandOver& hand_over() { return hand_over_; }
  void destroy_session(HttpSession& session) { http_sessions_.destroy(session); }
  void destroy_session(TcpSession& session) { tcp_sessions_.destroy(session); }

  // One line for the operator: "server app/127.0.0.1:9001: ...".
  void log_event(std::string_view text);

  [[nodiscard]] const loop::LoopCounters& loop_counters() const { return loop_.counters(); }

  // What there is of everything, for checkers.
  struct Census {
    std::size_t sessions = 0;
    std::size_t exchanges = 0;
    std::size_t mirrors = 0;
    std::size_t server_connections = 0;
    std::size_t snapshots = 0;
  };
  [[nodiscard]] Census census() const {
    return {http_sessions_.live() + tcp_sessions_.live(), exchanges_.live(), mirrors_.live(),
            upstreams_.connections(), uses_.size() + retired_snapshots_.size()};
  }

 private:
  struct ListenerSlot;

  // At max_connections, those in steady use keep their places for as long as this.
  static constexpr std::uint64_t kStarvedMs = 2'000;

  void enter(State next);
  [[nodiscard]] bool one_makes_room(IntrusiveList<Session, SessionTag>& sessions);
  template <typename Visit>
  void for_each_session(Visit visit);
  [[nodiscard]] std::uint64_t idle_since_ms(std::uint32_t listener);
  void tell_idle();
  void unlist(Session& session);
  [[nodiscard]] Session* create_session(std::uint32_t listener, os::Fd fd, const os::Peer& peer);
  void admit(Session& session);
  void give_place_back(std::uint32_t listener);
  void resume_listeners();
  [[nodiscard]] bool listening() const;
  void retire_old_snapshots();
  void release_snapshots();
  [[nodiscard]] upstream::Backend* backend_for(const upstream::BackendPlan& plan);
  void drop_unused_backends();
  // A backend by the present snapshot; null where it has none.
  struct Newest {
    const upstream::BackendPlan* plan = nullptr;
    upstream::Backend* backend = nullptr;
  };
  [[nodiscard]] Newest newest_of(const upstream::BackendPlan& plan) const;
  void move_waiters();

  WorkerSetup setup_;
  WorkerCounters counters_;
  net::BufferPool buffers_;
  net::PipePool pipes_;
  loop::Loop loop_;
  Prng prng_;
  upstream::Tickets tickets_;
  upstream::Upstreams upstreams_;
  Slab<HttpSession> http_sessions_;
  Slab<TcpSession> tcp_sessions_;
  Slab<Exchange, 16> exchanges_;
  Mirrors mirrors_{*this};
  HandOver hand_over_;
  // Every open session is in one of these lists. Busy ones have a request that somebody works on.
  // The others can make room, by listener: those that linger, and those that wait for a request or
  // for the rest of its head, in steady use until then or not, and TCP connections in which no byte
  // has moved; the longest first.
  using SessionList = IntrusiveList<Session, SessionTag>;
  struct Spare {
    SessionList lingering;
    SessionList steady;
    SessionList others;
  };
  SessionList busy_sessions_;
  std::vector<Spare> spare_sessions_;
  bool idle_changed_ = false;  // Since tell_idle().
  std::size_t sessions_open_ = 0;
  std::vector<std::unique_ptr<ListenerSlot>> listeners_;
  std::vector<std::unique_ptr<RoomRequest>> room_requests_;   // By listener; empty when alone.
  std::vector<std::unique_ptr<upstream::Backend>> backends_;  // Those that uses_ name.
  std::vector<std::unique_ptr<SnapshotUse>> uses_;  // The current one and older ones still in use.
  SnapshotUse* current_ = nullptr;
  std::vector<Snapshot*> retired_snapshots_;  // Without exchanges; their pools may still close.
  State state_ = State::serving;
  std::uint64_t date_until_ns_ = 0;
  std::array<char, http::kDateBytes> date_{};
};

// Legal next states.
inline constexpr std::array kWorkerNext = {
    std::array{false, true, true},   // serving
    std::array{false, false, true},  // draining
    std::array{false, false, false}  // stopped
};
static_assert(kWorkerNext.size() == static_cast<std::size_t>(Worker::State::stopped) + 1);

[[nodiscard]] const char* to_string(Worker::State state);

}  // namespace weir::proxy
