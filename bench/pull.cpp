// pull: clients that download as fast as they can, or so many bytes a second.
//
//   pull --port N [--path PATH] [--connections C] [--seconds S] [--pace BYTES] [--hold 1]
//
// Every keep-alive connection asks again when it has its answer, until the time is over; what is
// then under way is still received, so that no work of the proxy goes droppable (a paced client
// breaks off instead). Bodies with a length are discarded in the kernel, chunked ones are read
// through their framing. Prints one JSON object. With --hold it stops twice, each time until
// SIGUSR1: with a line "ready" when every connection has had one answer, which does not count, and
// when it has printed and its connections are still open.
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "answer.h"
#include "figures.h"
#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::uint64_t kGraceNs = 20 * kNsPerSecond;  // For what is under way at the end.
constexpr std::uint64_t kTickNs = kNsPerSecond / 100;  // Of paced clients.
constexpr int kPacedReceiveBytes = 64 * 1024;
constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::size_t kHeadReadBytes = 4 * 1024;
constexpr std::uint64_t kEndless = UINT64_MAX;

struct Settings {
  std::uint32_t port = 0;
  std::string path = "/";
  std::uint32_t connections = 16;
  std::uint32_t seconds = 3;
  std::uint32_t pace = 0;
  std::uint32_t hold = 0;
};

struct Client {
  int fd = -1;
  bool connected = false;
  bool busy = false;           // A request is on its way,
  std::uint64_t begin_ns = 0;  // since then.
  Answer answer;
};

class Pull {
 public:
  Pull(const Settings& settings, const Gate& gate)
      : settings_(settings),
        gate_(gate),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        request_("GET " + settings.path + " HTTP/1.1\r\nHost: pull\r\n\r\n"),
        clients_(settings.connections),
        buffer_(kBufferBytes) {}

  void run() {
    for (Client& client : clients_) {
      client.fd = begin_connect(static_cast<std::uint16_t>(settings_.port),
                                settings_.pace > 0 ? kPacedReceiveBytes : 0);
      epoll_add(epoll_, client.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &client);
    }
    if (settings_.hold > 0) {
      prime();
      gate_.wait("ready");
    }
    begin_ns_ = next_tick_ns_ = now_ns();
    end_ns_ = begin_ns_ + settings_.seconds * kNsPerSecond;
    for (Client& client : clients_) {
      if (client.connected) ask(client);
    }
    const std::uint64_t limit_ns = settings_.pace > 0 ? end_ns_ : end_ns_ + kGraceNs;
    do {
      wait();
    } while (now_ns() < end_ns_ || (busy_ > 0 && now_ns() < limit_ns));
  }

  void print() {
    const double seconds = static_cast<double>(now_ns() - begin_ns_) / kNsPerSecond;
    std::printf("{\"requests\": %ju, \"bytes\": %ju, \"seconds\": %.3f, \"failed\": %ju, ",
                static_cast<std::uintmax_t>(latencies_.count()),
                static_cast<std::uintmax_t>(bytes_), seconds,
                static_cast<std::uintmax_t>(failed_ + (settings_.pace > 0 ? 0 : busy_)));
    std::printf("\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
                latencies_.quantile_ms(0.5), latencies_.quantile_ms(0.99),
                latencies_.quantile_ms(1));
  }

 private:
  // One answer on every connection: there is no end yet that would let ask() go on.
  void prime() {
    const std::uint64_t limit_ns = now_ns() + kGraceNs;
    while (latencies_.count() < clients_.size() && failed_ == 0 && now_ns() < limit_ns) wait();
    failed_ = clients_.size() - latencies_.count();
    latencies_ = Latencies{};
    bytes_ = 0;
  }

  void wait() {
    std::array<epoll_event, 64> events;
    const timespec timeout{.tv_sec = 0, .tv_nsec = kTickNs};
    const int count =
        ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      Client& client = *static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
      if (!client.connected) on_connected(client);
      if (settings_.pace == 0) receive(client, kEndless);
    }
    if (settings_.pace == 0) return;
    for (; next_tick_ns_ <= now_ns(); next_tick_ns_ += kTickNs) {
      for (Client& client : clients_) receive(client, settings_.pace / (kNsPerSecond / kTickNs));
    }
  }

  void on_connected(Client& client) {
    int error = 0;
    socklen_t size = sizeof(error);
    ::getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return give_up(client);
    client.connected = true;
    ask(client);
  }

  void ask(Client& client) {
    client.begin_ns = now_ns();
    client.busy = true;
    ++busy_;
    if (::send(client.fd, request_.data(), request_.size(), MSG_NOSIGNAL) < 0) give_up(client);
  }

  void receive(Client& client, std::uint64_t budget) {
    while (client.fd >= 0 && client.connected && budget > 0) {
      const std::optional<std::uint64_t> droppable = client.answer.droppable();
      const std::size_t unframed = client.answer.in_head() ? kHeadReadBytes : buffer_.size();
      const std::size_t room = std::min(budget, droppable.value_or(unframed));
      // With MSG_TRUNC a stream's bytes are dropped and the buffer is not touched.
      const ssize_t got = ::recv(client.fd, buffer_.data(), room, droppable ? MSG_TRUNC : 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return give_up(client);
      const auto taken = static_cast<std::size_t>(got);
      budget -= taken;
      bytes_ += taken;
      take(client, {buffer_.data(), taken});
    }
  }

  void take(Client& client, std::string_view bytes) {
    switch (client.answer.take(bytes)) {
      case Answer::Progress::more: break;
      case Answer::Progress::complete: answered(client); break;
      case Answer::Progress::bad_status:
      case Answer::Progress::too_long: give_up(client); break;
    }
  }

  void answered(Client& client) {
    latencies_.record(now_ns() - client.begin_ns);
    client.answer = Answer{};
    client.busy = false;
    --busy_;
    if (now_ns() < end_ns_) ask(client);
  }

  void give_up(Client& client) {
    if (client.busy) --busy_;
    if (client.busy || !client.connected) ++failed_;  // Else an idle connection ended.
    ::close(client.fd);
    client = Client{};
  }

  const Settings settings_;
  const Gate& gate_;
  const int epoll_;
  const std::string request_;
  std::uint64_t begin_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  std::uint64_t next_tick_ns_ = 0;
  std::vector<Client> clients_;
  std::vector<char> buffer_;
  Latencies latencies_;
  std::uint64_t bytes_ = 0;
  std::uint64_t failed_ = 0;
  std::size_t busy_ = 0;
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
    if (name == "--path") settings.path = value;
    if (name == "--connections") settings.connections = parse_number(value, 1000);
    if (name == "--seconds") settings.seconds = parse_number(value, 60);
    if (name == "--pace") settings.pace = parse_number(value, 1U << 30);
    if (name == "--hold") settings.hold = parse_number(value, 1);
  }
  if (argc % 2 == 0 || settings.port == 0) {
    std::fprintf(stderr,
                 "usage: pull --port N [--path PATH] [--connections C] [--seconds S] "
                 "[--pace BYTES] [--hold 1]\n");
    return 2;
  }
  const weir::bench::Gate gate;
  weir::bench::Pull pull(settings, gate);
  pull.run();
  pull.print();
  if (settings.hold > 0) gate.wait("");
}
