// process.h over Linux: thin wrappers, and the sentences that say why a file cannot be had.

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include "base/check.h"
#include "os/errno_linux.h"
#include "os/process.h"

namespace weir::os {
namespace {

constexpr off_t kFileBytesMax = 16 << 20;
constexpr int kWriterWaitMs = 10'000;

std::string because(const char* verb, const std::string& path) {
  const bool denied = errno == EACCES && ::geteuid() != 0;
  std::string text = std::string("cannot ") + verb + " " + path + ": " + std::strerror(errno);
  if (!denied) return text;
  return text + "; user id " + std::to_string(::geteuid()) + " must be allowed to " + verb + " it";
}

// The first line of a small file of /sys, or "".
std::string first_line(const std::string& path) {
  char text[64] = {};
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() || ::read(fd.get(), text, sizeof text - 1) <= 0) return {};
  return text;
}

// Processors worth of time one control group grants, rounded up; 0 when unlimited.
unsigned quota_at(const std::string& directory) {
  long long quota = -1;
  long long period = 0;
  const std::string v2 = first_line(directory + "/cpu.max");
  if (v2.empty()) {
    const std::string v1 = first_line(directory + "/cpu.cfs_quota_us");
    const std::string v1_period = first_line(directory + "/cpu.cfs_period_us");
    if (std::sscanf(v1.c_str(), "%lld", &quota) != 1) return 0;
    if (std::sscanf(v1_period.c_str(), "%lld", &period) != 1) return 0;
  } else if (std::sscanf(v2.c_str(), "%lld %lld", &quota, &period) != 2) {
    return 0;  // "max 100000"
  }
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<unsigned>((quota + period - 1) / period);
}

unsigned smaller_quota(unsigned a, unsigned b) { return a == 0 || b == 0 ? a + b : std::min(a, b); }

// The smallest quota from the group at `path` up to the root: each limits all below it.
unsigned quota_of_branch(const std::string& mount, std::string path) {
  unsigned smallest = quota_at(mount + path);
  for (std::size_t end; (end = path.rfind('/')) != std::string::npos;) {
    path.resize(end);
    smallest = smaller_quota(smallest, quota_at(mount + path));
  }
  return smallest;
}

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1}) sigaddset(&set, number);
  return set;
}

// Empty once there is something to read, or the end; else why waiting was given up. What is no
// pipe is always ready.
const char* wait_for_writer(const Fd& fd, const Fd& interrupt) {
  pollfd waiting[2] = {{fd.get(), POLLIN, 0}, {interrupt.get(), POLLIN, 0}};
  int ready = 0;
  do {
    ready = ::poll(waiting, 2, kWriterWaitMs);
  } while (ready < 0);  // EINTR
  if (waiting[0].revents != 0) return "";
  return ready == 0 ? "nothing has been written into this pipe for ten seconds"
                    : "a signal came before this pipe was written to its end";
}

}  // namespace

Fd signals_open() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGUSR2, SIG_IGN);  // Means something to peers; a slip must not end the program.
  const sigset_t set = our_signals();
  CHECK(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  Fd fd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  CHECK(fd.valid(), "signalfd");
  return fd;
}

void signals_release(Fd signals) {
  signals.reset();
  const sigset_t set = our_signals();
  CHECK(::pthread_sigmask(SIG_UNBLOCK, &set, nullptr) == 0);
}

Signal signals_next(const Fd& signals) {
  signalfd_siginfo info{};
  if (::read(signals.get(), &info, sizeof info) != sizeof info) return Signal::none;
  switch (static_cast<int>(info.ssi_signo)) {
    case SIGHUP: return Signal::reload;
    case SIGUSR1: return Signal::reopen;
    default: return Signal::terminate;
  }
}

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

std::vector<int> usable_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

// A line of the membership file is "number:controllers:path", with no controllers for version 2.
// In a container without a namespace of its own the path is that of the host, and what is mounted
// is the container's own group: the walk up ends there.
unsigned cgroup_cpu_quota(const std::string& mount, const std::string& membership) {
  const auto text = read_file(membership);
  unsigned smallest = 0;
  for (std::size_t at = 0; text && at < text->size();) {
    const std::size_t end = std::min(text->find('\n', at), text->size());
    const std::string line = text->substr(at, end - at);
    at = end + 1;
    const std::size_t controllers = line.find(':') + 1;
    const std::size_t path = line.find(':', controllers) + 1;
    if (controllers == 0 || path == 0) continue;
    const std::string names = "," + line.substr(controllers, path - controllers - 1) + ",";
    const bool v1 = names.find(",cpu,") != std::string::npos;
    if (!v1 && names != ",,") continue;
    const std::string top = v1 ? mount + "/cpu" : mount;
    smallest = smaller_quota(smallest, quota_of_branch(top, line.substr(path)));
  }
  return smallest;
}

std::jthread start_thread(const char* name, int cpu, std::function<void()> body) {
  std::jthread thread(std::move(body));
  char shown[16] = {};
  std::strncpy(shown, name, sizeof shown - 1);
  ::pthread_setname_np(thread.native_handle(), shown);
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(cpu), &set);
    // A container may take the processor away again; unpinned is slower but right.
    ::pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
  }
  return thread;
}

Result<std::string, std::string> read_file(const std::string& path, const Fd& interrupt) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return Err(because("read", path));
  if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode)) {
    return Err("cannot read " + path + ": it is not a regular file");
  }
  if (info.st_size > kFileBytesMax) return Err("cannot read " + path + ": larger than 16 MiB");
  std::string text;
  char piece[65536];
  while (true) {
    // A pipe (a shell's <(...)) has a writer that may not be done yet, or not be there yet.
    const std::string_view given_up = wait_for_writer(fd, interrupt);
    if (!given_up.empty()) return Err("cannot read " + path + ": " + std::string(given_up));
    const ssize_t count = ::read(fd.get(), piece, sizeof piece);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return Err(because("read", path));
    if (count == 0) return text;
    text.append(piece, static_cast<std::size_t>(count));
    if (text.size() > static_cast<std::size_t>(kFileBytesMax)) {
      return Err("cannot read " + path + ": larger than 16 MiB");
    }
  }
}

Result<Fd, std::string> open_for_append(const std::string& path) {
  Fd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640));
  if (fd.valid()) return fd;
  if (errno == ENXIO)
    return Err("cannot open " + path + ": no program has this pipe open for reading");
  return Err(because("open", path));
}

IoStatus write_within(const Fd& fd, std::string_view& data, int timeout_ms) {
  while (!data.empty()) {
    pollfd waiting{fd.get(), POLLOUT, 0};
    const int ready = ::poll(&waiting, 1, timeout_ms);
    if (ready == 0) return IoStatus::again;
    if (ready < 0) continue;  // EINTR
    // A pipe that is ready takes PIPE_BUF bytes without blocking, and no more for certain.
    const ssize_t count =
        ::write(fd.get(), data.data(), std::min<std::size_t>(data.size(), PIPE_BUF));
    if (count >= 0) {
      data.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR && errno != EAGAIN) {
      return status_of(errno);
    }
  }
  return IoStatus::done;
}

Fd standard_output() { return Fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)); }

void open_missing_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    // open() returns the lowest free number: the first closed stream.
    if (::fcntl(stream, F_GETFD) < 0) (void)!::open("/dev/null", O_RDWR);
  }
}

Fd standard_error() { return Fd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)); }

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

bool has_reader(int fd) {
  pollfd state{fd, 0, 0};
  return ::poll(&state, 1, 0) <= 0 || (state.revents & (POLLERR | POLLHUP)) == 0;
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

SocketFile::SocketFile(const Address& address) {
  if (!address.is_unix()) return;
  path_ = address.path.sun_path;
  held_ = Fd(::open(path_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

SocketFile::~SocketFile() {
  struct stat ours {};
  struct stat there {};
  if (!held_.valid() || ::fstat(held_.get(), &ours) != 0) return;
  if (::lstat(path_.c_str(), &there) != 0) return;
  if (ours.st_dev == there.st_dev && ours.st_ino == there.st_ino) ::unlink(path_.c_str());
}

void wait_readable(const Fd& fd, int timeout_ms) {
  pollfd waiting{fd.get(), POLLIN, 0};
  ::poll(&waiting, 1, timeout_ms);
}

}  // namespace weir::os
