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
  // What a relay has come to whose patience is over.
  [[nodiscard]] Outcome expired() const;
  // Gives up what is on its way.
  void end();

  // When a byte or an end last moved.
  [[nodiscard]] std::uint64_t quiet_since_ms() const { return quiet_since_ms_; }
  // How long that may be. Short for what a side has left behind that was reset since, when the
  // other does not take it.
  [[nodiscard]] std::uint64_t patience_ms(std::uint64_t idle_timeout_ms) const;
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
    State state = State::open;
    bool bulk = false;
    bool held = false;
    bool progressed = false;
    bool sink_reset = false;
    bool source_reset = false;  // Its end is none: a reset follows, instead of FIN.
  };

  [[nodiscard]] Outcome conclude(Status up, Status down) const;
  [[nodiscard]] Outcome left_behind() const;

  // Copied in one step before others get their turn; SpliceFlow has its own measure.
  static constexpr std::size_t kStepBytes = 128 * 1024;

  // What comes at one go from here on is likely to be followed by as much: it is spliced from its
  // first byte (the curve is in docs/decisions/0016).
  static constexpr std::uint64_t kBulkBytes = 32 * 1024;

  static constexpr std::uint64_t kLeftBehindMs = 10'000;

  Direction to_server_;
  Direction to_client_;
  std::uint64_t quiet_since_ms_ = 0;
  bool client_broken_ = false;
  bool server_broken_ = false;
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
