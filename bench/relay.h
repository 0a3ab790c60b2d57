// The frame of a relay that does not look at what it moves: every client gets an upstream
// connection of its own, and bytes go both ways until both sides have ended or one has failed. One
// thread, edge-triggered epoll. How bytes move is the Mover's part:
//
//   struct Held { bool empty() const; };   what left a socket and has not reached the other one
//   Flow move(Side<Held>& from);           as much as flows now from one side to the other; at the
//                                          end of it `ended` is set and the other side is told
#pragma once

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "socket.h"

namespace weir::bench {

template <class Held>
struct Pair;

// One socket of a pair.
template <class Held>
struct Side {
  int fd = -1;
  Pair<Held>* pair = nullptr;
  Side* other = nullptr;
  Held held;
  bool hangup = false;  // A short read does not mean empty any more.
  bool ended = false;   // Read to the end; the other side was told.
  bool queued = false;  // In `unfinished_`.
};

template <class Held>
struct Pair {
  Side<Held> client;
  Side<Held> upstream;
  bool dead = false;
};

enum class Flow {
  waits,     // An edge will come.
  has_more,  // Stopped by its budget.
  broken,
};

// Everything that was read from this side has been sent.
template <class Held>
void end_flow(Side<Held>& from) {
  from.ended = true;
  ::shutdown(from.other->fd, SHUT_WR);
}

template <class Mover>
class Relay {
 public:
  using Held = typename Mover::Held;

  Relay(int listener, std::uint16_t origin_port)
      : listener_(listener), origin_port_(origin_port), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    epoll_add(epoll_, listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                     unfinished_.empty() ? -1 : 0);
      std::vector<Side<Held>*> resumed;
      resumed.swap(unfinished_);
      for (int i = 0; i < count; ++i) on_event(events[static_cast<std::size_t>(i)]);
      for (Side<Held>* side : resumed) side->queued = false;
      for (Side<Held>* side : resumed) move(*side);
      for (Pair<Held>* pair : dead_) delete pair;  // Nothing above this line holds one any more.
      dead_.clear();
    }
  }

 private:
  static constexpr int kAcceptsPerTurn = 64;

  void on_event(const epoll_event& event) {
    if (event.data.ptr == nullptr) return accept_clients();
    Side<Held>& side = *static_cast<Side<Held>*>(event.data.ptr);
    if ((event.events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) side.hangup = true;
    if ((event.events & EPOLLOUT) != 0 && !side.other->held.empty()) move(*side.other);
    if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) move(side);
  }

  void accept_clients() {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      open_pair(fd);
    }
  }

  void open_pair(int client) {
    auto* pair = new Pair<Held>;
    pair->client.fd = client;
    pair->client.other = &pair->upstream;
    pair->upstream.fd = begin_connect(origin_port_);
    pair->upstream.other = &pair->client;
    set_no_delay(client);
    for (Side<Held>* side : {&pair->client, &pair->upstream}) {
      side->pair = pair;
      epoll_add(epoll_, side->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, side);
    }
  }

  void move(Side<Held>& from) {
    if (from.pair->dead || from.ended) return;
    switch (mover_.move(from)) {
      case Flow::waits: break;
      case Flow::has_more:
        if (!from.queued) unfinished_.push_back(&from);
        from.queued = true;
        break;
      case Flow::broken: return close_pair(*from.pair);
    }
    if (from.ended && from.other->ended) close_pair(*from.pair);
  }

  void close_pair(Pair<Held>& pair) {
    pair.dead = true;
    ::close(pair.client.fd);
    ::close(pair.upstream.fd);
    std::erase_if(unfinished_, [&pair](const Side<Held>* side) { return side->pair == &pair; });
    dead_.push_back(&pair);
  }

  const int listener_;
  const std::uint16_t origin_port_;
  const int epoll_;
  Mover mover_;
  std::vector<Side<Held>*> unfinished_;
  std::vector<Pair<Held>*> dead_;
};

template <class Mover>
[[noreturn]] void relay_main(const char* name, int argc, char** argv) {
  const RelaySettings settings = parse_relay_settings(name, argc, argv);
  raise_descriptor_limit();
  Relay<Mover>(listen_and_announce(settings), settings.origin).run();
}

}  // namespace weir::bench
