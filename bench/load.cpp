// load: clients at a constant rate, or as fast as answers come, and how long their answers take.
//
// With --rate the loop is open: request i is due at i / rate, whatever became of those before it,
// and its latency counts from then, not from when a connection was free to send it. So a proxy that
// stands still for 100 ms is seen by every request that was due meanwhile (no coordinated
// omission). Without it each connection asks again when it has its answer. Requests go round the
// connections, one at a time on each.
//
// A request is a GET, with --upload a POST, with --echo a message to an echo (bench/origin.cpp).
// With --busy, --first or --hold every connection that is kept has made one request before the
// clock starts. Requests of the warm-up are in "requests", which CPU time is divided by, but not in
// the latencies. With --hold it stops twice, each time until SIGUSR1: with a line "ready" before
// the clock starts, when "requests" is 0, and at its end, when it has printed and its connections
// are still open. What happens between the two is what is counted. Connections that are opened for
// few requests each come from many addresses of this machine, so that none has to wait for a port.
//
// Prints one JSON object. "late_p99_ms" is how late the program itself came to look at what was
// due, which has to be small beside the latencies for them to mean the proxy.
#include <array>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "answer.h"
#include "figures.h"
#include "load_settings.h"

namespace weir::bench {
namespace {

constexpr std::uint64_t kGraceNs = kNsPerSecond;  // For what is unanswered at the end.
constexpr std::uint64_t kPrimeNs = 10 * kNsPerSecond;
constexpr std::size_t kBlockBytes = 64 * 1024;
constexpr std::uint32_t kShortLived = 10;  // Requests of a connection that is one of very many.
constexpr std::uint32_t kSources = 250;
constexpr std::size_t kStride = 7919;  // Between two paths: no order that a cache could like.
constexpr std::string_view kEcho = "echo\n";

struct Client {
  int fd = -1;
  bool connected = false;
  bool hangup = false;                  // A short read does not mean empty any more.
  std::uint32_t served = 0;             // On this connection.
  std::optional<std::uint64_t> due_ns;  // Of the request on its way.
  std::string_view head;                // What is left to send of it,
  std::uint64_t body = 0;               // and after it.
  Answer answer;
};

// What went wrong with requests that were counted.
struct Errors {
  std::uint64_t connect = 0;  // Refused, or reset while connecting.
  std::uint64_t closed = 0;   // The end or a reset instead of an answer.
  std::uint64_t status = 0;   // Something else than 200.
  std::uint64_t length = 0;   // More than the answer was to have.
  std::uint64_t unanswered = 0;
};

std::vector<std::string> make_heads(const LoadSettings& settings) {
  std::vector<std::string> heads;
  for (std::uint32_t i = 0; i < std::max(settings.spread, 1U); ++i) {
    std::string& head = heads.emplace_back(settings.upload > 0 ? "POST " : "GET ");
    head += settings.path;
    if (settings.spread > 0) head += std::to_string(i);
    head += " HTTP/1.1\r\nHost: load\r\n";
    if (settings.upload > 0) head += "Content-Length: " + std::to_string(settings.upload) + "\r\n";
    if (!settings.keep_alive) head += "Connection: close\r\n";
    head += "\r\n";
  }
  return heads;
}

class Load {
 public:
  Load(const LoadSettings& settings, const Gate& gate)
      : settings_(settings),
        gate_(gate),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        heads_(make_heads(settings)),
        block_(kBlockBytes, 'x'),
        buffer_(kBlockBytes),
        clients_(settings.connections) {}

  void run() {
    if (settings_.primes()) prime();
    if (settings_.hold) gate_.wait("ready");
    requests_ = settings_.hold ? 0 : requests_;
    free_.clear();
    for (std::uint32_t i = 0; i < settings_.busy; ++i) free_.push_back(&clients_[i]);
    measured_ = true;
    begin_ns_ = ended_ns_ = next_due_ns_ = now_ns();
    counted_from_ns_ = begin_ns_ + settings_.warm_up * kNsPerSecond;
    end_ns_ = counted_from_ns_ + settings_.seconds * kNsPerSecond;
    for (std::uint64_t now = begin_ns_; now < end_ns_ + kGraceNs; now = now_ns()) {
      if (settings_.rate > 0) {
        schedule(now);
        start_queued();
      } else {
        start_free(now);
      }
      const bool over = now >= end_ns_ || started_ == settings_.requests;
      if (over && queue_.empty() && busy_ == 0) break;
      if (over) {
        wait(now, end_ns_ + kGraceNs);
      } else {
        wait(now, settings_.rate > 0 ? std::min(next_due_ns_, end_ns_) : end_ns_);
      }
    }
    give_up();
  }

  void print() const {
    const double seconds = static_cast<double>(ended_ns_ - begin_ns_) / kNsPerSecond;
    std::printf("{\"requests\": %ju, \"seconds\": %.3f, \"answered\": %ju, ", number(requests_),
                seconds, number(latencies_.count() - errors_.unanswered));
    for (const auto& [name, share] : {std::pair{"p50", 0.5},
                                      {"p90", 0.9},
                                      {"p99", 0.99},
                                      {"p99_9", 0.999},
                                      {"p99_99", 0.9999},
                                      {"max", 1.0}}) {
      std::printf("\"%s_ms\": %.4f, ", name, latencies_.quantile_ms(share));
    }
    std::printf("\"late_p99_ms\": %.4f, \"errors\": {\"connect\": %ju, \"closed\": %ju, ",
                late_.quantile_ms(0.99), number(errors_.connect), number(errors_.closed));
    std::printf("\"status\": %ju, \"length\": %ju, \"unanswered\": %ju}}\n", number(errors_.status),
                number(errors_.length), number(errors_.unanswered));
  }

 private:
  static std::uintmax_t number(std::uint64_t value) { return value; }

  [[nodiscard]] bool counts(std::uint64_t due_ns) const {
    return measured_ && due_ns >= counted_from_ns_;
  }

  void prime() {
    const std::uint64_t limit_ns = now_ns() + kPrimeNs;
    for (Client& client : clients_) start(client, now_ns());
    while (busy_ > 0 && now_ns() < limit_ns) wait(now_ns(), limit_ns);
    const auto connected = std::ranges::count(clients_, true, &Client::connected);
    if (busy_ == 0 && connected == static_cast<std::ptrdiff_t>(clients_.size())) return;
    std::fprintf(stderr, "load: %td of %zu connections have been answered once\n", connected,
                 clients_.size());
    std::exit(1);
  }

  void wait(std::uint64_t now, std::uint64_t until) {
    const std::uint64_t left = until > now ? until - now : 0;
    const timespec timeout{.tv_sec = static_cast<time_t>(left / kNsPerSecond),
                           .tv_nsec = static_cast<long>(left % kNsPerSecond)};
    std::array<epoll_event, 64> events;
    const int count =
        ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      on_event(*static_cast<Client*>(event.data.ptr), event.events);
    }
  }

  // --- What is due -------------------------------------------------------------------------------

  void schedule(std::uint64_t now) {
    while (next_due_ns_ <= now && next_due_ns_ < end_ns_ && started_ < settings_.requests) {
      queue_.push_back(next_due_ns_);
      if (counts(next_due_ns_)) late_.record(now - next_due_ns_);
      next_due_ns_ = begin_ns_ + ++started_ * kNsPerSecond / settings_.rate;
    }
  }

  void start_free(std::uint64_t now) {
    for (; !free_.empty() && now < end_ns_ && started_ < settings_.requests; ++started_) {
      Client& client = *free_.front();
      free_.pop_front();
      start(client, now_ns());
    }
  }

  void start_queued() {
    while (!queue_.empty() && !free_.empty()) {
      Client& client = *free_.front();
      free_.pop_front();
      const std::uint64_t due_ns = queue_.front();
      queue_.pop_front();
      start(client, due_ns);
    }
  }

  // --- One request -------------------------------------------------------------------------------

  void start(Client& client, std::uint64_t due_ns) {
    client.due_ns = due_ns;
    ++busy_;
    prepare(client);
    if (client.connected) return send(client);
    const bool many = settings_.per_connection <= kShortLived;
    client.fd = begin_connect(static_cast<std::uint16_t>(settings_.port), 0,
                              many ? opened_ % kSources + 1 : 0);
    ++opened_;
    epoll_add(epoll_, client.fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &client);
  }

  void prepare(Client& client) {
    client.answer = Answer{};
    if (settings_.echo > 0) {
      client.head = client.connected ? "" : kEcho;
      client.body = !measured_ && settings_.first > 0 ? settings_.first : settings_.echo;
      client.answer.expect(client.body);
    } else {
      client.head = heads_[next_head_];
      client.body = settings_.upload;
      next_head_ = (next_head_ + kStride) % heads_.size();
    }
  }

  // As much as the socket takes.
  void send(Client& client) {
    while (!client.head.empty() || client.body > 0) {
      const bool head = !client.head.empty();
      const std::size_t size =
          head ? client.head.size() : std::min<std::uint64_t>(client.body, kBlockBytes);
      const int flags = MSG_NOSIGNAL | (head && client.body > 0 ? MSG_MORE : 0);
      const ssize_t sent =
          ::send(client.fd, head ? client.head.data() : block_.data(), size, flags);
      if (sent < 0 && errno == EAGAIN) return;
      if (sent < 0) return fail_request(client, errors_.closed);
      const auto taken = static_cast<std::size_t>(sent);
      if (head) {
        client.head.remove_prefix(taken);
      } else {
        client.body -= taken;
      }
    }
  }

  void on_event(Client& client, std::uint32_t events) {
    if ((events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0) client.hangup = true;
    if (!client.connected) {
      int error = 0;
      socklen_t size = sizeof(error);
      ::getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return fail_request(client, errors_.connect);
      client.connected = true;
    }
    if (client.due_ns) send(client);
    if (client.connected) receive(client);
  }

  void receive(Client& client) {
    bool more = true;  // After a short read an event tells.
    while (more && client.connected) {
      const int flags = client.answer.droppable() ? MSG_TRUNC : 0;
      const ssize_t got = ::recv(client.fd, buffer_.data(), kBlockBytes, flags);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return fail_request(client, errors_.closed);
      const auto taken = static_cast<std::size_t>(got);
      more = taken == kBlockBytes || client.hangup;
      if (!client.due_ns) return fail_unasked(client);
      switch (client.answer.take({buffer_.data(), taken})) {
        case Answer::Progress::more: break;
        case Answer::Progress::complete: answered(client); break;
        case Answer::Progress::bad_status: return fail_request(client, errors_.status);
        case Answer::Progress::too_long: return fail_request(client, errors_.length);
      }
    }
  }

  void answered(Client& client) {
    ended_ns_ = now_ns();
    ++requests_;
    if (counts(*client.due_ns)) latencies_.record(ended_ns_ - *client.due_ns);
    if (client.answer.last() || ++client.served >= settings_.per_connection) return close(client);
    release(client);
  }

  void fail_request(Client& client, std::uint64_t& kind) {
    if (client.due_ns && counts(*client.due_ns)) ++kind;  // Else an idle connection ended.
    close(client);
  }

  void fail_unasked(Client& client) {
    ++errors_.length;
    close(client);
  }

  void close(Client& client) {
    ::close(client.fd);
    release(client);
    client = Client{};
  }

  void release(Client& client) {
    if (!client.due_ns) return;
    --busy_;
    client.due_ns.reset();
    free_.push_back(&client);
  }

  // What has no answer yet has waited at least until now.
  void give_up() {
    for (const Client& client : clients_) {
      if (client.due_ns) queue_.push_back(*client.due_ns);
    }
    for (const std::uint64_t due_ns : queue_) {
      if (!counts(due_ns)) continue;
      ++errors_.unanswered;
      latencies_.record(now_ns() - due_ns);
    }
  }

  const LoadSettings settings_;
  const Gate& gate_;
  const int epoll_;
  const std::vector<std::string> heads_;
  const std::string block_;
  std::vector<char> buffer_;
  std::vector<Client> clients_;
  std::deque<Client*> free_;         // Without a request, longest first.
  std::deque<std::uint64_t> queue_;  // Due times of requests that no connection is free for.
  bool measured_ = false;            // Primed: the clock runs.
  std::uint64_t begin_ns_ = 0;
  std::uint64_t counted_from_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  std::uint64_t ended_ns_ = 0;  // The last answer.
  std::uint64_t next_due_ns_ = 0;
  std::uint64_t started_ = 0;
  std::uint64_t requests_ = 0;
  std::uint32_t opened_ = 0;
  std::size_t next_head_ = 0;
  std::size_t busy_ = 0;
  Latencies latencies_;
  Latencies late_;
  Errors errors_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::raise_descriptor_limit();
  const auto settings = weir::bench::parse_load_settings(argc, argv);
  const weir::bench::Gate gate;
  weir::bench::Load load(settings, gate);
  load.run();
  load.print();
  if (settings.hold) gate.wait("");
}
