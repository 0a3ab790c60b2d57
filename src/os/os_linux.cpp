// os.h over Linux: thin wrappers that translate flags and errno, and nothing else.

#include "os/os.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "base/check.h"
#include "os/errno_linux.h"

namespace weir::os {
namespace {

// In a program with threads the C library's recv(), send() and the like are points at which a
// thread can be cancelled, for the price of two locked instructions a call. No thread of weir is
// ever cancelled, and syscall() is no such point.
template <typename... Arguments>
long call(long number, const Fd& fd, Arguments... arguments) {
  return ::syscall(number, fd.get(), arguments...);
}

// The sanitizers know what the library's functions do with memory, and nothing of syscall().
#ifdef WEIR_SANITIZE
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

ssize_t receive_into(const Fd& fd, char* data, std::size_t size, int flags) {
  if (kSanitized) return ::recv(fd.get(), data, size, flags);
  return call(SYS_recvfrom, fd, data, size, flags, nullptr, nullptr);
}

int accept_next(const Fd& listener, sockaddr_storage& from, socklen_t& size) {
  constexpr int kFlags = SOCK_NONBLOCK | SOCK_CLOEXEC;
  auto* const address = reinterpret_cast<sockaddr*>(&from);
  if (kSanitized) return ::accept4(listener.get(), address, &size, kFlags);
  return static_cast<int>(call(SYS_accept4, listener, address, &size, kFlags));
}

IoResult result_of(ssize_t returned) {
  if (returned > 0) return {IoStatus::done, static_cast<std::size_t>(returned)};
  if (returned == 0) return {IoStatus::end, 0};
  return {status_of(errno), 0};
}

std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
         static_cast<std::uint64_t>(now.tv_nsec);
}

bool set_option(int fd, int level, int option) {
  const int on = 1;
  return ::setsockopt(fd, level, option, &on, sizeof on) == 0;
}

void fill_peer(const sockaddr_storage& from, Peer& peer) {
  peer = Peer{};
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    peer.family = Peer::Family::ipv4;
    peer.port = ntohs(v4.sin_port);
    std::memcpy(peer.ip.data(), &v4.sin_addr, 4);
  } else if (from.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
    peer.family = Peer::Family::ipv6;
    peer.port = ntohs(v6.sin6_port);
    std::memcpy(peer.ip.data(), &v6.sin6_addr, 16);
  }
}

// A socket file whose owner is gone refuses connections; a live one accepts or is full. Whatever
// else has the path, a link among it, is not ours to delete.
bool remove_stale_socket_file(const Address& address) {
  struct stat info {};
  if (::lstat(address.path.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return false;
  if (::connect(probe.get(), &address.any, address.size) == 0 || errno != ECONNREFUSED) {
    return false;
  }
  return ::unlink(address.path.sun_path) == 0;
}

bool bind_replacing_stale_file(int fd, const Address& address) {
  if (::bind(fd, &address.any, address.size) == 0) return true;
  if (!address.is_unix() || errno != EADDRINUSE) return false;
  if (remove_stale_socket_file(address)) return ::bind(fd, &address.any, address.size) == 0;
  errno = EADDRINUSE;  // Not what the probe met.
  return false;
}

// Without SO_REUSEPORT bind() fails when anybody listens there. Two programs that start at the
// same moment both pass bind(), so listen() has to decide before the option is set: setting it in
// between let both in [seen]. Set afterwards, it still lets our own later sockets join and share,
// without a moment in which the port is free.
bool listen_exclusively(int fd, const Address& address, int backlog) {
  return bind_replacing_stale_file(fd, address) && ::listen(fd, backlog) == 0 &&
         (address.is_unix() || set_option(fd, SOL_SOCKET, SO_REUSEPORT));
}

bool listen_beside(int fd, const Address& address, int backlog) {
  return set_option(fd, SOL_SOCKET, SO_REUSEPORT) && ::bind(fd, &address.any, address.size) == 0 &&
         ::listen(fd, backlog) == 0;
}

std::uint32_t epoll_bits(std::uint8_t bits, Mode mode) {
  std::uint32_t events = 0;
  if (bits & kReadable) events |= EPOLLIN;
  if (bits & kWritable) events |= EPOLLOUT;
  if (bits & kHangup) events |= EPOLLRDHUP;
  if (bits & kUrgent) events |= EPOLLPRI;
  switch (mode) {
    case Mode::edge: return events | EPOLLET;
    case Mode::level: return events;
    case Mode::oneshot: return events | EPOLLONESHOT;
    case Mode::exclusive_level: return events | EPOLLEXCLUSIVE;
  }
  return events;
}

std::uint8_t bits_of(std::uint32_t events) {
  constexpr auto is = [](EventBits ours, std::uint32_t kernels) { return ours == kernels; };
  static_assert(is(kReadable, EPOLLIN) && is(kUrgent, EPOLLPRI) && is(kWritable, EPOLLOUT) &&
                is(kError, EPOLLERR) && is(kHangup, EPOLLHUP));
  constexpr std::uint8_t kSame = kReadable | kUrgent | kWritable | kError | kHangup;
  std::uint8_t bits = events & kSame;
  if (events & EPOLLHUP) bits |= kError;
  if (events & EPOLLRDHUP) bits |= kHangup;
  return bits;
}

bool epoll_control(const Fd& epoll, int operation, const Fd& fd, std::uint64_t data,
                   std::uint8_t bits, Mode mode) {
  epoll_event event{};
  event.events = epoll_bits(bits, mode);
  event.data.u64 = data;
  return ::epoll_ctl(epoll.get(), operation, fd.get(), &event) == 0;
}

}  // namespace

void close_descriptor(int fd) {
  if (kSanitized) {
    ::close(fd);
  } else {
    ::syscall(SYS_close, fd);
  }
}

std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }
std::uint64_t wall_clock_ns() { return clock_ns(CLOCK_REALTIME); }

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  CHECK(::getrandom(&seed, sizeof seed, 0) == sizeof seed, "getrandom");
  return seed;
}

SocketResult listen_on(const Address& address, Share share, int backlog) {
  Fd fd(::socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return {status_of(errno), {}};
  bool ok = set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  if (!address.is_unix()) {
    ok = ok && set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY);
    // [::] takes IPv6 only, so that it stands beside 0.0.0.0 whatever the system's default is.
    if (address.is_ipv6()) ok = ok && set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  }
  ok = ok && (share == Share::first ? listen_exclusively(fd.get(), address, backlog)
                                    : listen_beside(fd.get(), address, backlog));
  if (ok) return {IoStatus::done, std::move(fd)};
  // A unix socket in a directory that does not exist: nobody has refused a connection.
  return {errno == ENOENT ? IoStatus::unreachable : status_of(errno), {}};
}

SocketResult duplicate(const Fd& fd) {
  Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) return {status_of(errno), {}};
  return {IoStatus::done, std::move(copy)};
}

SocketResult accept_from(const Fd& listener, Peer& peer) {
  sockaddr_storage from;
  from.ss_family = AF_UNSPEC;  // A client of a Unix socket has no address.
  socklen_t size = sizeof from;
  Fd fd(accept_next(listener, from, size));
  if (!fd.valid()) return {status_of(errno), {}};
  fill_peer(from, peer);
  return {IoStatus::done, std::move(fd)};
}

// A filter sees a TCP segment from its header on: byte 13 has the flags. A segment with SYN and
// without ACK begins a handshake.
void refuse_handshakes(const Fd& listener) {
  constexpr std::uint32_t kFlagsAt = 13, kSynAndAck = 0x12, kSyn = 0x02, kWhole = 0xFFFF'FFFF;
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlagsAt),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSynAndAck),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, kWhole),
  };
  const sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
  // Unix sockets have no handshake. Without the filter a client may meet a reset, no more.
  (void)::setsockopt(listener.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

SocketResult connect_to(const Address& address, std::string_view congestion) {
  Fd fd(::socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return {status_of(errno), {}};
  if (!address.is_unix()) (void)set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY);
  if (!congestion.empty()) set_congestion(fd, congestion);
  if (::connect(fd.get(), &address.any, address.size) == 0) return {IoStatus::done, std::move(fd)};
  // A unix socket whose backlog is full says EAGAIN and will never say more: that is a refusal.
  if (errno == EAGAIN && address.is_unix()) return {IoStatus::refused, {}};
  const IoStatus status = status_of(errno);
  if (status != IoStatus::again) return {status, {}};
  return {IoStatus::again, std::move(fd)};
}

IoStatus connect_outcome(const Fd& fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  return error == 0 ? IoStatus::done : status_of(error);
}

IoResult receive(const Fd& fd, char* data, std::size_t size) {
  return result_of(receive_into(fd, data, size, 0));
}

IoResult peek(const Fd& fd, char* data, std::size_t size) {
  return result_of(receive_into(fd, data, size, MSG_PEEK | MSG_DONTWAIT));
}

IoResult send(const Fd& fd, std::string_view data) {
  if (kSanitized) return result_of(::send(fd.get(), data.data(), data.size(), MSG_NOSIGNAL));
  return result_of(call(SYS_sendto, fd, data.data(), data.size(), MSG_NOSIGNAL, nullptr, 0));
}

IoResult send_two(const Fd& fd, std::string_view first, std::string_view second) {
  iovec pieces[2] = {{const_cast<char*>(first.data()), first.size()},
                     {const_cast<char*>(second.data()), second.size()}};
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = 2;
  if (kSanitized) return result_of(::sendmsg(fd.get(), &message, MSG_NOSIGNAL));
  return result_of(call(SYS_sendmsg, fd, &message, MSG_NOSIGNAL));
}

PipeResult make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return {status_of(errno), {}, {}};
  return {IoStatus::done, Fd(ends[0]), Fd(ends[1])};
}

std::size_t resize_pipe(const Fd& end, std::size_t bytes) {
  int size = ::fcntl(end.get(), F_SETPIPE_SZ, static_cast<int>(bytes));
  if (size < 0) size = ::fcntl(end.get(), F_GETPIPE_SZ);
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

IoResult splice_bytes(const Fd& from, const Fd& to, std::size_t size) {
  return result_of(
      call(SYS_splice, from, nullptr, to.get(), nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
}

IoResult read_pipe(const Fd& read_end, char* data, std::size_t size) {
  return result_of(::read(read_end.get(), data, size));
}

void keep_alive(const Fd& fd, unsigned idle_s) {
  const int idle = static_cast<int>(idle_s);
  const int interval = std::max(1, idle / 4);
  if (!set_option(fd.get(), SOL_SOCKET, SO_KEEPALIVE)) return;
  // Unix sockets have no such thing, and need none.
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
}

void set_congestion(const Fd& fd, std::string_view name) {
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(),
                     static_cast<socklen_t>(name.size()));
}

// The kernel counts in repetitions of its SYN-ACK, of which the first comes after a second.
void defer_accept(const Fd& listener) {
  const int seconds = 1;
  (void)::setsockopt(listener.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

void shutdown_send(const Fd& fd) { ::shutdown(fd.get(), SHUT_WR); }

std::size_t unacknowledged(const Fd& fd) {
  int bytes = 0;
  return ::ioctl(fd.get(), SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes)
                                                               : 0;
}

void close_with_reset(const Fd& fd) {
  const linger now{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

Peer local_name(const Fd& fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  Peer self;
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size) == 0) {
    fill_peer(name, self);
  }
  return self;
}

Fd epoll_create() {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  CHECK(epoll.valid(), "epoll_create1");
  return epoll;
}

bool epoll_add(const Fd& epoll, const Fd& fd, std::uint64_t data, std::uint8_t bits, Mode mode) {
  return epoll_control(epoll, EPOLL_CTL_ADD, fd, data, bits, mode);
}

bool epoll_change(const Fd& epoll, const Fd& fd, std::uint64_t data, std::uint8_t bits, Mode mode) {
  return epoll_control(epoll, EPOLL_CTL_MOD, fd, data, bits, mode);
}

void epoll_remove(const Fd& epoll, const Fd& fd) {
  ::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
}

std::size_t epoll_wait(const Fd& epoll, std::span<Event> events, int timeout_ms) {
  std::array<epoll_event, 256> batch;
  const int room = static_cast<int>(std::min(batch.size(), events.size()));
  const long count = call(SYS_epoll_pwait, epoll, batch.data(), room, timeout_ms, nullptr, 0);
  if (count <= 0) return 0;  // A timeout, or EINTR: the caller's next turn waits again.
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    events[i] = {batch[i].data.u64, bits_of(batch[i].events)};
  }
  return static_cast<std::size_t>(count);
}

Fd wakeup_create() {
  Fd wakeup(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  CHECK(wakeup.valid(), "eventfd");
  return wakeup;
}

void wakeup_notify(const Fd& wakeup) {
  const std::uint64_t one = 1;
  // EAGAIN means the counter is full, so the sleeper is awake already.
  [[maybe_unused]] const ssize_t written = ::write(wakeup.get(), &one, sizeof one);
}

void wakeup_clear(const Fd& wakeup) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = ::read(wakeup.get(), &count, sizeof count);
}

void trace_transition(Machine, std::uint8_t, std::uint8_t) {}

}  // namespace weir::os
