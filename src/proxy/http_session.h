// HttpSession: a client's connection that speaks HTTP/1.x, from accept to close.
//
//   idle <----> exchanging ----> lingering ----> closed
//    |              |                               ^
//    +--------------+-------------------------------+
//
// It has one exchange at a time; what the client sends beyond waits in the kernel or in `in`. All
// its events, and those of the server connection its exchange borrows, run it: one step at a time.
// Owned by the worker's slab, freed by reap.
#pragma once

#include <array>
#include <cstdint>

#include "base/intrusive_list.h"
#include "net/connection.h"
#include "proxy/counters.h"
#include "proxy/exchange.h"

namespace weir::proxy {

class Worker;
struct SessionTag;

class HttpSession final : public net::Connection, public ListLink<SessionTag> {
 public:
  enum class State : std::uint8_t {
    idle,        // Between requests. No buffer, no exchange. Deadline: client_idle.
    exchanging,  // exchange_ is set and arms the deadline.
    lingering,   // FIN was sent; what the client still sends is dropped. Deadline: kLingerMs.
    closed,      // Retired; reaped at the end of the turn.
  };

  HttpSession(Worker& worker, std::uint32_t listener, os::Fd socket, const os::Peer& peer);

  // Right after accept: tries to read at once, since the request is often there already.
  void start();
  // No further request: closes now when idle, else after the present exchange.
  void drain();
  // For the exchange: its request begins now, or is refused.
  void head_arrived();
  // Its last request followed the answer before it closely: such a client keeps its place.
  [[nodiscard]] bool in_steady_use() const { return steady_; }
  // Closes for one that waits, if nobody works on a request of it, nothing has arrived just now,
  // and it was not served a moment ago. Lingering counts: the answer has been sent.
  [[nodiscard]] bool make_room();
  [[nodiscard]] std::uint64_t idle_since_ms() const { return idle_since_ms_; }
  // Closes at once, whatever goes on.
  void abort(CloseReason reason);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const os::Peer& peer() const { return peer_; }
  [[nodiscard]] std::uint32_t listener() const { return listener_; }

  void run() override;
  void expire() override;
  void reap() override;

 private:
  void enter(State next);
  void exchange_begin();
  void exchange_outcome(Exchange::Outcome outcome);
  void exchange_finished();
  void exchange_destroy();
  void wait_idle();
  void close_begin(CloseReason reason);
  void close_staged(CloseReason reason);
  void linger_step();
  // Watches the socket once it has to be waited for. False: the kernel refused, session closed.
  bool ensure_watched();

  // A client that ignores the end of the conversation is read for this long, and this much at a
  // time before others get their turn.
  static constexpr std::uint64_t kLingerMs = 2'000;
  static constexpr std::size_t kLingerStepBytes = 128 * 1024;
  // A client that is silent for less than this is in use, not idle.
  static constexpr std::uint64_t kSteadyMs = 500;
  // The first request of a new client is still on its way for so long.
  static constexpr std::uint64_t kArrivalMs = 50;
  // While draining, a silent client is waited for this long.
  static constexpr std::uint64_t kDrainPatienceMs = 1'000;

  Worker& worker_;
  Exchange* exchange_ = nullptr;
  os::Peer peer_;
  std::uint32_t listener_;
  std::uint64_t idle_since_ms_;  // Accepted, or the last answer's end.
  CloseReason close_reason_ = CloseReason::client_finished;
  State state_ = State::idle;
  bool served_ = false;  // At least one exchange has ended.
  bool steady_ = false;  // The last request came less than kSteadyMs after the answer before it.
};

// What an idle keep-alive client costs in user space, besides its entry in the handle table.
static_assert(sizeof(HttpSession) <= 256);

// Legal next states.
inline constexpr std::array kHttpSessionNext = {
    std::array{false, true, false, true},   // idle
    std::array{true, false, true, true},    // exchanging
    std::array{false, false, false, true},  // lingering
    std::array{false, false, false, false}  // closed
};
static_assert(kHttpSessionNext.size() == static_cast<std::size_t>(HttpSession::State::closed) + 1);

[[nodiscard]] const char* to_string(HttpSession::State state);

}  // namespace weir::proxy
