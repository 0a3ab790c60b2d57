// origin: a cheap and fair HTTP/1.1 server to stand behind a proxy in benchmarks.
//
//   origin [--port N] [--body BYTES]
//
// Answers every request with 200: to "/N" with N bytes, to anything else with --body bytes (0 by
// default). One thread, edge-triggered epoll. Requests are counted by their empty lines, so only
// those without a body are understood; pipelined ones are answered in order and together. Work per
// event is bounded, so that a large answer does not hold up the small ones.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::size_t kHeadBytesMax = 64 * 1024;
constexpr std::size_t kSendBytes = 64 * 1024;       // One send; larger answers take several.
constexpr std::size_t kTurnBytes = 4 * kSendBytes;  // Then others run.
constexpr std::uint32_t kBodyBytesMax = 4294967295U;

struct Client {
  int fd = -1;
  std::string in;                // The beginning of a request whose end has not come.
  std::string out;               // Answer bytes that the socket did not take.
  std::uint64_t body_bytes = 0;  // What is still to be generated of the newest answer.
  bool hangup = false;           // A short read does not mean empty any more.
  bool last = false;             // The client asked to close after this answer.
};

enum class Turn {
  waits,     // An edge will come.
  has_more,  // Stopped by its budget.
  ends,
};

std::string make_head(std::uint64_t body_bytes) {
  return "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: " +
         std::to_string(body_bytes) + "\r\n\r\n";
}

// The N of a request that begins "GET /N ", otherwise `fallback`.
std::uint64_t wanted_bytes(std::string_view head, std::uint64_t fallback) {
  const std::size_t slash = head.find(" /");
  if (slash == std::string_view::npos) return fallback;
  std::uint32_t value = 0;
  const char* const begin = head.data() + slash + 2;
  const auto [end, error] = std::from_chars(begin, head.data() + head.size(), value);
  return error == std::errc() && *end == ' ' ? value : fallback;
}

class Origin {
 public:
  Origin(int listener, std::uint64_t body_bytes)
      : listener_(listener),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        body_bytes_(body_bytes),
        head_(make_head(body_bytes)) {
    epoll_add(epoll_, listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                     unfinished_.empty() ? -1 : 0);
      std::vector<Client*> runnable;
      runnable.swap(unfinished_);
      for (int i = 0; i < count; ++i) latch(events[static_cast<std::size_t>(i)], runnable);
      for (Client* client : runnable) run_client(client);
    }
  }

 private:
  void latch(const epoll_event& event, std::vector<Client*>& runnable) {
    auto* client = static_cast<Client*>(event.data.ptr);
    if (client == nullptr) return accept_clients();
    if ((event.events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) client->hangup = true;
    if (std::find(runnable.begin(), runnable.end(), client) == runnable.end()) {
      runnable.push_back(client);
    }
  }

  void accept_clients() {
    for (int i = 0; i < 64; ++i) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      set_no_delay(fd);
      auto* client = new Client;
      client->fd = fd;
      epoll_add(epoll_, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, client);
    }
  }

  void run_client(Client* client) {
    switch (turn(*client)) {
      case Turn::waits: break;
      case Turn::has_more: unfinished_.push_back(client); break;
      case Turn::ends:
        ::close(client->fd);
        delete client;
        break;
    }
  }

  // Sends what is owed, then reads; both within one budget.
  Turn turn(Client& client) {
    std::size_t budget = kTurnBytes;
    bool drained = false;
    for (;;) {
      while (!client.out.empty() || fill(client)) {
        const ssize_t sent = ::send(client.fd, client.out.data(), client.out.size(), MSG_NOSIGNAL);
        if (sent < 0) return errno == EAGAIN ? Turn::waits : Turn::ends;
        client.out.erase(0, static_cast<std::size_t>(sent));
        if (!client.out.empty()) return Turn::waits;
        if (budget <= static_cast<std::size_t>(sent)) return Turn::has_more;
        budget -= static_cast<std::size_t>(sent);
      }
      if (client.last || client.in.size() > kHeadBytesMax) return Turn::ends;
      if (drained) return Turn::waits;
      const ssize_t got = ::recv(client.fd, buffer_.data(), buffer_.size(), 0);
      if (got < 0) return errno == EAGAIN ? Turn::waits : Turn::ends;
      if (got == 0) return Turn::ends;
      client.in.append(buffer_.data(), static_cast<std::size_t>(got));
      drained = static_cast<std::size_t>(got) < buffer_.size() && !client.hangup;
    }
  }

  // Writes the next answers to `out`, up to one send's worth; false when nothing is owed.
  bool fill(Client& client) const {
    std::size_t taken = 0;
    while (client.out.size() < kSendBytes) {
      if (client.body_bytes > 0) {
        const std::size_t room = kSendBytes - client.out.size();
        const std::size_t bytes = std::min<std::uint64_t>(client.body_bytes, room);
        client.out.append(bytes, 'x');
        client.body_bytes -= bytes;
        continue;
      }
      const std::size_t end = client.in.find("\r\n\r\n", taken);
      if (end == std::string::npos || client.last) break;
      answer(client, std::string_view(client.in).substr(taken, end + 4 - taken));
      taken = end + 4;
    }
    client.in.erase(0, taken);
    return !client.out.empty();
  }

  void answer(Client& client, std::string_view head) const {
    client.body_bytes = wanted_bytes(head, body_bytes_);
    client.out += client.body_bytes == body_bytes_ ? head_ : make_head(client.body_bytes);
    client.last = head.find("onnection: close\r\n") != std::string_view::npos;
  }

  const int listener_;
  const int epoll_;
  const std::uint64_t body_bytes_;
  const std::string head_;
  std::array<char, kReadBytes> buffer_;
  std::vector<Client*> unfinished_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  std::uint32_t port = 0;
  std::uint32_t body = 0;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const bool is_port = name == "--port";
    if (i + 1 == argc || !(is_port || name == "--body")) {
      std::fprintf(stderr, "usage: origin [--port N] [--body BYTES]\n");
      return 2;
    }
    const std::uint32_t max = is_port ? 65535 : weir::bench::kBodyBytesMax;
    (is_port ? port : body) = weir::bench::parse_number(argv[i + 1], max);
  }
  const int listener = weir::bench::listen_and_announce(static_cast<std::uint16_t>(port));
  weir::bench::Origin(listener, body).run();
}
