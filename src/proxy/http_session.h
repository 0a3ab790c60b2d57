// HttpSession: a client's connection that speaks HTTP/1.x, from accept to close.
//
//   greeting ----> idle <----> exchanging ----> lingering ----> closed
//      |            |              |                              ^
//      +------------+--------------+------------------------------+
//
// The first is passed over unless the listener accepts PROXY headers.
// It has one exchange at a time; what the client sends beyond waits in the kernel or in `in`.
#pragma once

#include <array>
#include <cstdint>

#include "proxy/exchange.h"
#include "proxy/session.h"

namespace weir::proxy {

class HttpSession final : public Session {
 public:
  enum class State : std::uint8_t {
    greeting,    // A PROXY header arrives. Deadline: client_head.
    idle,        // Between requests. No buffer, no exchange. Deadline: client_idle.
    exchanging,  // exchange_ is set and arms the deadline.
    lingering,   // FIN was sent; what the client still sends is dropped. Deadline: kLingerMs.
    closed,      // Retired, or with another worker now; reaped at the end of the turn.
  };

  HttpSession(Worker& worker, std::uint32_t listener, os::Fd socket, const os::Peer& peer);
  HttpSession(Worker& worker, MovingClient& client);

  // For the exchange: its request begins now, or is refused.
  void head_arrived();

  void drain() override;
  // One that was served a moment ago stays. Lingering counts: the answer has been sent.
  [[nodiscard]] bool make_room() override;
  void follow() override;
  void abort(CloseReason reason) override;

  [[nodiscard]] State state() const { return state_; }

  void run() override;
  void expire() override;
  void reap() override;

 private:
  void enter(State next);
  void greeting_step();
  void greeting_expired();
  void refuse(ProxyError error);
  void exchange_begin();
  void exchange_outcome(Exchange::Outcome outcome);
  void exchange_finished();
  void exchange_destroy();
  [[nodiscard]] bool handed_over();
  void wait_idle();
  void serve_next();
  void close_begin(CloseReason reason);
  void close_staged(CloseReason reason);

  // A client that is silent for less than this is in use, not idle.
  static constexpr std::uint64_t kSteadyMs = 500;

  Exchange* exchange_ = nullptr;
  CloseReason close_reason_ = CloseReason::client_finished;
  State state_;
  bool served_ = false;          // At least one exchange has ended.
  std::uint8_t counted_ = 0;     // For HandOver::note_steady().
  std::uint32_t here_since_ms_;  // With this worker; goes round.
};

// What an idle keep-alive client costs in user space, besides its entry in the handle table.
static_assert(sizeof(HttpSession) <= 256);

// Legal next states.
inline constexpr std::array kHttpSessionNext = {
    //         greet  idle  exchanging linger closed
    std::array{false, true, false, false, true},   // greeting
    std::array{false, false, true, false, true},   // idle
    std::array{false, true, false, true, true},    // exchanging
    std::array{false, false, false, false, true},  // lingering
    std::array{false, false, false, false, false}  // closed
};
static_assert(kHttpSessionNext.size() == static_cast<std::size_t>(HttpSession::State::closed) + 1);

[[nodiscard]] const char* to_string(HttpSession::State state);

}  // namespace weir::proxy
