// The few socket calls that the programs of this folder share. They do not use weir's os layer, so
// that a slip there cannot make weir and what it is measured with slow together.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace weir::bench {

[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// A decimal number within [0, max], or the end of the program.
inline std::uint32_t parse_number(std::string_view text, std::uint32_t max) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > max) {
    std::fprintf(stderr, "not a number up to %u: %.*s\n", max, static_cast<int>(text.size()),
                 text.data());
    std::exit(2);
  }
  return value;
}

struct RelaySettings {
  std::uint16_t own = 0;
  std::uint16_t origin = 0;
  std::uint32_t workers = 1;
  bool defer = false;  // The kernel keeps a connection until its first bytes are there.
};

// `NAME [--defer] [--workers N] [--port N] ORIGIN_PORT`
inline RelaySettings parse_relay_settings(const char* name, int argc, char** argv) {
  RelaySettings settings;
  int at = 1;
  for (; at + 1 < argc; ++at) {
    const std::string_view option = argv[at];
    if (option == "--defer") {
      settings.defer = true;
    } else if (option == "--workers" && at + 2 < argc) {
      settings.workers = parse_number(argv[++at], 64);
    } else if (option == "--port" && at + 2 < argc) {
      settings.own = static_cast<std::uint16_t>(parse_number(argv[++at], 65535));
    } else {
      break;
    }
  }
  if (at + 1 != argc) {
    std::fprintf(stderr, "usage: %s [--defer] [--workers N] [--port N] ORIGIN_PORT\n", name);
    std::exit(2);
  }
  settings.origin = static_cast<std::uint16_t>(parse_number(argv[at], 65535));
  return settings;
}

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

inline int listen_on(const sockaddr_in& address, bool among_several = false) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (among_several) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fail("bind");
  if (::listen(fd, 1024) != 0) fail("listen");
  return fd;
}

inline sockaddr_in local_address(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
  return address;
}

// Prints "port N": whoever started this program waits for it.
inline void announce(const sockaddr_in& address) {
  std::printf("port %u\n", ntohs(address.sin_port));
  std::fflush(stdout);
}

// Listens on 127.0.0.1 and says so; 0 lets the kernel choose.
inline int listen_and_announce(std::uint16_t port) {
  const int fd = listen_on(loopback(port));
  announce(local_address(fd));
  return fd;
}

// With several workers each returns from here, in a process and with a listener of its own, among
// which the kernel shares out connections.
inline int listen_and_announce(const RelaySettings& settings) {
  const bool several = settings.workers > 1;
  int fd = listen_on(loopback(settings.own), several);
  const sockaddr_in address = local_address(fd);
  bool first = true;
  for (std::uint32_t i = 1; first && i < settings.workers; ++i) {
    const int other = listen_on(address, several);
    const pid_t pid = ::fork();
    if (pid < 0) fail("fork");
    first = pid > 0;
    ::close(first ? other : fd);
    if (!first) fd = other;
  }
  const int seconds = 1;
  if (settings.defer &&
      ::setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds))) {
    fail("TCP_DEFER_ACCEPT");
  }
  if (first) announce(address);
  return fd;
}

inline void bind_source(int fd, std::uint32_t source) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
  sockaddr_in address = loopback(0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (1U << 8) + source);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fail("bind");
}

// Begins to connect to a port of this machine and nowhere else; the outcome comes as an event.
// `receive_bytes` bounds what the kernel takes for a slow reader; 0 leaves it alone. `source` 1 to
// 254 has the connection come from that one of 127.0.1.0/24, each of which has all its ports.
inline int begin_connect(std::uint16_t port, int receive_bytes = 0, std::uint32_t source = 0) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  set_no_delay(fd);
  if (receive_bytes > 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
  }
  if (source > 0) bind_source(fd, source);
  const sockaddr_in address = loopback(port);
  const auto* target = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(fd, target, sizeof(address)) != 0 && errno != EINPROGRESS) fail("connect");
  return fd;
}

// Closes with RST: what is under way is lost, and no port waits in TIME_WAIT.
inline void reset_and_close(int fd) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  ::close(fd);
}

inline void epoll_add(int epoll, int fd, std::uint32_t events, void* data) {
  epoll_event event{.events = events, .data = {.ptr = data}};
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

// Where a load stops until whoever has started it has looked at the proxy: it says where it is and
// waits for SIGUSR1, which is kept from the beginning, so that it cannot come too early.
class Gate {
 public:
  Gate() {
    ::sigemptyset(&go_);
    ::sigaddset(&go_, SIGUSR1);
    ::sigprocmask(SIG_BLOCK, &go_, nullptr);
  }

  void wait(const char* where) const {
    std::puts(where);
    std::fflush(stdout);
    int number = 0;
    ::sigwait(&go_, &number);
  }

 private:
  sigset_t go_{};
};

// As many descriptors as the system lets this process have.
inline void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
}

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

inline std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kNsPerSecond +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// So many a second, evenly. What could not be done in time is left out beyond a short debt, so that
// an attack held up for a moment does not come back as a burst.
class Pace {
 public:
  explicit Pace(std::uint32_t per_second)
      : interval_ns_(kNsPerSecond / std::max(per_second, 1U)), next_ns_(now_ns()) {}

  // True as often as something is due by `now`.
  bool due(std::uint64_t now) {
    next_ns_ = std::max(next_ns_, now - std::min(now, kDebtNs));
    if (next_ns_ > now) return false;
    next_ns_ += interval_ns_;
    return true;
  }

 private:
  static constexpr std::uint64_t kDebtNs = kNsPerSecond / 100;
  std::uint64_t interval_ns_;
  std::uint64_t next_ns_;
};

}  // namespace weir::bench
