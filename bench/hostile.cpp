// hostile: a server that attacks the proxy in front of it.
//
//   hostile [--port N] [--rate BLOCKS]
//
// What it does with a connection depends on the path of the first request:
//   /hostile/interim   answers 103 again and again; the final answer never comes
//   /hostile/chunks    answers with chunks of one byte, without end
//   anything else      reads whatever comes and never answers
// The two floods are sent in blocks of 16 KiB, so many a second over all connections together; what
// a proxy does not take is not sent later. One thread, level-triggered epoll, loopback only.
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBlockBytes = 16 * 1024;
constexpr std::size_t kHeadBytesMax = 64 * 1024;
constexpr std::uint32_t kRateMax = 100'000;
constexpr std::string_view kChunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

std::string block_of(std::string_view piece) {
  std::string block;
  while (block.size() < kBlockBytes) block += piece;
  return block;
}

struct Client {
  int fd = -1;
  std::string head;         // Of the first request; what follows is thrown away.
  bool understood = false;  // The head is complete, or too long to wait for its end.
  std::string_view flood;   // The block that is sent again and again; empty: none.
  std::string_view unsent;  // The rest of what is being sent.
};

class Hostile {
 public:
  Hostile(int listener, std::uint32_t rate)
      : listener_(listener), epoll_(::epoll_create1(EPOLL_CLOEXEC)), pace_(rate) {
    epoll_add(epoll_, listener_, EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                     flooders_.empty() ? -1 : 1);
      for (int i = 0; i < count; ++i) {
        auto* client = static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (client == nullptr) {
          accept_client();
        } else if (!read(*client)) {
          end(client);
        }
      }
      const std::uint64_t now = now_ns();
      while (pace_.due(now)) send_block();
    }
  }

 private:
  void accept_client() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    set_no_delay(fd);
    auto* client = new Client;
    client->fd = fd;
    epoll_add(epoll_, fd, EPOLLIN, client);
  }

  // False when the client is gone.
  bool read(Client& client) {
    const ssize_t got = ::recv(client.fd, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    if (client.understood) return true;
    client.head.append(buffer_.data(), static_cast<std::size_t>(got));
    client.understood =
        client.head.find("\r\n\r\n") != std::string::npos || client.head.size() > kHeadBytesMax;
    if (client.understood) answer(client);
    return true;
  }

  void answer(Client& client) {
    if (client.head.find(" /hostile/interim ") != std::string::npos) {
      client.flood = interim_;
    } else if (client.head.find(" /hostile/chunks ") != std::string::npos) {
      client.flood = chunks_;
      client.unsent = kChunkedHead;
    }
    if (!client.flood.empty()) flooders_.push_back(&client);
  }

  // One block to the connection whose turn it is; what was left of the one before goes first.
  void send_block() {
    if (flooders_.empty()) return;
    Client& client = *flooders_[turn_++ % flooders_.size()];
    if (client.unsent.empty()) client.unsent = client.flood;
    const ssize_t sent =
        ::send(client.fd, client.unsent.data(), client.unsent.size(), MSG_NOSIGNAL);
    if (sent > 0) client.unsent.remove_prefix(static_cast<std::size_t>(sent));
  }

  void end(Client* client) {
    std::erase(flooders_, client);
    ::close(client->fd);
    delete client;
  }

  const int listener_;
  const int epoll_;
  Pace pace_;
  const std::string interim_ = block_of("HTTP/1.1 103 Early Hints\r\n\r\n");
  const std::string chunks_ = block_of("1\r\nx\r\n");
  std::vector<Client*> flooders_;
  std::size_t turn_ = 0;
  std::array<char, 64 * 1024> buffer_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  std::uint32_t port = 0;
  std::uint32_t rate = 1000;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const bool is_port = name == "--port";
    if (i + 1 == argc || !(is_port || name == "--rate")) {
      std::fprintf(stderr, "usage: hostile [--port N] [--rate BLOCKS]\n");
      return 2;
    }
    const std::uint32_t max = is_port ? 65535 : weir::bench::kRateMax;
    (is_port ? port : rate) = weir::bench::parse_number(argv[i + 1], max);
  }
  weir::bench::raise_descriptor_limit();
  const int listener = weir::bench::listen_and_announce(static_cast<std::uint16_t>(port));
  weir::bench::Hostile(listener, rate).run();
}
