// floor_close: the least that serving a client for one request costs. One thread, edge-triggered
// epoll: accept, epoll ADD, recv, send on a kept upstream connection, recv, send, close.
//
//   floor_close [--defer] [--workers N] [--port N] ORIGIN_PORT
//
// It does not parse. What a client sends first is taken for its request, what the server sends
// first for the whole answer: it is for small ones only. The request that goes to the server is
// always the same, without the client's "Connection: close", so that the upstream connection
// survives it. With --defer the kernel hands a connection over with its first bytes
// (TCP_DEFER_ACCEPT).
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: floor\r\n\r\n";
constexpr std::uint32_t kSocketEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

// A socket to a client or to the server; `other` is the one it works with.
struct End {
  int fd = -1;
  bool upstream = false;
  bool unsent = false;  // An upstream connection under way, with a request to send.
  End* other = nullptr;
};

class FloorClose {
 public:
  FloorClose(int listener, std::uint16_t origin_port)
      : listener_(listener), origin_port_(origin_port), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    epoll_add(epoll_, listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) on_event(events[static_cast<std::size_t>(i)]);
      for (End* end : dead_) delete end;  // Nothing above this line holds one any more.
      dead_.clear();
    }
  }

 private:
  static constexpr int kAcceptsPerTurn = 64;

  void on_event(const epoll_event& event) {
    if (event.data.ptr == nullptr) return accept_clients();
    End& end = *static_cast<End*>(event.data.ptr);
    if (end.fd < 0) return;
    if (end.unsent && (event.events & EPOLLOUT) != 0) send_request(end);
    if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 && end.fd >= 0) receive(end);
  }

  void accept_clients() {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      set_no_delay(fd);
      auto* client = new End{.fd = fd};
      epoll_add(epoll_, fd, kSocketEvents, client);
    }
  }

  void receive(End& end) {
    const ssize_t got = ::recv(end.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return close_both(end);
    if (!end.upstream) {
      if (end.other == nullptr) ask(end);
    } else if (end.other == nullptr) {
      close(end);
    } else {
      answer(end, {buffer_.data(), static_cast<std::size_t>(got)});
    }
  }

  void ask(End& client) {
    End* upstream = nullptr;
    if (kept_.empty()) {
      upstream = new End{.fd = begin_connect(origin_port_), .upstream = true};
      epoll_add(epoll_, upstream->fd, kSocketEvents, upstream);
    } else {
      upstream = kept_.back();
      kept_.pop_back();
    }
    upstream->other = &client;
    client.other = upstream;
    send_request(*upstream);
  }

  void send_request(End& upstream) {
    const ssize_t sent = ::send(upstream.fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL);
    upstream.unsent = sent < 0 && errno == EAGAIN;
    if (sent < 0 && !upstream.unsent) close_both(upstream);
  }

  void answer(End& upstream, std::string_view bytes) {
    End& client = *upstream.other;
    (void)::send(client.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    close(client);
    upstream.other = nullptr;
    kept_.push_back(&upstream);
  }

  // What ends in the middle takes the other one with it.
  void close_both(End& end) {
    if (end.other != nullptr) close(*end.other);
    close(end);
  }

  void close(End& end) {
    ::close(end.fd);
    end.fd = -1;
    std::erase(kept_, &end);
    dead_.push_back(&end);
  }

  const int listener_;
  const std::uint16_t origin_port_;
  const int epoll_;
  std::vector<End*> kept_;
  std::vector<End*> dead_;
  std::array<char, 16 * 1024> buffer_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  const auto settings = weir::bench::parse_relay_settings("floor_close", argc, argv);
  weir::bench::raise_descriptor_limit();
  weir::bench::FloorClose(weir::bench::listen_and_announce(settings), settings.origin).run();
}
