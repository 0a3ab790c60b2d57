// The script over Linux. Over loopback a segment is delivered while the sender is still in its
// call, so there is nothing to wait for.

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/check.h"
#include "ground.h"

namespace weir::sim::ground {

void run(const std::function<void()>& body) {
  ::signal(SIGPIPE, SIG_IGN);
  // A new task has a page fragment of its own: where bytes lie does not depend on who ran before.
  std::thread(body).join();
}

void settle() {}

void settle_many(const os::Fd& sender) {
  int unacknowledged = 1;
  const std::uint64_t deadline_ns = os::monotonic_ns() + 1'000'000'000;
  while (unacknowledged > 0 && os::monotonic_ns() < deadline_ns) {
    CHECK(::ioctl(sender.get(), SIOCOUTQ, &unacknowledged) == 0);
    ::sched_yield();
  }
}

void acknowledge(const os::Fd& fd) {
  const int on = 1;
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

void send_urgent(const os::Fd& fd, char byte) {
  (void)::send(fd.get(), &byte, 1, MSG_OOB | MSG_NOSIGNAL);
}

// Open descriptors have no gaps between them here, so the lowest free number counts them.
void allow_descriptors(unsigned more) {
  rlimit limit{};
  CHECK(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;  // Looking for the number takes one.
  CHECK(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = static_cast<rlim_t>(first_descriptor()) + more;
  CHECK(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

int first_descriptor() {
  const int fd = ::fcntl(STDOUT_FILENO, F_DUPFD, 0);
  CHECK(fd >= 0);
  ::close(fd);
  return fd;
}

}  // namespace weir::sim::ground
