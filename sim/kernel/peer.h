// Endpoint and Listener: the far sides of the simulated network, driven by scripts of the world
// instead of by os.h.
//
// An Endpoint is one end of one TCP connection; it owns that end and closes it when destroyed.
// Callbacks come from Kernel::step(), outside of fibers, at most one per step, and never from
// within a call of the script; so a callback may do anything, destroy its own Endpoint included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "os/address.h"
#include "os/io_result.h"

namespace weir::sim {

class Kernel;
class ListenSocket;
class StreamSocket;

class EndpointEvents {
 public:
  // The connection stands. Only for endpoints that were connected, not for accepted ones.
  virtual void connected() {}
  // It never will: refused, unreachable or timed_out.
  virtual void failed(os::IoStatus /*why*/) {}
  // More bytes have arrived.
  virtual void readable() {}
  // There is room again after a send() that took less than it was offered.
  virtual void writable() {}
  // FIN has arrived. Bytes before it may be unread; receive() says `end` after them.
  virtual void ended() {}
  // RST has arrived. Nothing more can be sent.
  virtual void reset() {}

 protected:
  ~EndpointEvents() = default;
};

// What a script decides about its end; what is empty is drawn from the seed.
struct EndpointOptions {
  std::optional<os::Peer> from = {};             // Source address of connect(); port 0: any.
  std::optional<std::uint64_t> latency_ns = {};  // One way.
  std::optional<std::size_t> receive_window = {};
  std::optional<std::size_t> send_buffer = {};
};

class Endpoint {
 public:
  Endpoint();
  Endpoint(Endpoint&& other) noexcept;
  Endpoint& operator=(Endpoint&& other) noexcept;
  ~Endpoint();

  // Starts connecting; connected() or failed() follows. `events` must outlive the Endpoint. A unix
  // socket refuses at once: the Endpoint is not valid then.
  [[nodiscard]] static Endpoint connect(Kernel& kernel, const os::Address& to,
                                        EndpointEvents& events,
                                        const EndpointOptions& options = {});
  // Takes the callbacks; an accepted endpoint is told of what came before from now on.
  void attach(EndpointEvents& events);

  // Bytes taken, 0 when there is no room or the connection is gone.
  std::size_t send(std::string_view data);
  // One urgent byte, as MSG_OOB sends it. False when there is no room.
  bool send_urgent(char byte);
  // `done`, `again`, `end` or `reset`. Reading opens the window for the sender. A reset stays one
  // when a send() has taken the error away, after which Linux says `end`.
  os::IoResult receive(char* data, std::size_t size);
  [[nodiscard]] std::size_t unread() const;
  // Bytes taken by send() that the other side's kernel has not got yet.
  [[nodiscard]] std::size_t unacknowledged() const;
  // How many bytes the other end had sent without knowing that they arrived when it reset the
  // connection.
  [[nodiscard]] std::size_t reset_took() const;
  // Nobody is at the other end any more, which this end may not have been told yet.
  [[nodiscard]] bool left_alone() const { return socket_ == nullptr || other_let_go(); }

  // FIN behind what was sent.
  void shutdown_send();
  // As close() does: FIN, or RST when bytes are unread. No callback follows.
  void close();
  // RST at once; what was sent and not delivered is lost. No callback follows.
  void reset();

  // False when default constructed, moved from, closed or reset by this side.
  [[nodiscard]] bool valid() const { return socket_ != nullptr; }
  // Both ends of one connection have the same number; unique within a Kernel.
  [[nodiscard]] std::uint64_t connection() const;
  [[nodiscard]] os::Peer local() const;
  [[nodiscard]] os::Peer remote() const;
  void set_receive_window(std::size_t bytes);

 private:
  friend class Listener;
  explicit Endpoint(std::shared_ptr<StreamSocket> socket);
  [[nodiscard]] bool other_let_go() const;
  std::shared_ptr<StreamSocket> socket_;
  bool send_met_reset_ = false;
};

// A server's listening socket. Closed when destroyed; what waits in its queue is then reset.
class Listener {
 public:
  using Accept = std::function<void(Endpoint)>;
  // How a connection attempt is answered.
  enum class Answer : std::uint8_t {
    accept,
    hold,         // The handshake completes; `accepted` is called after the answer is `accept`.
    refuse,       // RST.
    ignore,       // No answer: the attempt times out.
    unreachable,  // A router answers.
  };

  // `address` must be free; port 0 draws one. `accepted` is called from Kernel::step().
  Listener(Kernel& kernel, const os::Address& address, Accept accepted,
           const EndpointOptions& options = {});
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void answer(Answer answer);
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::size_t waiting() const;

 private:
  std::shared_ptr<ListenSocket> socket_;
};

}  // namespace weir::sim
