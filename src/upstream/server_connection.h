// ServerConnection: one connection to a server, for one request at a time, kept between requests.
//
//               connect() done                     take()
//   connecting ----------------> active <--------------------- idle
//        |                         |  |                        ^ |
//        | refused, timed out      |  | broken, or may not     | | bytes or FIN arrive,
//        |                         |  | be used again          | | timeout, too many
//        |                         |  +----> closed <----------|-+
//        +-----------------------> closed   put_back() --------+
//
// While connecting and active its events run the session that uses it (Loop::redirect); while idle
// it is on its pool's list and any byte or FIN closes it. Owned by the worker's slab.
#pragma once

#include <array>
#include <cstdint>

#include "net/connection.h"

namespace weir::upstream {

class ServerPool;
class ConnectionOwner;
struct IdleTag;
struct OwnerTag;

class ServerConnection final : public net::Connection,
                               public ListLink<IdleTag>,
                               public ListLink<OwnerTag> {
 public:
  enum class State : std::uint8_t {
    connecting,  // connect() is under way. The user's deadline runs.
    active,      // Serves the request of its user, whose deadline runs.
    idle,        // In the pool's list, no buffers, own deadline: the idle timeout.
    closed,      // Retired; reaped at the end of the turn.
  };

  ServerConnection(ServerPool& pool, net::BufferPool& buffers, net::Traffic& traffic);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] ServerPool& server() { return server_; }
  // Requests sent on it before the present one.
  [[nodiscard]] std::uint32_t requests() const { return requests_; }

  // How much to receive at first of an answer. Behind a large answer another is likely: no more
  // than its head is received then, so that its body can be spliced from the beginning.
  [[nodiscard]] std::size_t first_receive() const { return first_receive_; }
  void expect_large(std::size_t head_bytes);
  void expect_small() { first_receive_ = net::kBlockBytes; }

  void run() override;
  void expire() override;
  void reap() override;

 private:
  friend class ServerPool;
  void enter(State next);

  ServerPool& server_;
  ConnectionOwner* owner_ = nullptr;  // Whose requests alone may use it; null: anybody's.
  std::uint64_t idle_since_ms_ = 0;
  std::uint32_t requests_ = 0;
  std::uint32_t first_receive_ = net::kBlockBytes;
  State state_ = State::connecting;
};

// Legal next states.
inline constexpr std::array kServerConnectionNext = {
    std::array{false, true, false, true},   // connecting
    std::array{false, false, true, true},   // active
    std::array{false, true, false, true},   // idle
    std::array{false, false, false, false}  // closed
};
static_assert(kServerConnectionNext.size() ==
              static_cast<std::size_t>(ServerConnection::State::closed) + 1);

[[nodiscard]] const char* to_string(ServerConnection::State state);

}  // namespace weir::upstream
