// healthy: well-behaved clients at a fixed rate, and how long their answers take.
//
//   healthy --port N [--rate R] [--connections C] [--seconds S] [--body BYTES]
//
// Open loop: request i is due at i / rate, whatever became of those before it, and its latency
// counts from then. So a proxy that stands still for 100 ms is seen by every request that was due
// meanwhile. Requests go round the keep-alive connections; each is given up after 50 requests, so
// that new clients are measured too, connecting included. The first second is not counted. Prints
// one JSON object; `late_p99_ms` is how late the program itself came to send, which has to be small
// beside the latencies for them to mean the proxy.
#include <array>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "figures.h"
#include "socket.h"

namespace weir::bench {
namespace {

constexpr std::uint32_t kRequestsPerConnection = 50;
constexpr std::uint64_t kWarmUpNs = kNsPerSecond;
constexpr std::uint64_t kGraceNs = kNsPerSecond;  // For what is unanswered at the end.
constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: healthy\r\n\r\n";

struct Settings {
  std::uint32_t port = 0;
  std::uint32_t rate = 500;
  std::uint32_t connections = 16;
  std::uint32_t seconds = 3;
  std::uint32_t body = 100;
};

struct Client {
  int fd = -1;
  bool connected = false;
  std::uint32_t served = 0;
  std::optional<std::uint64_t> due_ns;  // Of the request on its way.
  std::string in;
};

// What went wrong with requests that were counted.
struct Errors {
  std::uint64_t connect = 0;  // Refused, or reset while connecting.
  std::uint64_t closed = 0;   // The end or a reset instead of an answer.
  std::uint64_t status = 0;   // Something else than 200.
  std::uint64_t unanswered = 0;
};

class Healthy {
 public:
  explicit Healthy(const Settings& settings)
      : settings_(settings),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        interval_ns_(kNsPerSecond / settings.rate),
        begin_ns_(now_ns()),
        end_ns_(begin_ns_ + kWarmUpNs + settings.seconds * kNsPerSecond),
        next_due_ns_(begin_ns_),
        clients_(settings.connections) {}

  void run() {
    for (std::uint64_t now = begin_ns_; now < end_ns_ + kGraceNs; now = now_ns()) {
      for (; next_due_ns_ <= now && next_due_ns_ < end_ns_; next_due_ns_ += interval_ns_) {
        queue_.push_back(next_due_ns_);
        if (counts(next_due_ns_)) late_ns_.push_back(now - next_due_ns_);
      }
      send_queued();
      if (next_due_ns_ >= end_ns_ && queue_.empty() && busy_ == 0) break;
      wait(now);
    }
    give_up();
  }

  void print() {
    const std::size_t answered = latencies_ns_.size() - errors_.unanswered;
    std::printf("{\"answered\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, ",
                answered, percentile_ms(latencies_ns_, 0.5), percentile_ms(latencies_ns_, 0.99),
                percentile_ms(latencies_ns_, 1));
    std::printf("\"late_p99_ms\": %.3f, ", percentile_ms(late_ns_, 0.99));
    std::printf("\"errors\": {\"connect\": %ju, \"closed\": %ju, \"status\": %ju, ",
                static_cast<std::uintmax_t>(errors_.connect),
                static_cast<std::uintmax_t>(errors_.closed),
                static_cast<std::uintmax_t>(errors_.status));
    std::printf("\"unanswered\": %ju}}\n", static_cast<std::uintmax_t>(errors_.unanswered));
  }

 private:
  [[nodiscard]] bool counts(std::uint64_t due_ns) const { return due_ns >= begin_ns_ + kWarmUpNs; }

  void wait(std::uint64_t now) {
    const std::uint64_t until = next_due_ns_ < end_ns_ ? next_due_ns_ : end_ns_ + kGraceNs;
    const std::uint64_t left = until > now ? until - now : 0;
    const timespec timeout{.tv_sec = static_cast<time_t>(left / kNsPerSecond),
                           .tv_nsec = static_cast<long>(left % kNsPerSecond)};
    std::array<epoll_event, 64> events;
    const int count =
        ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      on_event(*static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr));
    }
  }

  // Each waiting request goes to the next connection that has none.
  void send_queued() {
    for (std::size_t looked = 0; looked < clients_.size() && !queue_.empty(); ++looked) {
      Client& client = clients_[turn_++ % clients_.size()];
      if (client.due_ns) continue;
      client.due_ns = queue_.front();
      queue_.pop_front();
      ++busy_;
      looked = 0;
      if (client.connected) {
        send(client);
      } else {
        client.fd = begin_connect(static_cast<std::uint16_t>(settings_.port));
        epoll_add(epoll_, client.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &client);
      }
    }
  }

  void send(Client& client) {
    const ssize_t sent = ::send(client.fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(kRequest.size())) fail_request(client, errors_.closed);
  }

  void on_event(Client& client) {
    if (!client.connected) {
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return fail_request(client, errors_.connect);
      client.connected = true;
      send(client);
    }
    if (client.connected) receive(client);
  }

  void receive(Client& client) {
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t got = ::recv(client.fd, buffer.data(), buffer.size(), 0);
      if (got < 0 && errno == EAGAIN) break;
      if (got <= 0) return fail_request(client, errors_.closed);
      client.in.append(buffer.data(), static_cast<std::size_t>(got));
    }
    const std::size_t head_end = client.in.find("\r\n\r\n");
    if (head_end == std::string::npos) return;
    if (!client.in.starts_with("HTTP/1.1 200 ")) return fail_request(client, errors_.status);
    if (client.in.size() >= head_end + 4 + settings_.body) answered(client);
  }

  void answered(Client& client) {
    if (client.due_ns && counts(*client.due_ns)) latencies_ns_.push_back(now_ns() - *client.due_ns);
    const bool last = client.in.find("onnection: close\r\n") != std::string::npos;
    client.in.clear();
    if (last || ++client.served == kRequestsPerConnection) return close(client);
    release(client);
  }

  void fail_request(Client& client, std::uint64_t& kind) {
    if (client.due_ns && counts(*client.due_ns)) ++kind;  // Else an idle connection ended.
    close(client);
  }

  void close(Client& client) {
    ::close(client.fd);
    release(client);
    client = Client{};
  }

  void release(Client& client) {
    if (client.due_ns) --busy_;
    client.due_ns.reset();
  }

  // What has no answer yet has waited at least until now.
  void give_up() {
    for (const Client& client : clients_) {
      if (client.due_ns) queue_.push_back(*client.due_ns);
    }
    for (const std::uint64_t due_ns : queue_) {
      if (!counts(due_ns)) continue;
      ++errors_.unanswered;
      latencies_ns_.push_back(now_ns() - due_ns);
    }
  }

  const Settings settings_;
  const int epoll_;
  const std::uint64_t interval_ns_;
  const std::uint64_t begin_ns_;
  const std::uint64_t end_ns_;
  std::uint64_t next_due_ns_;
  std::vector<Client> clients_;
  std::deque<std::uint64_t> queue_;  // Due times of requests that no connection is free for.
  std::size_t turn_ = 0;
  std::size_t busy_ = 0;
  std::vector<std::uint64_t> latencies_ns_;
  std::vector<std::uint64_t> late_ns_;
  Errors errors_;
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
    if (name == "--rate") settings.rate = parse_number(value, 10'000);
    if (name == "--connections") settings.connections = parse_number(value, 1000);
    if (name == "--seconds") settings.seconds = parse_number(value, 60);
    if (name == "--body") settings.body = parse_number(value, 65536);
  }
  if (argc % 2 == 0 || settings.port == 0 || settings.rate == 0 || settings.connections == 0) {
    std::fprintf(stderr,
                 "usage: healthy --port N [--rate R] [--connections C] [--seconds S] "
                 "[--body BYTES]\n");
    return 2;
  }
  weir::bench::Healthy healthy(settings);
  healthy.run();
  healthy.print();
}
