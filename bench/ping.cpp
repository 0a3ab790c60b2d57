// ping: how long small messages take through a relay to an echo and back.
//
//   ping --port N [--bytes B] [--rate R] [--connections C] [--seconds S] [--bulk BYTES]
//
// Messages go out at a fixed rate, one connection after the other, whatever became of those before;
// a latency counts from the send to the last byte of the echo. With --bulk every connection first
// moves so many bytes there and back: a relay that has gone over to bulk must not delay what is
// small. The first second is not counted. Prints one JSON object. The echo is bench/origin.cpp.
#include <array>
#include <cerrno>
#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "figures.h"
#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::uint64_t kWarmUpNs = kNsPerSecond;
constexpr std::uint64_t kGraceNs = kNsPerSecond;
constexpr std::uint64_t kBulkLimitNs = 10 * kNsPerSecond;
constexpr std::string_view kEcho = "echo\n";

struct Settings {
  std::uint32_t port = 0;
  std::uint32_t bytes = 64;
  std::uint32_t rate = 1000;
  std::uint32_t connections = 4;
  std::uint32_t seconds = 3;
  std::uint32_t bulk = 0;
};

struct Client {
  int fd = -1;
  bool connected = false;
  std::deque<std::uint64_t> sent_ns;  // Of the messages on their way.
  std::uint64_t received = 0;         // Bytes of the oldest of them.
  std::uint64_t bulk_to_send = 0;
  std::uint64_t bulk_to_receive = 0;
};

class Ping {
 public:
  explicit Ping(const Settings& settings)
      : settings_(settings),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        interval_ns_(kNsPerSecond / settings.rate),
        message_(std::max<std::size_t>(settings.bytes, kBlockBytes), 'm'),
        buffer_(kBlockBytes),
        clients_(settings.connections) {}

  void run() {
    for (Client& client : clients_) {
      client.fd = begin_connect(static_cast<std::uint16_t>(settings_.port));
      client.bulk_to_send = client.bulk_to_receive = settings_.bulk;
      epoll_add(epoll_, client.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &client);
    }
    connect_all();
    move_bulk();
    send_messages();
  }

  void print() {
    std::printf("{\"messages\": %zu, \"failed\": %ju, \"p50_us\": %.1f, \"p99_us\": %.1f, ",
                latencies_ns_.size(), static_cast<std::uintmax_t>(failed_),
                percentile_ms(latencies_ns_, 0.5) * 1000,
                percentile_ms(latencies_ns_, 0.99) * 1000);
    std::printf("\"max_us\": %.1f}\n", percentile_ms(latencies_ns_, 1) * 1000);
  }

 private:
  static constexpr std::size_t kBlockBytes = 64 * 1024;

  void connect_all() {
    for (std::size_t connected = 0; connected < clients_.size();) {
      std::array<epoll_event, 1> event;
      if (::epoll_wait(epoll_, event.data(), 1, 5000) != 1) fail("connect");
      Client& client = *static_cast<Client*>(event[0].data.ptr);
      if (std::exchange(client.connected, true)) continue;
      if (::send(client.fd, kEcho.data(), kEcho.size(), MSG_NOSIGNAL) < 0) fail("connect");
      ++connected;
    }
  }

  void move_bulk() {
    const std::uint64_t limit_ns = now_ns() + kBulkLimitNs;
    for (bool done = false; !done;) {
      done = true;
      for (Client& client : clients_) {
        while (client.bulk_to_send > 0) {
          const std::size_t bytes = std::min<std::uint64_t>(client.bulk_to_send, kBlockBytes);
          const ssize_t sent = ::send(client.fd, message_.data(), bytes, MSG_NOSIGNAL);
          if (sent < 0) break;
          client.bulk_to_send -= static_cast<std::size_t>(sent);
        }
        receive(client);
        done = done && client.bulk_to_receive == 0;
      }
      if (!done && now_ns() > limit_ns) std::exit(1);
      wait(now_ns() + kNsPerSecond / 1000);
    }
  }

  void send_messages() {
    const std::uint64_t begin_ns = now_ns();
    const std::uint64_t end_ns = begin_ns + kWarmUpNs + settings_.seconds * kNsPerSecond;
    std::uint64_t due_ns = begin_ns;
    counted_from_ns_ = begin_ns + kWarmUpNs;
    for (std::size_t turn = 0; due_ns < end_ns; ++turn, due_ns += interval_ns_) {
      while (now_ns() < due_ns) wait(due_ns);
      Client& client = clients_[turn % clients_.size()];
      client.sent_ns.push_back(now_ns());
      const ssize_t sent = ::send(client.fd, message_.data(), settings_.bytes, MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(settings_.bytes)) fail("send");
    }
    while (now_ns() < end_ns + kGraceNs && pending() > 0) wait(end_ns + kGraceNs);
    failed_ = pending();
  }

  [[nodiscard]] std::uint64_t pending() const {
    std::uint64_t count = 0;
    for (const Client& client : clients_) count += client.sent_ns.size();
    return count;
  }

  void wait(std::uint64_t until_ns) {
    const std::uint64_t now = now_ns();
    const std::uint64_t left = until_ns > now ? until_ns - now : 0;
    const timespec timeout{.tv_sec = static_cast<time_t>(left / kNsPerSecond),
                           .tv_nsec = static_cast<long>(left % kNsPerSecond)};
    std::array<epoll_event, 64> events;
    const int count =
        ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      receive(*static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr));
    }
  }

  void receive(Client& client) {
    for (;;) {
      const ssize_t got = ::recv(client.fd, buffer_.data(), buffer_.size(), 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) fail("the relay closed");
      const auto bytes = static_cast<std::uint64_t>(got);
      const std::uint64_t of_bulk = std::min(client.bulk_to_receive, bytes);
      client.bulk_to_receive -= of_bulk;
      client.received += bytes - of_bulk;
      for (; client.received >= settings_.bytes; client.received -= settings_.bytes) {
        if (client.sent_ns.empty()) fail("more came back than was sent");
        const std::uint64_t sent_ns = client.sent_ns.front();
        client.sent_ns.pop_front();
        if (sent_ns >= counted_from_ns_) latencies_ns_.push_back(now_ns() - sent_ns);
      }
    }
  }

  const Settings settings_;
  const int epoll_;
  const std::uint64_t interval_ns_;
  const std::string message_;
  std::vector<char> buffer_;
  std::vector<Client> clients_;
  std::uint64_t counted_from_ns_ = 0;
  std::vector<std::uint64_t> latencies_ns_;
  std::uint64_t failed_ = 0;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using weir::bench::parse_number;
  weir::bench::Settings settings;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--port") settings.port = parse_number(value, 65535);
    if (name == "--bytes") settings.bytes = parse_number(value, 65536);
    if (name == "--rate") settings.rate = parse_number(value, 100'000);
    if (name == "--connections") settings.connections = parse_number(value, 1000);
    if (name == "--seconds") settings.seconds = parse_number(value, 60);
    if (name == "--bulk") settings.bulk = parse_number(value, 1U << 30);
  }
  if (argc % 2 == 0 || settings.port == 0 || settings.bytes == 0 || settings.rate == 0 ||
      settings.connections == 0) {
    std::fprintf(stderr,
                 "usage: ping --port N [--bytes B] [--rate R] [--connections C] [--seconds S] "
                 "[--bulk BYTES]\n");
    return 2;
  }
  weir::bench::Ping ping(settings);
  ping.run();
  ping.print();
}
