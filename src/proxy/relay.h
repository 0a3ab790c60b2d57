// Relay: two connections and all bytes between them, both ways, until both directions have ended.
//
// Each direction, from its source to its sink:
//
//   open ---- the source has ended ----> draining ---- the rest is out: FIN ----> shut
//     |                                     |                                      ^
//     +------- the sink takes no more ------+--------------------------------------+
//
// The end of one direction is carried across and leaves the other open (half-close). A reset is
// not: what the broken side had sent before is delivered, then the other side is to be reset too.
// Small messages are copied, which is two calls and no waiting; once a direction fills a whole
// block at one go it is bulk, and spliced until its source has said little before it fell silent.
//
// Borrows the two connections from its owner, a TCP session or an exchange that has become a
// tunnel, and runs inside its owner's step. Neither buffers nor pipes are held while nothing moves.
#pragma once

#include <array>
#include <cstdint>

#include "net/connection.h"
#include "proxy/splice_flow.h"

namespace weir::proxy {

class Relay {
 public:
  enum class Outcome : std::uint8_t {
    wait,           // An event or the owner's deadline goes on.
    again,          // The budget of this step is used up; there is more to do.
    finished,       // Both directions have ended in order.
    client_broken,  // The client's connection was reset: reset the server's.
    server_broken,  // The other way round.
    idle,           // Nothing moves any more: reset both.
    no_buffer,      // The pool is exhausted.
  };
  // The deadline is the owner's.
  enum class State : std::uint8_t {
    open,      // Bytes are read and written.
    draining,  // The source has ended; what is left is written.
    shut,      // The sink was told, or takes no more.
  };

  // What `in` and `out` of the two already hold goes first.
  void begin(net::Connection& client, net::Connection& server, net::PipePool& pipes,
             std::uint64_t now_ms);
  // One bounded step.
  [[nodiscard]] Outcome step(std::uint64_t now_ms);
  // Whether what the client sends has to wait.
  void hold_client(bool held) { to_server_.held = held; }
  // When to call expired(), if no step is due before.
  [[nodiscard]] std::uint64_t deadline_ms(std::uint64_t idle_timeout_ms) const;
  // `wait` while its patience lasts: what a peer takes of the bytes that the kernel holds for it is
  // movement as well, though there is no event for it. Else what the relay has come to.
  [[nodiscard]] Outcome expired(std::uint64_t now_ms, std::uint64_t idle_timeout_ms);
  // Gives up what is on its way.
  void end();

  [[nodiscard]] bool bulk() const { return to_server_.bulk || to_client_.bulk; }
  // Bytes on their way to the other side, or there.
  [[nodiscard]] std::uint64_t from_client() const { return to_server_.bytes; }
  [[nodiscard]] std::uint64_t from_server() const { return to_client_.bytes; }

 private:
  enum class Status : std::uint8_t {
    need_input,
    blocked_output,
    working,
    moved_on,  // Look again.
    shut,
    source_broken,
    sink_broken,
    no_buffer,
  };
  struct Direction {
    [[nodiscard]] Status step();
    [[nodiscard]] Status send();
    [[nodiscard]] Status receive();
    [[nodiscard]] Status splice();
    [[nodiscard]] bool left_behind() const;
    [[nodiscard]] bool holding() const;
    [[nodiscard]] bool taken();
    void enter(State next);
    void fell_silent();
    void give_up();
    void rest();

    net::Connection* from = nullptr;
    net::Connection* to = nullptr;
    SpliceFlow flow;
    std::uint64_t bytes = 0;
    std::uint64_t silent_at = 0;  // The bytes that were across when the source last had no more.
    std::size_t spent = 0;        // Of kStepBytes.
    // What the kernel held for the sink at the last look; 0: there was nothing, or no look since
    // something moved.
    std::size_t held_by_kernel = 0;
    State state = State::open;
    bool bulk = false;
    bool held = false;
    bool progressed = false;
  };

  [[nodiscard]] Outcome conclude(Status up, Status down) const;
  [[nodiscard]] Outcome left_behind() const;
  // How long nothing may move. Short for what a side has left behind that was reset since, when the
  // other does not take it.
  [[nodiscard]] std::uint64_t patience_ms(std::uint64_t idle_timeout_ms) const;
  void moved(std::uint64_t now_ms);

  // Copied in one step before others get their turn; SpliceFlow has its own measure.
  static constexpr std::size_t kStepBytes = 128 * 1024;

  // What comes at one go from here on is likely to be followed by as much: it is spliced from its
  // first byte (the curve is in docs/decisions/0016).
  static constexpr std::uint64_t kBulkBytes = 32 * 1024;

  static constexpr std::uint64_t kLeftBehindMs = 10'000;
  // Looks at what the kernel holds for the peers, within the time for which nothing may move.
  static constexpr std::uint64_t kLooks = 8;

  Direction to_server_;
  Direction to_client_;
  std::uint64_t quiet_since_ms_ = 0;  // When a byte or an end last moved.
  std::uint64_t looked_ms_ = 0;       // Later, when expired() looked again.
  bool delivered_ = false;            // Then the kernel held nothing any more for anybody.
};

// Legal next states.
inline constexpr std::array kRelayNext = {
    std::array{false, true, true},   // open
    std::array{false, false, true},  // draining
    std::array{false, false, false}  // shut
};
static_assert(kRelayNext.size() == static_cast<std::size_t>(Relay::State::shut) + 1);

[[nodiscard]] const char* to_string(Relay::State state);

}  // namespace weir::proxy
