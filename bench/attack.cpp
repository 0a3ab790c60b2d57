// attack: clients that want to hurt, at a bounded rate and for a bounded time, on this machine
// only.
//
//   attack MODE --port N [--connections C] [--rate R] [--seconds S]
//
// A mode (kAttacks) is what a connection sends first and what it does when its turn comes. Turns go
// round the connections, `rate` a second over all of them; the turn of one that is closed opens it
// again, so that whoever is thrown out comes back. What the proxy does not take is not sent later:
// that attacker is merely held back. One thread, edge-triggered epoll. Prints one JSON object that
// says what became of the attackers.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBlockBytes = 16 * 1024;
constexpr std::uint32_t kConnectionsMax = 20'000;
constexpr std::uint32_t kRateMax = 100'000;
constexpr std::uint32_t kSecondsMax = 60;
constexpr std::size_t kTrickleBytes = 1024;  // What a slow reader takes in a turn,
constexpr int kTrickleWindow = 4096;         // and what its socket holds for it.

enum class Turn {
  wait,   // Nothing.
  send,   // The attack's `again`.
  read,   // A few bytes; nothing is read otherwise.
  stall,  // Nothing, nor is anything read.
  renew,  // Close and connect again.
  reset,  // Connect again: RST has followed `first` at once.
};

struct Attack {
  std::string_view name;
  Turn turn;
  std::uint32_t connections;  // Defaults of the options.
  std::uint32_t rate;
  std::string_view first;       // Sent when connected.
  std::string_view again = {};  // Sent at each turn.
  bool repeat = false;          // `again` fills a block of 16 KiB.
};

constexpr std::array kAttacks = {
    // One byte of a head now and then; its end never comes.
    Attack{"slow_head", Turn::send, 1000, 2000, "GET / HTTP/1.1\r\nHost: attack\r\nA: ", "a"},
    // The same with more connections than the limit.
    Attack{"slow_head_crowd", Turn::send, 5000, 6000, "GET / HTTP/1.1\r\nHost: attack\r\nA: ", "a"},
    // A byte of a body now and then.
    Attack{"slow_body", Turn::send, 1000, 2000,
           "POST /hostile/swallow HTTP/1.1\r\nHost: attack\r\nContent-Length: 1000000\r\n\r\n",
           "a"},
    // The beginning of a body, and nothing more.
    Attack{"stalled_body", Turn::wait, 1000, 2000,
           "POST /hostile/swallow HTTP/1.1\r\nHost: attack\r\nContent-Length: 1000000\r\n\r\na"},
    // An answer of 3 MB, taken 1 KiB at a time.
    Attack{"slow_read", Turn::read, 500, 2000, "GET /3000000 HTTP/1.1\r\nHost: attack\r\n\r\n"},
    // An answer of 3 MB, of which nothing is taken.
    Attack{"stalled_read", Turn::stall, 500, 2000, "GET /3000000 HTTP/1.1\r\nHost: attack\r\n\r\n"},
    // Heads without end, as fast as they are taken.
    Attack{"header_flood", Turn::send, 64, 2000, "GET / HTTP/1.1\r\nHost: attack\r\n", "a: b\r\n",
           true},
    // One request each, and then nothing.
    Attack{"idle", Turn::wait, 1800, 3600, "GET / HTTP/1.1\r\nHost: attack\r\n\r\n"},
    // Connections that say nothing, more than the limit, the oldest replaced all the time.
    Attack{"connect_flood", Turn::renew, 5000, 5000, ""},
    // Requests by the block, without waiting for answers.
    Attack{"pipelining", Turn::send, 16, 1000, "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
    // A body in chunks of one byte, without end.
    Attack{"tiny_chunks", Turn::send, 4, 1000,
           "POST /hostile/swallow HTTP/1.1\r\nHost: attack\r\nTransfer-Encoding: chunked\r\n\r\n",
           "1\r\nx\r\n", true},
    // The server answers in chunks of one byte, without end.
    Attack{"tiny_answer", Turn::wait, 4, 1000,
           "GET /hostile/chunks HTTP/1.1\r\nHost: attack\r\n\r\n"},
    // The server sends interim answers, without end.
    Attack{"interim_flood", Turn::wait, 4, 1000,
           "GET /hostile/interim HTTP/1.1\r\nHost: attack\r\n\r\n"},
    // A request, and a reset at once.
    Attack{"reset_flood", Turn::reset, 256, 4000, "GET /1000 HTTP/1.1\r\nHost: attack\r\n\r\n"},
};

struct Connection {
  int fd = -1;
  bool established = false;
  bool was_reset = false;  // send() has consumed the error that recv() would tell.
  std::string_view unsent;
};

// What became of the attackers.
struct Fate {
  std::uint64_t opened = 0;
  std::uint64_t refused = 0;    // Never established.
  std::uint64_t closed = 0;     // By the proxy.
  std::uint64_t reset = 0;      // By the proxy.
  std::uint64_t left = 0;       // Closed or reset by the attacker itself.
  std::uint64_t sends = 0;      // Turns that sent something,
  std::uint64_t held_back = 0;  // and those that could not.
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::array<std::uint64_t, 6> answers{};  // By the first digit of the status.
};

class Attackers {
 public:
  Attackers(const Attack& attack, std::uint16_t port, std::uint32_t connections, std::uint32_t rate)
      : attack_(attack),
        port_(port),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        pace_(rate),
        again_(attack.again),
        connections_(connections) {
    while (attack.repeat && again_.size() < kBlockBytes) again_ += attack.again;
  }

  void run(std::uint32_t seconds) {
    const std::uint64_t end = now_ns() + seconds * kNsPerSecond;
    std::array<epoll_event, 256> events;
    for (std::uint64_t now = now_ns(); now < end; now = now_ns()) {
      while (pace_.due(now)) take_turn(connections_[turn_++ % connections_.size()]);
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        on_event(*static_cast<Connection*>(event.data.ptr), event.events);
      }
    }
  }

  void print() const {
    std::size_t open = 0;
    for (const Connection& connection : connections_) open += connection.established ? 1 : 0;
    std::printf("{\"open\": %zu", open);
    const auto field = [](const char* name, std::uint64_t value) {
      std::printf(", \"%s\": %ju", name, static_cast<std::uintmax_t>(value));
    };
    field("opened", fate_.opened);
    field("refused", fate_.refused);
    field("closed", fate_.closed);
    field("reset", fate_.reset);
    field("left", fate_.left);
    field("sends", fate_.sends);
    field("held_back", fate_.held_back);
    field("sent_bytes", fate_.sent_bytes);
    field("received_bytes", fate_.received_bytes);
    for (std::size_t i = 1; i < fate_.answers.size(); ++i) {
      field((std::to_string(i) + "xx").c_str(), fate_.answers[i]);
    }
    std::printf("}\n");
  }

 private:
  void take_turn(Connection& connection) {
    if (connection.fd < 0) return open(connection);
    if (!connection.established) return;
    switch (attack_.turn) {
      case Turn::wait:
      case Turn::stall:
      case Turn::reset: break;
      case Turn::send: return send_again(connection);
      case Turn::read: return take(connection, kTrickleBytes);
      case Turn::renew:
        ::close(connection.fd);
        ++fate_.left;
        return open(connection);
    }
  }

  void open(Connection& connection) {
    connection = {.fd = begin_connect(port_, reads_all() ? 0 : kTrickleWindow),
                  .unsent = attack_.first};
    epoll_add(epoll_, connection.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &connection);
    ++fate_.opened;
  }

  void on_event(Connection& connection, std::uint32_t events) {
    if (!connection.established) {
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(connection.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return lose(connection, fate_.refused);
      connection.established = true;
    }
    send(connection);
    if (attack_.turn == Turn::reset && connection.unsent.empty()) {
      reset_and_close(connection.fd);
      ++fate_.left;
      connection = {};
      return;
    }
    const bool over = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (over || reads_all()) take(connection, SIZE_MAX);
  }

  [[nodiscard]] bool reads_all() const {
    return attack_.turn != Turn::read && attack_.turn != Turn::stall;
  }

  void send_again(Connection& connection) {
    if (connection.unsent.empty()) connection.unsent = again_;
    const std::size_t before = connection.unsent.size();
    send(connection);
    ++(connection.unsent.size() < before ? fate_.sends : fate_.held_back);
  }

  void send(Connection& connection) {
    if (connection.unsent.empty()) return;
    const ssize_t sent =
        ::send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == ECONNRESET) connection.was_reset = true;
    if (sent <= 0) return;
    connection.unsent.remove_prefix(static_cast<std::size_t>(sent));
    fate_.sent_bytes += static_cast<std::uint64_t>(sent);
  }

  // Reads up to `bytes`, or what there is.
  void take(Connection& connection, std::size_t bytes) {
    while (bytes > 0) {
      const std::size_t room = std::min(bytes, buffer_.size());
      const ssize_t got = ::recv(connection.fd, buffer_.data(), room, 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got < 0 || connection.was_reset) return lose(connection, fate_.reset);
      if (got == 0) return lose(connection, fate_.closed);
      bytes -= static_cast<std::size_t>(got);
      fate_.received_bytes += static_cast<std::uint64_t>(got);
      count_answers(std::string_view(buffer_.data(), static_cast<std::size_t>(got)));
    }
  }

  // A status line that two reads share is missed; there are few of them.
  void count_answers(std::string_view text) {
    constexpr std::string_view kBegin = "HTTP/1.1 ";
    for (std::size_t at = 0; (at = text.find(kBegin, at)) != std::string_view::npos;) {
      at += kBegin.size();
      const char digit = at < text.size() ? text[at] : '0';
      if (digit >= '1' && digit <= '5') ++fate_.answers[static_cast<std::size_t>(digit - '0')];
    }
  }

  void lose(Connection& connection, std::uint64_t& how) {
    ::close(connection.fd);
    connection = {};
    ++how;
  }

  const Attack attack_;
  const std::uint16_t port_;
  const int epoll_;
  Pace pace_;
  std::string again_;
  std::vector<Connection> connections_;
  std::size_t turn_ = 0;
  Fate fate_;
  std::array<char, 64 * 1024> buffer_;
};

const Attack* find_attack(std::string_view name) {
  const auto at = std::ranges::find(kAttacks, name, &Attack::name);
  return at == kAttacks.end() ? nullptr : &*at;
}

int usage() {
  std::fprintf(stderr, "usage: attack MODE --port N [--connections C] [--rate R] [--seconds S]\n");
  for (const Attack& attack : kAttacks) {
    std::fprintf(stderr, "  %-15s %u connections, %u turns a second\n",
                 std::string(attack.name).c_str(), attack.connections, attack.rate);
  }
  return 2;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using weir::bench::parse_number;
  const weir::bench::Attack* attack = weir::bench::find_attack(argc > 1 ? argv[1] : "");
  if (attack == nullptr || argc % 2 != 0) return weir::bench::usage();
  std::uint32_t port = 0;
  std::uint32_t connections = attack->connections;
  std::uint32_t rate = attack->rate;
  std::uint32_t seconds = 3;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--port") port = parse_number(value, 65535);
    if (name == "--connections") connections = parse_number(value, weir::bench::kConnectionsMax);
    if (name == "--rate") rate = parse_number(value, weir::bench::kRateMax);
    if (name == "--seconds") seconds = parse_number(value, weir::bench::kSecondsMax);
  }
  if (port == 0 || connections == 0) return weir::bench::usage();
  weir::bench::raise_descriptor_limit();
  weir::bench::Attackers attackers(*attack, static_cast<std::uint16_t>(port), connections, rate);
  attackers.run(seconds);
  attackers.print();
}
