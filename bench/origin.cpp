// origin: a cheap and fair HTTP/1.1 server to stand behind a proxy in benchmarks.
//
//   origin [--port N] [--body BYTES] [--addresses N]
//
// Answers every request with 200: to "/N" with N bytes, to "/N/C" with N bytes in chunks of C, to
// anything else with --body bytes (0 by default). A connection that begins with "echo\n" gets back
// what it sends from there on. A request may have a body with a length, which is thrown away; it is
// answered after it. With --addresses it is that many servers, 127.0.0.1 and those behind it, on
// one port. One thread, edge-triggered epoll. Pipelined requests are answered in order and, when
// small, together. Work per event is bounded, so that a large answer does not hold up the small
// ones.
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "answer.h"
#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::size_t kHeadBytesMax = 64 * 1024;
constexpr std::size_t kBlockBytes = 256 * 1024;  // One send, after which others run.
constexpr std::size_t kSmallBytes = 4 * 1024;    // A body that is sent as one with its head.
constexpr std::uint32_t kBodyBytesMax = 4294967295U;
constexpr std::uint32_t kAddressesMax = 4000;
constexpr std::string_view kEcho = "echo\n";

// What to answer: `chunk` is 0 for a body with a length.
struct Wanted {
  std::uint64_t body = 0;
  std::uint64_t chunk = 0;
};

// What is sent next is `out`, then `data` bytes of the block, then `tail`.
struct Client {
  int fd = -1;
  std::string in;                      // The beginning of a request whose end has not come.
  std::uint64_t upload = 0;            // What is still to come of a request's body,
  std::optional<Wanted> after_upload;  // and what is answered then.
  std::string out;
  std::uint64_t data = 0;
  std::string_view tail;
  Wanted rest;          // What is still to be framed in chunks.
  bool hangup = false;  // A short read does not mean empty any more.
  bool last = false;    // The client asked to close after this answer.
  bool echo = false;
  bool listener = false;
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
  explicit Origin(std::uint64_t body_bytes)
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        usual_{.body = body_bytes},
        usual_head_(make_head(usual_)),
        block_(kBlockBytes, 'x') {}

  void listen_on(int listener) {
    auto* entry = new Client;
    entry->fd = listener;
    entry->listener = true;
    epoll_add(epoll_, listener, EPOLLIN, entry);
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
    if (client->listener) return accept_clients(client->fd);
    if ((event.events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) client->hangup = true;
    if (std::find(runnable.begin(), runnable.end(), client) == runnable.end()) {
      runnable.push_back(client);
    }
  }

  void accept_clients(int listener) {
    for (int i = 0; i < 64; ++i) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
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
      if (client.last && !client.after_upload) return Turn::ends;
      if (client.in.size() > kHeadBytesMax) return Turn::ends;
      if (drained) return Turn::waits;
      const std::size_t room =
          client.upload > 0 ? std::min<std::uint64_t>(client.upload, kBlockBytes) : kReadBytes;
      const ssize_t got = receive(client, room);
      if (got < 0) return errno == EAGAIN ? Turn::waits : Turn::ends;
      if (got == 0) return Turn::ends;
      drained = static_cast<std::size_t>(got) < room && !client.hangup;
      if (budget <= static_cast<std::size_t>(got)) return Turn::has_more;
      budget -= static_cast<std::size_t>(got);
    }
  }

  // What is known to be an upload is dropped by the kernel.
  ssize_t receive(Client& client, std::size_t room) {
    const ssize_t got = ::recv(client.fd, buffer_.data(), room, client.upload > 0 ? MSG_TRUNC : 0);
    if (got <= 0) return got;
    const auto taken = static_cast<std::size_t>(got);
    if (client.upload > 0) {
      client.upload -= taken;
    } else {
      client.in.append(buffer_.data(), taken);
    }
    return got;
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
      if (client.after_upload) {
        if (client.upload > 0) break;
        answer(client, *std::exchange(client.after_upload, std::nullopt));
        continue;
      }
      const std::size_t end = client.in.find("\r\n\r\n", taken);
      if (client.echo || end == std::string::npos || client.last) break;
      const std::string_view head = std::string_view(client.in).substr(taken, end + 4 - taken);
      const Wanted wanted = parse_wanted(head, usual_);
      client.last = head.find("onnection: close\r\n") != std::string_view::npos;
      taken = end + 4;
      if (head.starts_with("POST ")) {
        taken += begin_upload(client, wanted, head, client.in.size() - taken);
      } else {
        answer(client, wanted);
      }
    }
    client.in.erase(0, taken);
    if (client.in.starts_with(kEcho) && !client.echo) {
      client.echo = true;
      client.in.erase(0, kEcho.size());
    }
    if (client.echo && client.out.empty()) client.out.swap(client.in);
    return client.data > 0 || !client.out.empty();
  }

  // How many of the bytes that follow the head, `present` of them here, are of the body.
  static std::size_t begin_upload(Client& client, const Wanted& wanted, std::string_view head,
                                  std::size_t present) {
    const auto length = find_field(head, "Content-Length");
    client.upload = length ? to_number(*length) : 0;
    client.after_upload = wanted;
    const std::size_t skipped = std::min<std::uint64_t>(client.upload, present);
    client.upload -= skipped;
    return skipped;
  }

  void answer(Client& client, const Wanted& wanted) const {
    const bool usual = wanted.body == usual_.body && wanted.chunk == 0;
    client.out += usual ? usual_head_ : make_head(wanted);
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

  const int epoll_;
  const Wanted usual_;
  const std::string usual_head_;
  std::string block_;
  std::array<char, kBlockBytes> buffer_;
  std::vector<Client*> unfinished_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  std::uint32_t port = 0;
  std::uint32_t body = 0;
  std::uint32_t addresses = 1;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    std::uint32_t* const value = name == "--port"        ? &port
                                 : name == "--body"      ? &body
                                 : name == "--addresses" ? &addresses
                                                         : nullptr;
    if (i + 1 == argc || value == nullptr) {
      std::fprintf(stderr, "usage: origin [--port N] [--body BYTES] [--addresses N]\n");
      return 2;
    }
    const std::uint32_t max = value == &port   ? 65535
                              : value == &body ? weir::bench::kBodyBytesMax
                                               : weir::bench::kAddressesMax;
    *value = weir::bench::parse_number(argv[i + 1], max);
  }
  weir::bench::raise_descriptor_limit();
  weir::bench::Origin origin(body);
  const int first = weir::bench::listen_on(weir::bench::loopback(static_cast<std::uint16_t>(port)));
  sockaddr_in address = weir::bench::local_address(first);
  origin.listen_on(first);
  for (std::uint32_t i = 1; i < addresses; ++i) {
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
    origin.listen_on(weir::bench::listen_on(address));
  }
  weir::bench::announce(address);
  origin.run();
}
