// Everything the program asks of the kernel, as free functions without state.
//
// This is the seam: os_linux.cpp implements it over Linux, and a simulator can implement it over a
// virtual network by linking another file. So nothing here blocks unless it says so, nothing is
// virtual, and no other folder makes system calls. Threads, files for the log and signals, which
// only the real program has, are in os/process.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "os/address.h"
#include "os/fd.h"
#include "os/io_result.h"

namespace weir::os {

// --- Time and chance -----------------------------------------------------------------------------

// Nanoseconds of CLOCK_MONOTONIC. The loop reads it once per turn.
[[nodiscard]] std::uint64_t monotonic_ns();
// Nanoseconds since 1970-01-01 UTC, for logs only.
[[nodiscard]] std::uint64_t wall_clock_ns();
// A seed from the kernel's generator.
[[nodiscard]] std::uint64_t random_seed();

// --- Sockets -------------------------------------------------------------------------------------

struct SocketResult {
  IoStatus status = IoStatus::failed;
  Fd fd;
};

enum class Share : std::uint8_t {
  first,    // Refuse when any other program listens there, then let our own sockets join.
  another,  // Join the sockets this process has bound already.
};
// A non-blocking, listening stream socket with TCP_NODELAY, which accepted sockets inherit.
// `backlog`: connections that may wait for accept(). `done` or the reason (in_use, denied, ...).
[[nodiscard]] SocketResult listen_on(const Address& address, Share share, int backlog);
// A second descriptor for the same open socket.
[[nodiscard]] SocketResult duplicate(const Fd& fd);

// Takes one connection from the queue of a listening socket, non-blocking. `peer` is filled in.
[[nodiscard]] SocketResult accept_from(const Fd& listener, Peer& peer);
// From now on no handshake begins at this listening socket: a client that asks is not answered and
// asks again. What has begun completes and can be accepted. For the moment before the socket is
// closed, which resets whatever has completed in between.
void refuse_handshakes(const Fd& listener);
// Starts connecting. `done` (unix sockets mostly), `again` (the OUT edge tells), or why not.
[[nodiscard]] SocketResult connect_to(const Address& address, std::string_view congestion = {});
// SO_ERROR of a socket that was connecting: `done` or the reason.
[[nodiscard]] IoStatus connect_outcome(const Fd& fd);

// Reads up to `size` (> 0) bytes. `done` with bytes > 0, `end`, `again`, `reset`, ...
IoResult receive(const Fd& fd, char* data, std::size_t size);
// Looks at up to `size` bytes without taking them.
IoResult peek(const Fd& fd, char* data, std::size_t size);
// Writes as much as the kernel takes. `done` may be short.
IoResult send(const Fd& fd, std::string_view data);
// The same for two pieces in one call.
IoResult send_two(const Fd& fd, std::string_view first, std::string_view second);

// A pipe for splice(), non-blocking, both ends.
struct PipeResult {
  IoStatus status = IoStatus::failed;
  Fd read_end;
  Fd write_end;
};
[[nodiscard]] PipeResult make_pipe();
// Asks for room for `bytes` in an empty pipe. Returns the room it has then, which is what it had
// when the kernel refuses; 0 when it does not even say that.
[[nodiscard]] std::size_t resize_pipe(const Fd& end, std::size_t bytes);
// Moves up to `size` bytes between a socket and a pipe inside the kernel, whichever way. Unlike
// send() it raises SIGPIPE, which the program ignores (process.h).
IoResult splice_bytes(const Fd& from, const Fd& to, std::size_t size);
// Reads up to `size` bytes out of a pipe.
IoResult read_pipe(const Fd& read_end, char* data, std::size_t size);

// From now on the kernel asks a silent peer whether it is still there, first after `idle_s`
// seconds, 1 to 32767. Sockets accepted from a listening one do as it does.
void keep_alive(const Fd& fd, unsigned idle_s);
// How fast a TCP socket sends is decided by this algorithm of the kernel's from now on (tcp(7),
// TCP_CONGESTION); a name that it does not have or allow changes nothing. Sockets accepted from a
// listening one do as it does.
void set_congestion(const Fd& fd, std::string_view name);
// From now on a listening TCP socket hands a connection over with its first bytes, or without any
// about a second after the handshake began (tcp(7), TCP_DEFER_ACCEPT). Unix sockets stay as they
// are.
void defer_accept(const Fd& listener);
// Sends FIN; what the peer still sends can be read.
void shutdown_send(const Fd& fd);
// How many of the bytes that were sent the peer's kernel has not acknowledged, or on a unix socket
// nobody has read; an end that was sent may count as one. 0 when the kernel does not say.
[[nodiscard]] std::size_t unacknowledged(const Fd& fd);
// Makes the coming close() send RST instead of FIN, so that a broken answer looks broken.
void close_with_reset(const Fd& fd);
// This side's address of a socket; no address and port 0 for unix sockets.
[[nodiscard]] Peer local_name(const Fd& fd);
[[nodiscard]] inline std::uint16_t bound_port(const Fd& fd) { return local_name(fd).port; }

// --- Readiness -----------------------------------------------------------------------------------

// Bits of Event::flags and of the interest in a descriptor, with the kernel's values.
enum EventBits : std::uint8_t {
  kReadable = 1,  // EPOLLIN
  kUrgent = 2,    // EPOLLPRI
  kWritable = 4,  // EPOLLOUT
  kError = 8,     // EPOLLERR, or EPOLLHUP: both directions are gone
  kHangup = 16,   // EPOLLHUP or EPOLLRDHUP
};
enum class Mode : std::uint8_t {
  edge,
  level,
  oneshot,
  exclusive_level,  // Of several epoll instances watching one socket, wake one.
};
struct Event {
  std::uint64_t data = 0;
  std::uint8_t flags = 0;
};

[[nodiscard]] Fd epoll_create();
// False when the kernel has no memory for the watch.
[[nodiscard]] bool epoll_add(const Fd& epoll, const Fd& fd, std::uint64_t data, std::uint8_t bits,
                             Mode mode);
[[nodiscard]] bool epoll_change(const Fd& epoll, const Fd& fd, std::uint64_t data,
                                std::uint8_t bits, Mode mode);
void epoll_remove(const Fd& epoll, const Fd& fd);
// Waits at most timeout_ms (-1: for ever) and returns how many events were written. Blocks.
[[nodiscard]] std::size_t epoll_wait(const Fd& epoll, std::span<Event> events, int timeout_ms);

// --- Waking another thread -----------------------------------------------------------------------

[[nodiscard]] Fd wakeup_create();
void wakeup_notify(const Fd& wakeup);
void wakeup_clear(const Fd& wakeup);

// --- Watching the state machines -----------------------------------------------------------------

enum class Machine : std::uint8_t {
  worker,
  session,
  request,
  response,
  server_connection,
  passive,
  local_connection,
  ticket,
  active,
  probe,
  mirror,
  relay,
  tcp_session,
};
// `machine` went from one state to the next; the numbers are indices of its table. Linux is not
// interested. A simulator counts the edges, to know which were never taken.
void trace_transition(Machine machine, std::uint8_t from, std::uint8_t to);

template <typename State>
void trace_transition(Machine machine, State from, State to) {
  trace_transition(machine, static_cast<std::uint8_t>(from), static_cast<std::uint8_t>(to));
}

}  // namespace weir::os
