// LocalConnection: one client of a LocalHttpServer, one request at a time.
//
//               first byte            complete, to be delayed
//   waiting ------------------> head -------------------------> delayed
//     ^  |                      |  |                             |  |
//     |  | nothing in time,     |  | complete, refused,          |  | the delay is over
//     |  | client finished      |  | too slow (408)              |  |
//     |  +-------> closed <-----+  +----------> answering <------+  |
//     |              ^  ^           cut short     |  |  |           |
//     |              |  +-------------------------|--+--|-----------+ client gone
//     +--------------|-------- kept alive --------+     |
//                    +--------- lingering <-------------+ the last answer
//
// Pipelined requests wait in `in` and in the socket until the answer before them has left, which is
// the back-pressure. Owned by the server's slab, freed only by reap.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/intrusive_list.h"
#include "http/head_parser.h"
#include "http/request.h"
#include "net/connection.h"

namespace weir::control {

class LocalHttpServer;
struct LocalResponse;
struct LocalConnectionTag;

class LocalConnection final : public net::Connection, public ListLink<LocalConnectionTag> {
 public:
  enum class State : std::uint8_t {
    waiting,    // For a request. Head timeout for the first, idle timeout for others; no buffers.
    head,       // Part of a head is in `in`. Head timeout since its first byte.
    delayed,    // The response is complete. The deadline is the end of its delay.
    answering,  // `out`, then the body, are being sent. Answer timeout for all of it.
    lingering,  // FIN is sent; what the client still sends is read and dropped, because closing a
                // socket with unread bytes resets it and may cost the client its answer
                // (RFC 9112 9.6). Linger timeout.
    closed,     // Retired; reaped at the end of the turn.
  };

  LocalConnection(LocalHttpServer& server, os::Fd socket);
  ~LocalConnection();

  // False when the kernel has no room for the watch.
  [[nodiscard]] bool start();
  // The server is draining: closes when idle, hurries otherwise.
  void drain();
  void close() { enter(State::closed); }

  [[nodiscard]] State state() const { return state_; }

  void run() override;
  void expire() override;
  void reap() override;

 private:
  void enter(State next);
  [[nodiscard]] std::uint64_t waiting_timeout_ms() const;

  void step_read();
  [[nodiscard]] bool read_head();
  void read_request();
  void handle(const http::RequestInfo& info);
  void refuse(std::uint16_t status, std::string_view text);
  void begin_answer();
  void write_head();
  void step_write();
  void finish_answer();
  void drop_response();
  void step_linger();

  LocalHttpServer& server_;
  std::unique_ptr<LocalResponse> response_;  // While delayed and answering.
  std::size_t body_sent_ = 0;
  http::HeadParser parser_;
  State state_ = State::waiting;
  bool answered_ = false;        // It has had an answer: closing it while idle is no surprise.
  bool head_only_ = false;       // HEAD: the body is left away.
  bool close_ = false;           // This is the last answer.
  bool say_keep_alive_ = false;  // An HTTP/1.0 client asked.
};

// Legal next states.
inline constexpr std::array kLocalConnectionNext = {
    std::array{false, true, false, false, false, true},   // waiting
    std::array{false, false, true, true, false, true},    // head
    std::array{false, false, false, true, false, true},   // delayed
    std::array{true, false, false, false, true, true},    // answering
    std::array{false, false, false, false, false, true},  // lingering
    std::array{false, false, false, false, false, false}  // closed
};
static_assert(kLocalConnectionNext.size() ==
              static_cast<std::size_t>(LocalConnection::State::closed) + 1);

[[nodiscard]] const char* to_string(LocalConnection::State state);

}  // namespace weir::control
