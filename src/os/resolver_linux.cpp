#include "os/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <span>
#include <utility>

#include "os/os.h"
#include "os/process.h"

namespace weir::os {
namespace {

constexpr int kClassIn = 1;
constexpr int kTypeCname = 5;
constexpr int kTypeSrv = 33;
constexpr std::uint32_t kNoTtl = std::numeric_limits<std::uint32_t>::max();

LookupStatus status_of(int ares_status) {
  switch (ares_status) {
    case ARES_SUCCESS: return LookupStatus::ok;
    case ARES_ENODATA: return LookupStatus::no_data;
    case ARES_ENOTFOUND: return LookupStatus::no_such_name;
    case ARES_EFORMERR:
    case ARES_EBADNAME:
    case ARES_EBADRESP: return LookupStatus::malformed;
    case ARES_ETIMEOUT: return LookupStatus::timed_out;
    default: return LookupStatus::server_failure;
  }
}

// A lifetime with the highest bit set means 0 (RFC 2181 8).
std::uint32_t lifetime(std::uint32_t ttl_s) { return ttl_s > 0x7fff'ffff ? 0 : ttl_s; }

// Reads a DNS message (RFC 1035 4.1) far enough to find what c-ares does not tell of SRV records.
class MessageReader {
 public:
  explicit MessageReader(std::span<const unsigned char> message) : message_(message) {}

  // The shortest lifetime of the answer's SRV and CNAME records; 0 when it cannot be read.
  [[nodiscard]] std::uint32_t shortest_ttl() {
    const std::uint32_t questions = number(4, 2);
    const std::uint32_t answers = number(6, 2);
    at_ = 12;
    for (std::uint32_t i = 0; i < questions && sound(); ++i) {
      skip_name();
      at_ += 4;
    }
    std::uint32_t shortest = kNoTtl;
    for (std::uint32_t i = 0; i < answers && sound(); ++i) {
      skip_name();
      const std::uint32_t type = number(at_, 2);
      if (type == kTypeSrv || type == kTypeCname) {
        shortest = std::min(shortest, lifetime(number(at_ + 4, 4)));
      }
      at_ += 10 + number(at_ + 8, 2);
    }
    return sound() ? shortest : 0;
  }

 private:
  [[nodiscard]] bool sound() const { return at_ <= message_.size(); }
  [[nodiscard]] std::uint32_t number(std::size_t at, std::size_t size) const {
    if (at + size > message_.size()) return 0;
    std::uint32_t value = 0;
    for (const unsigned char byte : message_.subspan(at, size)) value = value << 8 | byte;
    return value;
  }
  void skip_name() {
    while (at_ < message_.size()) {
      const std::size_t length = message_[at_];
      at_ += length >= 0xc0 ? 2 : length + 1;  // RFC 1035 4.1.4: a pointer ends the name.
      if (length == 0 || length >= 0xc0) return;
    }
  }

  std::span<const unsigned char> message_;
  std::size_t at_ = 0;
};

// The literal, or nothing for what nobody can connect to: an unspecified address would be this
// machine.
std::optional<std::string> literal(int family, const void* address) {
  Peer peer;
  peer.family = family == AF_INET ? Peer::Family::ipv4 : Peer::Family::ipv6;
  std::memcpy(peer.ip.data(), address, family == AF_INET ? 4 : 16);
  if (peer.ip == decltype(peer.ip){}) return std::nullopt;
  std::array<char, Peer::kTextMax> text;
  return std::string(peer.text(text.data()));
}

// One question under way: its channel, its sockets, and what is known so far.
class Lookup {
 public:
  Lookup(Question question, int timeout_ms) {
    answer_.question = std::move(question);
    const Question& asked = answer_.question;
    if (!open(timeout_ms)) {
      worst_ = LookupStatus::server_failure;
    } else if (asked.srv) {
      ++pending_;
      ares_query(channel_, asked.name.c_str(), kClassIn, kTypeSrv, srv_answered, this);
    } else {
      look_up({0, 0, 0, {}, asked.name});
    }
  }
  ~Lookup() {
    if (channel_ != nullptr) ares_destroy(channel_);  // Runs the callbacks of what is pending.
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  [[nodiscard]] bool finished() const { return pending_ == 0; }
  [[nodiscard]] const std::vector<pollfd>& sockets() const { return sockets_; }
  // Until c-ares has to look at its clock again.
  [[nodiscard]] int patience_ms() const {
    timeval room{};
    const timeval* left = ares_timeout(channel_, nullptr, &room);
    return left == nullptr ? -1 : static_cast<int>(left->tv_sec * 1000 + left->tv_usec / 1000 + 1);
  }
  // `polled`: this lookup's sockets as poll() left them.
  void proceed(std::span<const pollfd> polled) {
    for (const pollfd& socket : polled) {
      const bool in = (socket.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
      const bool out = (socket.revents & POLLOUT) != 0;
      if (!in && !out) continue;
      ares_process_fd(channel_, in ? socket.fd : ARES_SOCKET_BAD,
                      out ? socket.fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  }

  [[nodiscard]] Answer take_answer() {
    std::vector<ResolvedAddress>& all = answer_.addresses;
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    if (all.empty()) {
      answer_.status = std::max(worst_, LookupStatus::no_data);
      answer_.unknown.clear();
    } else {
      answer_.status = LookupStatus::ok;
      answer_.ttl_s = ttl_s_;
    }
    return std::move(answer_);
  }

 private:
  struct Part {
    Lookup* lookup = nullptr;
    ResolvedAddress known;  // All but the address.
    bool ipv6 = false;
  };

  [[nodiscard]] bool open(int timeout_ms) {
    ares_options options{};
    options.flags = ARES_FLAG_NOALIASES;
    options.timeout = timeout_ms;
    options.tries = 2;
    options.sock_state_cb = socket_changed;
    options.sock_state_cb_data = this;
    int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    // SRV names and their targets are whole names: the system's search list is not for them.
    if (answer_.question.srv) given |= ARES_OPT_DOMAINS;
    if (ares_init_options(&channel_, &options, given) != ARES_SUCCESS) return false;
    const std::string& servers = answer_.question.servers;
    return servers.empty() || ares_set_servers_ports_csv(channel_, servers.c_str()) == ARES_SUCCESS;
  }

  // The hosts file first, and if it has the name in either family, only that: a name of this
  // machine must not wait for name servers that have never heard of it.
  void look_up(ResolvedAddress known) {
    const bool in_file = look_into_hosts(known, AF_INET) | look_into_hosts(known, AF_INET6);
    if (in_file) return;
    // One query per family, so that it is known which of them failed.
    for (const bool ipv6 : {false, true}) {
      const ares_addrinfo_hints hints{ARES_AI_NOSORT, ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0};
      Part& part = parts_.emplace_back(Part{this, known, ipv6});
      ++pending_;
      ares_getaddrinfo(channel_, known.target.c_str(), nullptr, &hints, part_answered, &part);
    }
  }

  [[nodiscard]] bool look_into_hosts(const ResolvedAddress& known, int family) {
    hostent* found = nullptr;
    if (ares_gethostbyname_file(channel_, known.target.c_str(), family, &found) != ARES_SUCCESS) {
      return false;
    }
    for (char** address = found->h_addr_list; *address != nullptr; ++address) {
      add(known, found->h_addrtype, *address);
    }
    ares_free_hostent(found);
    limit_lifetime(0);
    return true;
  }

  void add(ResolvedAddress known, int family, const void* address) {
    std::optional<std::string> ip = literal(family, address);
    if (!ip) return;
    known.ip = std::move(*ip);
    answer_.addresses.push_back(std::move(known));
  }

  void limit_lifetime(std::uint32_t ttl_s) { ttl_s_ = std::min(ttl_s_, lifetime(ttl_s)); }
  void failed(LookupStatus status) { worst_ = std::max(worst_, status); }

  void take(const Part& part, int status, const ares_addrinfo* info) {
    if (status != ARES_SUCCESS) {
      const LookupStatus why = status_of(status);
      failed(why);
      if (why > LookupStatus::no_such_name) {
        answer_.unknown.push_back({part.known.target, part.ipv6});
      }
      return;
    }
    for (const auto* alias = info->cnames; alias != nullptr; alias = alias->next) {
      limit_lifetime(static_cast<std::uint32_t>(alias->ttl));
    }
    for (const auto* node = info->nodes; node != nullptr; node = node->ai_next) {
      limit_lifetime(static_cast<std::uint32_t>(node->ai_ttl));
      if (node->ai_family == AF_INET) {
        add(part.known, AF_INET, &reinterpret_cast<const sockaddr_in*>(node->ai_addr)->sin_addr);
      } else if (node->ai_family == AF_INET6) {
        add(part.known, AF_INET6, &reinterpret_cast<const sockaddr_in6*>(node->ai_addr)->sin6_addr);
      }
    }
  }

  void take_srv(std::span<const unsigned char> message) {
    ares_srv_reply* records = nullptr;
    const int status =
        ares_parse_srv_reply(message.data(), static_cast<int>(message.size()), &records);
    if (status != ARES_SUCCESS) return failed(status_of(status));
    limit_lifetime(MessageReader(message).shortest_ttl());
    std::size_t targets = 0;
    for (const auto* record = records; record != nullptr; record = record->next) {
      const std::string target = record->host;
      // RFC 2782: the root as target says that there is no such service; port 0 says no more.
      if (target.empty() || target == "." || record->port == 0) continue;
      if (++targets > Resolver::kTargetsMax) break;
      look_up({record->priority, record->weight, record->port, {}, target});
    }
    ares_free_data(records);
  }

  // The callbacks of c-ares. When the channel is destroyed nobody wants to know any more.
  static void socket_changed(void* self, ares_socket_t fd, int readable, int writable) {
    auto& sockets = static_cast<Lookup*>(self)->sockets_;
    std::erase_if(sockets, [fd](const pollfd& socket) { return socket.fd == fd; });
    const int events = (readable != 0 ? POLLIN : 0) | (writable != 0 ? POLLOUT : 0);
    if (events != 0) sockets.push_back({fd, static_cast<short>(events), 0});
  }
  static void part_answered(void* part, int status, int, ares_addrinfo* info) {
    const Part& answered = *static_cast<const Part*>(part);
    if (status != ARES_EDESTRUCTION) {
      answered.lookup->take(answered, status, info);
      --answered.lookup->pending_;
    }
    if (info != nullptr) ares_freeaddrinfo(info);
  }
  static void srv_answered(void* self, int status, int, unsigned char* data, int size) {
    if (status == ARES_EDESTRUCTION) return;
    Lookup& lookup = *static_cast<Lookup*>(self);
    if (status == ARES_SUCCESS) {
      lookup.take_srv({data, static_cast<std::size_t>(size)});
    } else {
      lookup.failed(status_of(status));
    }
    --lookup.pending_;
  }

  Answer answer_;
  LookupStatus worst_ = LookupStatus::ok;
  std::uint32_t ttl_s_ = kNoTtl;
  int pending_ = 0;
  std::deque<Part> parts_;  // c-ares holds their addresses.
  std::vector<pollfd> sockets_;
  ares_channel channel_ = nullptr;
};

}  // namespace

// What the two threads share, and the resolver thread's loop.
class Resolver::Work {
 public:
  explicit Work(int timeout_ms)
      : timeout_ms_(timeout_ms), thread_(start_thread("weir-names", -1, [this] { run(); })) {}
  ~Work() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wakeup_notify(asked_);
    thread_.join();
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  void ask(Question question) {
    {
      const std::lock_guard lock(mutex_);
      questions_.push_back(std::move(question));
    }
    wakeup_notify(asked_);
  }
  [[nodiscard]] const Fd& answered() const { return answered_; }
  [[nodiscard]] std::optional<Answer> next_answer() {
    const std::lock_guard lock(mutex_);
    if (answers_.empty()) {
      wakeup_clear(answered_);
      return std::nullopt;
    }
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    return answer;
  }

 private:
  void run() {
    while (begin_lookups()) {
      wait_and_proceed();
      end_lookups();
    }
    lookups_.clear();
  }

  // False when the thread is to end.
  [[nodiscard]] bool begin_lookups() {
    while (true) {
      Question question;
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) return false;
        if (questions_.empty() || lookups_.size() >= kLookupsMax) return true;
        question = std::move(questions_.front());
        questions_.pop_front();
      }
      lookups_.push_back(std::make_unique<Lookup>(std::move(question), timeout_ms_));
    }
  }

  void wait_and_proceed() {
    polled_.assign(1, {asked_.get(), POLLIN, 0});
    int patience_ms = -1;
    for (const auto& lookup : lookups_) {
      polled_.insert(polled_.end(), lookup->sockets().begin(), lookup->sockets().end());
      const int its_ms = lookup->finished() ? 0 : lookup->patience_ms();
      if (its_ms >= 0) patience_ms = patience_ms < 0 ? its_ms : std::min(patience_ms, its_ms);
    }
    if (::poll(polled_.data(), polled_.size(), patience_ms) < 0) return;
    if (polled_[0].revents != 0) wakeup_clear(asked_);
    std::span<const pollfd> rest = std::span(polled_).subspan(1);
    for (const auto& lookup : lookups_) {
      const std::size_t its = lookup->sockets().size();
      if (!lookup->finished()) lookup->proceed(rest.first(its));
      rest = rest.subspan(its);
    }
  }

  void end_lookups() {
    const std::lock_guard lock(mutex_);
    for (const auto& lookup : lookups_) {
      if (!lookup->finished()) continue;
      answers_.push_back(lookup->take_answer());
      wakeup_notify(answered_);
    }
    std::erase_if(lookups_, [](const auto& lookup) { return lookup->finished(); });
  }

  const int timeout_ms_;
  const Fd asked_ = wakeup_create();
  const Fd answered_ = wakeup_create();
  std::mutex mutex_;  // Guards the two queues and the wish to stop.
  std::deque<Question> questions_;
  std::deque<Answer> answers_;
  bool stopping_ = false;
  // The resolver thread's own.
  std::vector<std::unique_ptr<Lookup>> lookups_;
  std::vector<pollfd> polled_;
  Thread thread_;  // Last: it begins when all the rest is there.
};

Resolver::Resolver(int timeout_ms) : work_(std::make_unique<Work>(timeout_ms)) {}
Resolver::~Resolver() = default;
void Resolver::ask(Question question) { work_->ask(std::move(question)); }
const Fd& Resolver::answered() const { return work_->answered(); }
std::optional<Answer> Resolver::next_answer() { return work_->next_answer(); }

}  // namespace weir::os
