// floor: the least that any proxy does. One thread, edge-triggered epoll, recv, send, recv, send.
//
//   floor [--port N] ORIGIN_PORT
//
// It does not parse: every client gets an upstream connection of its own and bytes are copied both
// ways. Against this weir's promise is measured (CPU per request within 1.10x). Handles what keeps
// bytes from being lost (partial sends, half-close, hang-ups) and nothing else.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <vector>

#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBufferBytes = 16 * 1024;
constexpr int kStepsPerTurn = 64;  // Then others run; the rest of the flow waits in `unfinished`.

struct Pair;

// One socket of a pair, with what was read from it and not yet sent to the other one.
struct Side {
  int fd = -1;
  Pair* pair = nullptr;
  Side* other = nullptr;
  std::unique_ptr<char[]> held;  // Only while the other side does not take bytes.
  std::size_t held_begin = 0;
  std::size_t held_end = 0;
  bool hangup = false;  // A short read does not mean empty any more.
  bool ended = false;   // Read to the end; the other side was told.
  bool queued = false;  // In `unfinished_`.
};

struct Pair {
  Side client;
  Side upstream;
  bool dead = false;
};

enum class Flow {
  waits,     // An edge will come.
  has_more,  // Stopped by its budget.
  broken,
};

class Relay {
 public:
  Relay(int listener, std::uint16_t origin_port)
      : listener_(listener), origin_port_(origin_port), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    epoll_add(epoll_, listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                     unfinished_.empty() ? -1 : 0);
      std::vector<Side*> resumed;
      resumed.swap(unfinished_);
      for (int i = 0; i < count; ++i) on_event(events[static_cast<std::size_t>(i)]);
      for (Side* side : resumed) side->queued = false;
      for (Side* side : resumed) move(*side);
      for (Pair* pair : dead_) delete pair;  // Nothing above this line holds one any more.
      dead_.clear();
    }
  }

 private:
  void on_event(const epoll_event& event) {
    if (event.data.ptr == nullptr) return accept_clients();
    Side& side = *static_cast<Side*>(event.data.ptr);
    if ((event.events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) side.hangup = true;
    if ((event.events & EPOLLOUT) != 0 && side.other->held_end > 0) move(*side.other);
    if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) move(side);
  }

  void accept_clients() {
    for (int i = 0; i < kStepsPerTurn; ++i) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      open_pair(fd);
    }
  }

  void open_pair(int client) {
    const int upstream = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(origin_port_);
    const auto* target = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(upstream, target, sizeof(address)) != 0 && errno != EINPROGRESS) fail("connect");
    auto* pair = new Pair;
    pair->client.fd = client;
    pair->client.other = &pair->upstream;
    pair->upstream.fd = upstream;
    pair->upstream.other = &pair->client;
    for (Side* side : {&pair->client, &pair->upstream}) {
      side->pair = pair;
      set_no_delay(side->fd);
      epoll_add(epoll_, side->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, side);
    }
  }

  // Everything that can flow from one side to the other now.
  void move(Side& from) {
    if (from.pair->dead) return;
    switch (copy(from)) {
      case Flow::waits: break;
      case Flow::has_more:
        if (!from.queued) unfinished_.push_back(&from);
        from.queued = true;
        break;
      case Flow::broken: return close_pair(*from.pair);
    }
    if (from.ended && from.other->ended) close_pair(*from.pair);
  }

  Flow copy(Side& from) {
    if (from.held_end > 0) {
      const Flow flow = send_held(from);
      if (flow != Flow::has_more) return flow;
    }
    for (int step = 0; !from.ended; ++step) {
      if (step == kStepsPerTurn) return Flow::has_more;
      const ssize_t got = ::recv(from.fd, buffer_.data(), buffer_.size(), 0);
      if (got < 0) return errno == EAGAIN ? Flow::waits : Flow::broken;
      if (got == 0) {
        from.ended = true;
        ::shutdown(from.other->fd, SHUT_WR);
        break;
      }
      const auto bytes = static_cast<std::size_t>(got);
      const ssize_t sent = ::send(from.other->fd, buffer_.data(), bytes, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return Flow::broken;
      const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
      if (done < bytes) {
        hold(from, done, bytes);
        return Flow::waits;
      }
      if (bytes < buffer_.size() && !from.hangup) return Flow::waits;
    }
    return Flow::waits;
  }

  void hold(Side& from, std::size_t begin, std::size_t end) {
    from.held = std::make_unique<char[]>(end - begin);
    std::copy(buffer_.data() + begin, buffer_.data() + end, from.held.get());
    from.held_begin = 0;
    from.held_end = end - begin;
  }

  // has_more: everything held is gone and reading may go on.
  Flow send_held(Side& from) {
    const ssize_t sent = ::send(from.other->fd, from.held.get() + from.held_begin,
                                from.held_end - from.held_begin, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN ? Flow::waits : Flow::broken;
    from.held_begin += static_cast<std::size_t>(sent);
    if (from.held_begin < from.held_end) return Flow::waits;
    from.held.reset();
    from.held_end = 0;
    return Flow::has_more;
  }

  void close_pair(Pair& pair) {
    pair.dead = true;
    ::close(pair.client.fd);
    ::close(pair.upstream.fd);
    std::erase_if(unfinished_, [&pair](const Side* side) { return side->pair == &pair; });
    dead_.push_back(&pair);
  }

  const int listener_;
  const std::uint16_t origin_port_;
  const int epoll_;
  std::array<char, kBufferBytes> buffer_;
  std::vector<Side*> unfinished_;
  std::vector<Pair*> dead_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using weir::bench::parse_number;
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (argc != 2 && !(argc == 4 && first == "--port")) {
    std::fprintf(stderr, "usage: floor [--port N] ORIGIN_PORT\n");
    return 2;
  }
  const auto port = static_cast<std::uint16_t>(argc == 4 ? parse_number(argv[2], 65535) : 0);
  const auto origin = static_cast<std::uint16_t>(parse_number(argv[argc - 1], 65535));
  weir::bench::Relay(weir::bench::listen_and_announce(port), origin).run();
}
