// TcpSession: a client's connection of a TCP listener: from accept over the choice of a server to
// the end of the relay between the two.
//
//   greeting --> hello --> seeking --> relaying --> closed
//      |           |                                   ^
//      +-----------+--> lingering ---------------------+
//
// From each of them it may close at once as well. The first two are passed over unless the listener
// accepts PROXY headers, or chooses by server name. What the client sends before there is a server
// waits in `in` and in the kernel; so connecting can be tried again elsewhere until a server has
// accepted.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "proxy/relay.h"
#include "proxy/server_attempt.h"
#include "proxy/session.h"
#include "wire/client_hello.h"

namespace weir::proxy {

struct Route;
struct SnapshotUse;

class TcpSession final : public Session {
 public:
  enum class State : std::uint8_t {
    greeting,   // A PROXY header arrives. Deadline: client_head.
    hello,      // A ClientHello arrives. Deadline: client_head.
    seeking,    // In the queue, connecting, or short of descriptors. Deadline: what is waited for.
    relaying,   // Has a server's connection. Deadline: tunnel_idle.
    lingering,  // Refused: FIN was sent, what still comes is dropped. Deadline: kLingerMs.
    closed,     // Retired; reaped at the end of the turn.
  };

  TcpSession(Worker& worker, std::uint32_t listener, os::Fd socket, const os::Peer& peer);
  ~TcpSession();

  void drain() override;
  [[nodiscard]] bool make_room() override;
  void follow() override;
  void abort(CloseReason reason) override;

  [[nodiscard]] State state() const { return state_; }

  void run() override;
  void expire() override;
  void reap() override;

 private:
  // What a step has come to.
  enum class Progress : std::uint8_t {
    blocked,  // deadline_ms() or an event goes on.
    moved,    // A state was entered, or another server is to be asked.
    budget,   // More to do, after the others.
  };

  void enter(State next);
  [[nodiscard]] Progress step();
  [[nodiscard]] Progress greeting_step();
  [[nodiscard]] Progress hello_step();
  void hello_unusable(std::string_view rule);
  void route_to(const Route* route);

  [[nodiscard]] Progress seek();
  [[nodiscard]] bool choose();
  void follow_plan();
  void connect();
  void connected();
  void connect_failed(os::IoStatus status);
  void give_up(ProxyError error);
  void report(health::Passive::Event event);
  void conclude(health::Passive::Event event);

  [[nodiscard]] bool suspected();
  void client_broken();
  [[nodiscard]] Progress relay_step();
  Progress relay_concluded(Relay::Outcome outcome);

  [[nodiscard]] std::uint64_t deadline_ms() const;
  void cut();
  void refuse(ProxyError error);
  void turn_away(ProxyError error);
  void close(CloseReason reason);
  void attempt_end();
  void count_and_log();

  // The server.
  SnapshotUse* use_ = nullptr;
  std::vector<SnapshotUse*> followed_;  // Newer ones that plan_ was of since; the last one's it is.
  const Route* route_ = nullptr;
  const upstream::BackendPlan* plan_ = nullptr;
  upstream::Backend* backend_ = nullptr;
  upstream::ServerChoice choice_;
  ServerAttempt attempt_;
  ProxyError last_failure_ = ProxyError::no_healthy_server;
  std::uint32_t attempts_ = 0;
  bool silent_ = false;               // Is relaying, and no byte has moved.
  std::uint32_t silent_servers_ = 0;  // That let the time for connecting pass.
  std::uint64_t retry_at_ms_ = 0;     // Short of a descriptor: not before this time.
  Shortage shortage_;
  Relay relay_;

  // The beginning and the end.
  wire::ClientHelloPeek peek_;
  wire::ServerName server_name_;
  std::string_view hello_rule_;  // Why there is no name, if it should have one: a word of the log.
  std::uint64_t accepted_us_;
  std::uint64_t connect_us_ = 0;
  const upstream::ServerState* server_ = nullptr;  // Asked last.
  std::uint64_t linger_deadline_ms_ = 0;
  ProxyError error_ = ProxyError::none;
  State state_;
};

// Legal next states.
inline constexpr std::array kTcpSessionNext = {
    //         greet  hello  seeking relaying lingering closed
    std::array{false, true, true, false, true, true},     // greeting
    std::array{false, false, true, false, true, true},    // hello
    std::array{false, false, false, true, false, true},   // seeking
    std::array{false, false, false, false, false, true},  // relaying
    std::array{false, false, false, false, false, true},  // lingering
    std::array{false, false, false, false, false, false}  // closed
};
static_assert(kTcpSessionNext.size() == static_cast<std::size_t>(TcpSession::State::closed) + 1);

[[nodiscard]] const char* to_string(TcpSession::State state);

}  // namespace weir::proxy
