// Each case says what it saw; whether that is right, Linux decides.

#include "named_cases.h"

#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "ground.h"
#include "os/os.h"

namespace weir::sim {
namespace {

using os::IoResult;
using os::IoStatus;

constexpr std::uint8_t kSocketBits = os::kReadable | os::kWritable | os::kHangup | os::kUrgent;
constexpr std::size_t kAsked = 1 << 20;

os::Address loopback(std::uint16_t port) { return *os::Address::ip("127.0.0.1", port); }

void say(std::string_view what, IoResult result) {
  fmt::print("  {}: {} {}\n", what, os::to_string(result.status), result.bytes);
}
void say(std::string_view what, IoStatus status) {
  fmt::print("  {}: {}\n", what, os::to_string(status));
}
void say(std::string_view what, std::size_t number) { fmt::print("  {}: {}\n", what, number); }
void say(std::string_view what, bool holds) { fmt::print("  {}: {}\n", what, holds); }

// Two ends of one connection; `near` is watched, `far` is its peer.
class Case {
 public:
  explicit Case(const char* name, os::Mode mode = os::Mode::edge) : epoll(os::epoll_create()) {
    fmt::print("{}\n", name);
    os::SocketResult listener = os::listen_on(loopback(0), os::Share::first, 8);
    far = os::connect_to(loopback(os::bound_port(listener.fd))).fd;
    ground::settle();
    os::Peer peer;
    near = os::accept_from(listener.fd, peer).fd;
    (void)os::epoll_add(epoll, near, 1, kSocketBits, mode);
    event();
  }

  // What is told next: flags, or nothing.
  void event(int timeout_ms = 0) {
    ground::settle();
    std::array<os::Event, 4> events;
    const std::size_t count = os::epoll_wait(epoll, events, timeout_ms);
    fmt::print("  event: {}\n", count == 0 ? -1 : events[0].flags);
  }
  void receive(std::size_t size) { say("receive", os::receive(near, buffer.data(), size)); }
  void deliver(std::string_view data) { say("far sends", os::send(far, data)); }
  void end() {
    os::shutdown_send(far);
    ground::settle();
  }
  IoResult splice_in() { return os::splice_bytes(near, pipe.write_end, kAsked); }
  // What lay in the pipe is thrown away.
  void empty_pipe() {
    pipe = os::make_pipe();
    if (pipe_bytes > 0) (void)os::resize_pipe(pipe.write_end, pipe_bytes);
  }
  void use_pipes_of(std::size_t bytes) {
    pipe_bytes = bytes;
    empty_pipe();
  }
  [[nodiscard]] bool has_bytes() {
    return os::peek(near, buffer.data(), 1).status == IoStatus::done;
  }
  // Sends until no more is taken; returns how much was.
  std::size_t fill(const os::Fd& fd) {
    const std::string block(kAsked, 'x');
    std::size_t total = 0;
    IoResult result;
    do {
      result = os::send(fd, block);
      total += result.bytes;
      ground::settle();
    } while (result.status == IoStatus::done);
    return total;
  }
  // Reads as much; the other side's kernel goes on sending meanwhile.
  void read_all(const os::Fd& fd, std::size_t total) {
    while (total > 0) {
      const IoResult result = os::receive(fd, buffer.data(), buffer.size());
      total -= result.bytes;
      ground::settle();
    }
  }

  os::Fd epoll;
  os::Fd near;
  os::Fd far;
  os::PipeResult pipe = os::make_pipe();
  std::size_t pipe_bytes = 0;  // 0: as they are made.
  std::array<char, 64 * 1024> buffer;
};

void data_and_end_in_one_edge() {
  Case c("data and FIN in one edge");
  c.deliver("last words");
  c.end();
  c.event();
  c.receive(64);
  c.event();
  c.receive(64);
}

void short_and_full_receives() {
  Case c("a short receive means empty, a full one proves nothing");
  c.deliver("12345678");
  c.event();
  c.receive(4);
  c.event();
  c.receive(64);
  c.deliver("new");
  c.event();
  c.receive(3);
  c.receive(3);
}

// Pipes of one slot, of less and of more than the usual 16.
constexpr std::array<std::size_t, 4> kPipeSizes = {4096, 8 * 1024, 64 * 1024, 256 * 1024};

void short_splice(std::size_t pipe_bytes) {
  Case c("a short splice with data left");
  c.use_pipes_of(pipe_bytes);
  const std::size_t sent = c.fill(c.far);
  bool left = false;
  std::size_t total = 0;
  while (total < sent) {
    const IoResult result = c.splice_in();
    total += result.bytes;
    c.empty_pipe();
    ground::settle();
    left = left || (result.status == IoStatus::done && result.bytes < kAsked && c.has_bytes());
  }
  say("short with data left", left);
  say("all came", total == sent);
  say("then", c.splice_in());
}

void pipe_full_of_small_segments(std::size_t pipe_bytes) {
  Case c("a pipe full of small segments");
  c.use_pipes_of(pipe_bytes);
  // Between two segments the sender serves another connection, so that their memory is apart.
  const Case other("  the other connection");
  constexpr std::size_t kSegments = 60;
  for (std::size_t i = 0; i < kSegments; ++i) {
    (void)os::send(c.far, std::string(50, 'p'));
    (void)os::send(other.far, "x");
  }
  ground::settle_many(c.far);
  c.event();
  std::size_t moved = 0;
  IoResult result;
  while ((result = c.splice_in()).status == IoStatus::done) moved += result.bytes;
  say("then", result.status);
  say("some came", moved > 0 && moved < kSegments * 50);
  say("bytes are left", c.has_bytes());
  c.event();
  while (moved < kSegments * 50) {
    c.empty_pipe();
    moved += c.splice_in().bytes;
  }
  say("all came", moved == kSegments * 50);
  c.empty_pipe();
  say("then", c.splice_in());
}

void urgent_mark() {
  Case c("the urgent mark");
  c.deliver("abc");
  ground::send_urgent(c.far, '!');
  ground::settle();
  c.deliver("defgh");
  c.event();
  say("splice", c.splice_in());
  say("splice at the mark", c.splice_in());
  say("bytes are left", c.has_bytes());
  c.event();
  c.receive(64);
  c.receive(64);
  ground::send_urgent(c.far, '!');
  c.event();
  c.receive(64);
  c.deliver("x");
  ground::send_urgent(c.far, '?');
  c.end();
  c.event();
  c.receive(64);
  say("splice at the mark before FIN", c.splice_in());
  c.receive(64);
}

void partial_send() {
  Case c("the OUT edge after a partial send");
  const std::size_t sent = c.fill(c.near);
  c.event();
  c.read_all(c.far, sent);
  c.event(10'000);
  say("send", os::send(c.near, "abc"));
  c.event();
}

void pipe_sizes() {
  Case c("pipes are resized and read");
  constexpr std::array<std::size_t, 6> kSizes = {1, 4'096, 4'097, 100'000, 262'144, 1'048'576};
  for (const std::size_t bytes : kSizes) {
    say("size", os::resize_pipe(c.pipe.write_end, bytes));
  }
  say("read, empty", os::read_pipe(c.pipe.read_end, c.buffer.data(), 4));
  const Case other("  the other connection");
  for (int i = 0; i < 3; ++i) {
    (void)os::send(c.far, "abc");
    (void)os::send(other.far, "x");
  }
  ground::settle_many(c.far);
  say("in", c.splice_in());
  say("too small for what is in it", os::resize_pipe(c.pipe.read_end, 4'096));
  say("large enough", os::resize_pipe(c.pipe.read_end, 65'536));
  say("read", os::read_pipe(c.pipe.read_end, c.buffer.data(), 4));
  say("read the rest", os::read_pipe(c.pipe.read_end, c.buffer.data(), 64));
  say("small now", os::resize_pipe(c.pipe.read_end, 4'096));
  c.pipe.write_end.reset();
  say("read, no writer", os::read_pipe(c.pipe.read_end, c.buffer.data(), 4));
}

// Fills a pipe of one slot: how much of what has arrived is one stretch of memory.
void side_by_side() {
  Case c("sends that lie side by side take one slot");
  Case other("  the other connection");
  c.use_pipes_of(4'096);
  c.deliver("abc");
  ground::settle_many(c.far);
  c.deliver("defgh");
  ground::settle_many(c.far);
  say("both", c.splice_in());
  c.empty_pipe();
  c.deliver("abc");
  ground::settle_many(c.far);
  other.deliver("x");
  c.deliver("defgh");
  ground::settle_many(c.far);
  say("apart", c.splice_in());
  c.receive(2);
  c.deliver("ijkl");
  ground::settle_many(c.far);
  c.empty_pipe();
  say("the rest and what follows", c.splice_in());
  // What is spliced out stays where it is, and bytes behind it still lie behind it.
  say("out", os::splice_bytes(c.pipe.read_end, other.far, kAsked));
  ground::settle_many(other.far);
  other.deliver("mnop");
  ground::settle_many(other.far);
  other.use_pipes_of(4'096);
  other.receive(1);
  say("in again, and what follows", other.splice_in());
}

// Once spliced out of a pipe, what lay side by side is split where pages end.
void page_by_page_behind_a_pipe() {
  Case c("page by page behind a pipe");
  Case other("  the other connection");
  c.use_pipes_of(8'192);
  c.deliver("abcdefg");
  ground::settle_many(c.far);
  say("a part", os::splice_bytes(c.near, c.pipe.write_end, 3));
  say("the rest", c.splice_in());
  say("out", os::splice_bytes(c.pipe.read_end, other.far, kAsked));
  ground::settle_many(other.far);
  other.use_pipes_of(4'096);
  say("in again", other.splice_in());
  other.use_pipes_of(8'192);
  // The third lies over three pages.
  for (int i = 0; i < 3; ++i) {
    c.deliver(std::string(6'000, 'l'));
    ground::settle_many(c.far);
    say("in", c.splice_in());
    say("out", os::splice_bytes(c.pipe.read_end, other.far, kAsked));
    ground::settle_many(other.far);
    other.empty_pipe();
    say("in again", other.splice_in());
  }
}

void messages_of_unix_sockets() {
  Case c("messages of a unix socket take a slot each");
  c.use_pipes_of(4'096);
  const os::Address path = *os::Address::unix_path("named.socket");
  const os::SocketResult listener = os::listen_on(path, os::Share::first, 8);
  const os::Fd sender = os::connect_to(path).fd;
  os::Peer peer;
  const os::Fd receiver = os::accept_from(listener.fd, peer).fd;
  (void)os::send(sender, "abc");
  (void)os::send(sender, "defg");
  ground::settle();
  say("the first", os::splice_bytes(receiver, c.pipe.write_end, kAsked));
  say("full", os::splice_bytes(receiver, c.pipe.write_end, kAsked));
  say("wider", os::resize_pipe(c.pipe.write_end, 8'192));
  say("the second", os::splice_bytes(receiver, c.pipe.write_end, kAsked));
  // A splice has copied them, one behind the other.
  say("out", os::splice_bytes(c.pipe.read_end, c.far, kAsked));
  ground::settle_many(c.far);
  c.empty_pipe();
  say("both", c.splice_in());
}

void more_than_a_page_in_a_slot() {
  Case c("a slot holds more than a page");
  const Case other("  the other connection");
  c.use_pipes_of(8'192);
  c.deliver(std::string(6'000, 'l'));
  ground::settle_many(c.far);
  say("in", c.splice_in());
  (void)os::send(other.far, "x");
  ground::settle_many(other.far);
  say("one more", os::splice_bytes(other.near, c.pipe.write_end, kAsked));
  // The pipe is full until the last of its bytes has left a slot.
  (void)os::epoll_add(c.epoll, c.pipe.write_end, 2, os::kWritable, os::Mode::edge);
  c.event();
  say("read", os::read_pipe(c.pipe.read_end, c.buffer.data(), 5'999));
  c.event();
  say("read", os::read_pipe(c.pipe.read_end, c.buffer.data(), 1));
  c.event();
}

void splice_out() {
  Case c("splice out of a pipe, FIN with bytes in it");
  say("empty pipe", os::splice_bytes(c.pipe.read_end, c.near, kAsked));
  c.deliver("abc");
  c.end();
  say("in", c.splice_in());
  say("in at the end", c.splice_in());
  const std::size_t sent = c.fill(c.near);
  say("out, socket full", os::splice_bytes(c.pipe.read_end, c.near, kAsked));
  c.read_all(c.far, sent);
  c.event(10'000);
  say("out", os::splice_bytes(c.pipe.read_end, c.near, kAsked));
  c.pipe.write_end.reset();
  say("no writer", os::splice_bytes(c.pipe.read_end, c.near, kAsked));
}

void reset_with_unread_data() {
  Case c("RST with unread data");
  c.deliver("abc");
  c.event();
  os::close_with_reset(c.far);
  c.far.reset();
  c.event();
  c.receive(64);
  c.receive(64);
  c.receive(64);
  say("send", os::send(c.near, "x"));
}

void close_with_unread_data() {
  Case c("close with unread data");
  say("send", os::send(c.near, "never read"));
  ground::settle();
  c.far.reset();
  c.event();
  say("send", os::send(c.near, "x"));
  c.receive(64);
  say("send", os::send(c.near, "x"));
}

void send_after_close() {
  Case c("send after the peer has closed");
  c.far.reset();
  c.event();
  say("send", os::send(c.near, "x"));
  c.event();
  c.receive(64);
  say("send", os::send(c.near, "x"));
  say("SO_ERROR", os::connect_outcome(c.near));
}

void half_close() {
  Case c("half close in both directions");
  os::shutdown_send(c.near);
  ground::settle();
  ground::acknowledge(c.far);
  c.event();
  say("send", os::send(c.near, "x"));
  c.deliver("answer");
  c.event();
  c.receive(64);
  c.far.reset();
  c.event();
  c.receive(64);
}

void level_and_oneshot() {
  for (const os::Mode mode : {os::Mode::level, os::Mode::oneshot}) {
    Case c(mode == os::Mode::level ? "level" : "oneshot", mode);
    c.event();
    c.deliver("abc");
    c.event();
    c.event();
    say("change", os::epoll_change(c.epoll, c.near, 1, os::kReadable, mode));
    c.event();
    c.receive(64);
    c.event();
  }
}

void listeners() {
  fmt::print("listeners\n");
  os::SocketResult first = os::listen_on(loopback(0), os::Share::first, 8);
  const os::Address address = loopback(os::bound_port(first.fd));
  say("a second exclusive one", os::listen_on(address, os::Share::first, 8).status);
  os::SocketResult second = os::listen_on(address, os::Share::another, 8);
  say("one that shares", second.status);
  const os::Fd epoll = os::epoll_create();
  const os::Fd client = os::connect_to(address).fd;
  ground::settle();
  (void)os::epoll_add(epoll, client, 1, kSocketBits, os::Mode::edge);
  std::array<os::Event, 4> events;
  say("connected", os::epoll_wait(epoll, events, 0) == 1 && events[0].flags == os::kWritable);
  first.fd.reset();
  second.fd.reset();
  ground::settle();
  // Nobody had accepted it.
  say("told", os::epoll_wait(epoll, events, 0) == 1);
  fmt::print("  flags: {}\n", events[0].flags);
  say("why", os::connect_outcome(client));
  say("exclusive again", os::listen_on(address, os::Share::first, 8).status);
  const os::Fd refused = os::connect_to(address).fd;
  ground::settle();
  say("refused", os::connect_outcome(refused));
}

// A listener's wake-up says EPOLLPRI as well, so it comes on the ready list then, and what it tells
// is asked later.
void listener_watched_for_urgent() {
  fmt::print("a listener watched for urgent bytes\n");
  const os::SocketResult listener = os::listen_on(loopback(0), os::Share::first, 8);
  const os::Fd wakeup = os::wakeup_create();
  const os::Fd epoll = os::epoll_create();
  (void)os::epoll_add(epoll, listener.fd, 1, os::kUrgent, os::Mode::edge);
  (void)os::epoll_add(epoll, wakeup, 2, os::kReadable, os::Mode::edge);
  const os::Fd client = os::connect_to(loopback(os::bound_port(listener.fd))).fd;
  ground::settle();
  os::wakeup_notify(wakeup);
  (void)os::epoll_change(epoll, listener.fd, 1, os::kReadable, os::Mode::edge);
  std::array<os::Event, 4> events;
  const std::size_t count = os::epoll_wait(epoll, events, 0);
  for (std::size_t i = 0; i < count; ++i) say("told", std::size_t{events[i].data});
}

void descriptors_run_out() {
  fmt::print("descriptors run out\n");
  const os::SocketResult listener = os::listen_on(loopback(0), os::Share::first, 8);
  ground::allow_descriptors(1);
  os::Peer peer;
  say("nobody waits", os::accept_from(listener.fd, peer).status);
  say("pipe", os::make_pipe().status);
  const os::SocketResult client = os::connect_to(loopback(os::bound_port(listener.fd)));
  ground::settle();
  say("accept", os::accept_from(listener.fd, peer).status);
  say("connect", os::connect_to(loopback(1)).status);
  say("duplicate", os::duplicate(listener.fd).status);
  ground::allow_descriptors(1'000);
  say("accept", os::accept_from(listener.fd, peer).status);
}

}  // namespace

void run_named_cases() {
  for (const auto named :
       {data_and_end_in_one_edge, short_and_full_receives, urgent_mark, partial_send, splice_out,
        pipe_sizes, side_by_side, page_by_page_behind_a_pipe, messages_of_unix_sockets,
        more_than_a_page_in_a_slot, reset_with_unread_data, close_with_unread_data,
        send_after_close, half_close, level_and_oneshot, listeners, listener_watched_for_urgent,
        descriptors_run_out}) {
    ground::run(named);
  }
  for (const std::size_t pipe_bytes : kPipeSizes) {
    ground::run([pipe_bytes] { short_splice(pipe_bytes); });
    ground::run([pipe_bytes] { pipe_full_of_small_segments(pipe_bytes); });
  }
}

}  // namespace weir::sim
