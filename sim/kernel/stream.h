// StreamSocket: one end of a stream connection, TCP or unix, as Linux treats it.
//
//   connecting ──► connected ──► closed
//        └────────────────────────▲
//
// connecting  SYN is under way; nothing can be read or written
// connected   bytes flow; either direction may have ended with FIN
// closed      ended both ways, reset, refused or given up; what had arrived can still be read
//
// Used by both sides of the seam: an end that belongs to the program is watched by epoll and lives
// as long as its descriptors, an end that belongs to a script tells it by callbacks. After its
// owner has let go an end lives on in the Network until what it sent is delivered.
//
// Both ends hold positions in the stream instead of segments: a sender may be ahead of the
// acknowledged position by its buffer, and of the receiver's position by the receiver's window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "os/io_result.h"
#include "sim/kernel/file.h"
#include "sim/kernel/machine.h"
#include "sim/kernel/peer.h"
#include "sim/kernel/pipe.h"
#include "sim/kernel/place.h"
#include "sim/kernel/receive_queue.h"

namespace weir::sim {

class Network;

// What an end is like; drawn when it is made.
struct Shape {
  std::uint64_t latency_ns = 0;  // To the other end.
  std::size_t segment_bytes = 0;
  std::size_t receive_window = 0;
  std::size_t send_buffer = 0;
  os::Peer local;
  os::Peer remote;
  bool is_unix = false;
};

class StreamSocket final : public File, public std::enable_shared_from_this<StreamSocket> {
 public:
  StreamSocket(Machine& machine, Network& network, std::uint64_t connection, const Shape& shape)
      : machine_(machine), network_(network), connection_(connection), shape_(shape) {}

  // --- What the owner does -----------------------------------------------------------------------

  os::IoResult receive(char* data, std::size_t size, bool take);
  // Takes what fits into the send buffer, at most `most` bytes of it, and copies it.
  os::IoResult write(std::string_view data, std::size_t most = SIZE_MAX);
  // The same without a copy.
  os::IoResult write_in_place(Stretches data, std::size_t most);
  bool write_urgent(char byte);
  os::IoResult splice_into(Pipe& pipe, std::size_t size);
  void shutdown_send();
  // Has no meaning for unix sockets.
  void close_with_reset() { lingers_ = shape_.is_unix; }
  // Reads and clears the pending error.
  [[nodiscard]] os::IoStatus take_error();
  // The owner lets go: FIN, or RST when something is unread or close_with_reset() was called.
  void released() override;

  [[nodiscard]] std::uint8_t poll() override;
  [[nodiscard]] std::string describe() const override;

  // --- For scripts -------------------------------------------------------------------------------

  void attach(EndpointEvents* events);
  void set_receive_window(std::size_t bytes);
  [[nodiscard]] std::size_t unread() const { return received_.visible(); }
  [[nodiscard]] std::size_t unacknowledged() const {
    return static_cast<std::size_t>(written_ - acknowledged_);
  }
  // Bytes that a reset by the other end has put at the mercy of the network.
  [[nodiscard]] std::size_t reset_took() const { return reset_took_; }

  // The other end has been closed by its owner, or never will be read again.
  [[nodiscard]] bool other_let_go() const {
    return other_ == nullptr || other_->released_ || other_->state_ == State::closed;
  }

  // --- Faults ------------------------------------------------------------------------------------

  // Whether bytes that are there may be taken for not yet arrived: no end was told.
  [[nodiscard]] bool may_hold() const {
    return state_ == State::connected && !ended_ && !received_.held();
  }
  // All but the first `visible` bytes arrive again, with an edge, in a moment.
  void hold(std::size_t visible);
  // A middlebox, or a peer that crashed: resets for both ends. This one's has arrived.
  void reset_from_outside();

  // --- For the network ---------------------------------------------------------------------------

  // The child of a listener stands; the client has yet to hear of it.
  static void join(StreamSocket& client, StreamSocket& child);
  void become_connected();
  // A connection attempt has failed.
  void fail(os::IoStatus why);
  // Lets go of a connection that nobody has accepted: the other end is reset.
  void reject() {
    lingers_ = false;
    released();
  }
  // RST has arrived, or came from the middle of the network.
  // `took`: so many bytes of the sender's were not acknowledged, and nobody sends them again.
  void arrive_reset(std::size_t took = 0);
  // Runs `action` when what was sent before has arrived at the other end.
  void send_over(std::uint64_t delay_ns, std::function<void(StreamSocket& other)> action);
  void separate() { other_ = nullptr; }

  [[nodiscard]] std::uint64_t connection() const { return connection_; }
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] bool connecting() const { return state_ == State::connecting; }
  [[nodiscard]] bool may_be_reset() const { return state_ == State::connected && !shape_.is_unix; }
  // Nothing is left to do for it.
  [[nodiscard]] bool finished() const { return released_ && state_ == State::closed; }

 private:
  enum class State : std::uint8_t {
    connecting,
    connected,
    closed
  };
  // What is to be told to a script, in the order of telling.
  enum News : std::uint8_t {
    kConnected = 1,
    kFailed = 2,
    kReadable = 4,
    kWritable = 8,
    kEnded = 16,
    kReset = 32,
  };

  // Sending.
  [[nodiscard]] std::optional<os::IoResult> why_not_write();
  [[nodiscard]] os::IoResult may_write(std::size_t size, std::size_t most);
  [[nodiscard]] Stretches copy(std::string_view data);
  void send_next(const Stretches& data);
  [[nodiscard]] bool has_room() const;
  void want_room() { wants_room_ = true; }
  void offer_room();
  void transmit();
  void transmit_segment(std::size_t size);
  void transmit_fin();
  void reset_peer_from_outside();
  [[nodiscard]] std::size_t next_segment() const;
  void drop_unsent();
  // Receiving.
  void arrive_data(Stretches bytes, bool urgent);
  void arrive_end();
  void take_end();
  void arrive_end_acknowledgement();
  void arrive_hangup();
  void arrive_acknowledgement(std::uint64_t acknowledged, std::uint64_t window_end);
  void acknowledge();
  void after_reading();
  void release_held();
  [[nodiscard]] os::IoResult why_nothing();

  // RST to the other end; this one is closed.
  void abort();
  void close_both_ways();
  void tell(News news);
  void deliver_news();
  void retire_if_finished();

  Machine& machine_;
  Network& network_;
  const std::uint64_t connection_;
  Shape shape_;
  StreamSocket* other_ = nullptr;  // Null before the other end exists and after both are done.
  State state_ = State::connecting;
  os::IoStatus error_ = os::IoStatus::done;  // SO_ERROR.
  bool sends_ = true;                        // False after shutdown, and when closed.
  bool receives_ = true;                     // False after FIN was received, and when closed.
  bool ended_ = false;                       // FIN was received.
  bool released_ = false;                    // The owner has let go.
  bool lingers_ = true;

  // Positions in the outgoing stream: acknowledged <= transmitted <= written.
  Stretches unsent_;  // From `transmitted` to `written`.
  std::uint64_t acknowledged_ = 0;
  std::uint64_t transmitted_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t window_end_ = 0;  // How far the receiver lets us go.
  std::optional<std::uint64_t> mark_;
  bool wants_room_ = false;  // Somebody found the buffer full (SOCK_NOSPACE).
  bool fin_sent_ = false;
  bool end_acknowledged_ = false;
  std::uint64_t last_arrival_ns_ = 0;  // Of what was sent: nothing overtakes.

  ReceiveQueue received_;
  std::size_t reset_took_ = 0;
  bool end_is_held_ = false;      // FIN has arrived behind held bytes.
  std::uint64_t advertised_ = 0;  // What the other end knows of our window; unix: of freed().

  EndpointEvents* events_ = nullptr;  // A script's; what it is not told yet waits in news_.
  std::uint8_t news_ = 0;
  bool news_scheduled_ = false;
  os::IoStatus failed_why_ = os::IoStatus::failed;
};

}  // namespace weir::sim
