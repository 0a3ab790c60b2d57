// origin: a cheap and fair HTTP/1.1 server to stand behind a proxy in benchmarks.
//
//   origin [--port N] [--body BYTES]
//
// Answers every request with 200: to "/N" with N bytes, to "/N/C" with N bytes in chunks of C, to
// anything else with --body bytes (0 by default). A connection that begins with "echo\n" gets back
// what it sends from there on. One thread, edge-triggered epoll. Requests are counted by their
// empty lines, so only those without a body are understood; pipelined ones are answered in order
// and, when small, together. Work per event is bounded, so that a large answer does not hold up the
// small ones.
#include <sys/uio.h>

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
constexpr std::size_t kBlockBytes = 256 * 1024;  // One send, after which others run.
constexpr std::size_t kSmallBytes = 4 * 1024;    // A body that is sent as one with its head.
constexpr std::uint32_t kBodyBytesMax = 4294967295U;
constexpr std::string_view kEcho = "echo\n";

// What to answer: `chunk` is 0 for a body with a length.
struct Wanted {
  std::uint64_t body = 0;
  std::uint64_t chunk = 0;
};

// What is sent next is `out`, then `data` bytes of the block, then `tail`.
struct Client {
  int fd = -1;
  std::string in;  // The beginning of a request whose end has not come.
  std::string out;
  std::uint64_t data = 0;
  std::string_view tail;
  Wanted rest;          // What is still to be framed in chunks.
  bool hangup = false;  // A short read does not mean empty any more.
  bool last = false;    // The client asked to close after this answer.
  bool echo = false;
};

enum class Turn {
  waits,     // An edge will come.
  has_more,  // Stopped by its budget.
  ends,
};

std::string make_head(const Wanted& wanted) {
  return "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\n" +
         (wanted.chunk > 0 ? "Transfer-Encoding: chunked"
                           : "Content-Length: " + std::to_string(wanted.body)) +
         "\r\n\r\n";
}

// The numbers of a request that begins "GET /N " or "GET /N/C ", otherwise `fallback`.
Wanted parse_wanted(std::string_view head, const Wanted& fallback) {
  const std::size_t slash = head.find(" /");
  if (slash == std::string_view::npos) return fallback;
  const char* const end = head.data() + head.size();
  std::uint32_t body = 0;
  std::uint32_t chunk = 0;
  auto result = std::from_chars(head.data() + slash + 2, end, body);
  if (result.ec == std::errc() && *result.ptr == '/') {
    result = std::from_chars(result.ptr + 1, end, chunk);
  }
  return result.ec == std::errc() && *result.ptr == ' ' ? Wanted{body, chunk} : fallback;
}

class Origin {
 public:
  Origin(int listener, std::uint64_t body_bytes)
      : listener_(listener),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        usual_{.body = body_bytes},
        usual_head_(make_head(usual_)),
        block_(kBlockBytes, 'x') {
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
    std::size_t budget = kBlockBytes;
    bool drained = false;
    for (;;) {
      while (fill(client)) {
        const ssize_t sent = send(client);
        if (sent < 0) return errno == EAGAIN ? Turn::waits : Turn::ends;
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

  ssize_t send(Client& client) {
    const std::size_t data = std::min<std::uint64_t>(client.data, block_.size());
    std::array<iovec, 3> parts{{{client.out.data(), client.out.size()},
                                {block_.data(), data},
                                {const_cast<char*>(client.tail.data()), client.tail.size()}}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = data == 0 ? 1 : data == client.data ? 3 : 2;
    const ssize_t sent = ::sendmsg(client.fd, &message, MSG_NOSIGNAL);
    if (sent > 0) take_sent(client, static_cast<std::size_t>(sent));
    return sent;
  }

  static void take_sent(Client& client, std::size_t sent) {
    const std::size_t from_out = std::min(sent, client.out.size());
    client.out.erase(0, from_out);
    const std::size_t from_data = std::min<std::uint64_t>(sent - from_out, client.data);
    client.data -= from_data;
    if (client.data > 0) return;
    client.out.append(client.tail.substr(sent - from_out - from_data));
    client.tail = {};
  }

  // True when there is something to send; what is asked for next joins it while that is little.
  bool fill(Client& client) const {
    std::size_t taken = 0;
    while (client.data == 0 && client.out.size() < kSmallBytes) {
      if (client.rest.body > 0) {
        add_chunk(client);
        continue;
      }
      const std::size_t end = client.in.find("\r\n\r\n", taken);
      if (client.echo || end == std::string::npos || client.last) break;
      answer(client, std::string_view(client.in).substr(taken, end + 4 - taken));
      taken = end + 4;
    }
    client.in.erase(0, taken);
    if (client.in.starts_with(kEcho) && !client.echo) {
      client.echo = true;
      client.in.erase(0, kEcho.size());
    }
    if (client.echo && client.out.empty()) client.out.swap(client.in);
    return client.data > 0 || !client.out.empty();
  }

  void answer(Client& client, std::string_view head) const {
    const Wanted wanted = parse_wanted(head, usual_);
    const bool usual = wanted.body == usual_.body && wanted.chunk == 0;
    client.out += usual ? usual_head_ : make_head(wanted);
    client.last = head.find("onnection: close\r\n") != std::string_view::npos;
    if (wanted.chunk > 0) {
      client.rest = wanted;
      if (wanted.body == 0) client.out += "0\r\n\r\n";
    } else if (wanted.body <= kSmallBytes) {
      client.out.append(wanted.body, 'x');
    } else {
      client.data = wanted.body;
    }
  }

  static void add_chunk(Client& client) {
    client.data = std::min(client.rest.body, client.rest.chunk);
    client.rest.body -= client.data;
    std::array<char, 16> size;
    char* const end = std::to_chars(size.data(), size.data() + size.size(), client.data, 16).ptr;
    client.out.append(size.data(), end).append("\r\n");
    client.tail = client.rest.body > 0 ? "\r\n" : "\r\n0\r\n\r\n";
  }

  const int listener_;
  const int epoll_;
  const Wanted usual_;
  const std::string usual_head_;
  std::string block_;
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
