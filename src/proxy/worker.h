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

#include "base/slab.h"
#include "http/date.h"
#include "loop/loop.h"
#include "net/buffer.h"
#include "net/listener.h"
#include "proxy/access_log.h"
#include "proxy/counters.h"
#include "proxy/exchange.h"
#include "proxy/http_session.h"
#include "proxy/snapshot.h"
#include "upstream/upstreams.h"

namespace weir::proxy {

// What a worker needs from the program; outlives the worker.
struct WorkerSetup {
  unsigned index = 0;
  loop::Trigger trigger = loop::Trigger::edge;
  std::uint64_t seed = 0;
  loop::Mailbox* control = nullptr;
  LogRing* access_log = nullptr;  // Null when no access log is wanted.
  LogRing* event_log = nullptr;
  std::vector<ListenerState*> listeners;  // By listener index.
};

// A snapshot as one worker uses it. `exchanges` are still working with it.
struct SnapshotUse {
  Snapshot* snapshot = nullptr;
  std::vector<upstream::Backend*> backends;  // By backend index of the snapshot.
  std::size_t exchanges = 0;
};

class Worker {
 public:
  explicit Worker(const WorkerSetup& setup);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // --- The control thread, before the worker's thread starts -------------------------------------

  // `shared_socket`: the open socket is also used by other workers (unix sockets).
  void add_listener(std::uint32_t listener, os::Fd socket, bool shared_socket);

  // --- The worker's thread -----------------------------------------------------------------------

  void turn();
  [[nodiscard]] bool running() const { return state_ != State::stopped; }

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
  // IMF-fixdate of this second.
  [[nodiscard]] std::string_view date();

  // The snapshot a new exchange works with, until exchange_ended().
  [[nodiscard]] SnapshotUse& exchange_begun();
  void exchange_ended(SnapshotUse& use);

  [[nodiscard]] Exchange* create_exchange(HttpSession& session) {
    return exchanges_.create(*this, session);
  }
  void destroy_exchange(Exchange& exchange) { exchanges_.destroy(exchange); }
  void session_ended(HttpSession& session);  // Retired; its slot is freed by reap.
  void destroy_session(HttpSession& session);

  // One line for the operator: "server app/127.0.0.1:9001: ...".
  void log_event(std::string_view text);

  [[nodiscard]] const loop::LoopCounters& loop_counters() const { return loop_.counters(); }

 private:
  enum class State : std::uint8_t {
    serving,   // Accepts and serves.
    draining,  // No listener; the sessions that are left finish their exchange.
    stopped,   // Nothing is left.
  };
  struct ListenerSlot;

  void retire_old_snapshots();
  [[nodiscard]] upstream::Backend* backend_for(const upstream::BackendPlan& plan);
  void drop_unused_backends();

  WorkerSetup setup_;
  WorkerCounters counters_;
  net::BufferPool buffers_;
  loop::Loop loop_;
  upstream::Upstreams upstreams_;
  Slab<HttpSession> session_slab_;
  Slab<Exchange, 16> exchanges_;
  IntrusiveList<HttpSession, SessionTag> sessions_;
  std::vector<std::unique_ptr<ListenerSlot>> listeners_;
  std::vector<std::unique_ptr<upstream::Backend>> backends_;  // Those that uses_ name.
  std::vector<std::unique_ptr<SnapshotUse>> uses_;  // The current one and older ones still in use.
  SnapshotUse* current_ = nullptr;
  std::vector<Snapshot*> retired_snapshots_;  // Without exchanges; their pools may still close.
  State state_ = State::serving;
  std::uint64_t date_until_ns_ = 0;
  std::array<char, http::kDateBytes> date_{};
};

}  // namespace weir::proxy
