// The simulator's own system calls: fork, pipes, and a handler that lets a dying child speak.

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>

#include "sim/os_sim_child.h"

namespace weir::sim {
namespace {

// A signal handler gets no argument of ours; there is one child per process.
std::string (*g_last_words)() = nullptr;

void write_all(int fd, const std::string& text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t written = ::write(fd, text.data() + at, text.size() - at);
    if (written <= 0) return;
    at += static_cast<std::size_t>(written);
  }
}

// A busy machine makes a run slow without making it longer: only what it uses itself counts. What
// uses nothing and does not end either waits for the real system, which nothing here ever does.
constexpr unsigned kRealSecondsMax = 1'800;
constexpr unsigned kLastWordsSeconds = 10;

std::string reason_of(int signal) {
  if (signal == SIGPROF) return "FAIL a run ends: it used more processor time than any may\n";
  if (signal == SIGALRM) return "FAIL a run moves: it took too long without using the processor\n";
  return "FAIL no crash: signal " + std::to_string(signal) + "\n";
}

// The process is lost anyway, so what a signal handler must not do may be tried.
void crashed(int signal) {
  ::signal(signal, SIG_DFL);
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(kLastWordsSeconds);
  if (signal != SIGABRT) write_all(STDERR_FILENO, reason_of(signal));
  if (g_last_words != nullptr) write_all(STDERR_FILENO, g_last_words());
  ::raise(signal);
}

[[noreturn]] void child(const std::function<std::string()>& body, std::string (*last_words)(),
                        unsigned seconds_max, int data, int said) {
  ::dup2(said, STDERR_FILENO);
  g_last_words = last_words;
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM, SIGPROF}) {
    ::signal(signal, crashed);
  }
  const itimerval limit{{0, 0}, {static_cast<time_t>(seconds_max), 0}};
  ::setitimer(ITIMER_PROF, &limit, nullptr);
  ::alarm(kRealSecondsMax);
  write_all(data, body());
  ::_exit(EXIT_SUCCESS);
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> room;
  for (ssize_t got = ::read(fd, room.data(), room.size()); got > 0;
       got = ::read(fd, room.data(), room.size())) {
    text.append(room.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  return text;
}

}  // namespace

ChildResult run_in_child(const std::function<std::string()>& body, std::string (*last_words)(),
                         unsigned seconds_max) {
  std::array<int, 2> data;
  std::array<int, 2> said;
  ChildResult result;
  if (::pipe(data.data()) != 0 || ::pipe(said.data()) != 0) return result;
  const pid_t process = ::fork();
  if (process == 0) child(body, last_words, seconds_max, data[1], said[1]);
  ::close(data[1]);
  ::close(said[1]);
  // The data fits into the pipe, so the child never waits for it to be read.
  result.said = read_all(said[0]);
  result.data = read_all(data[0]);
  int status = 0;
  if (process < 0 || ::waitpid(process, &status, 0) != process) return result;
  result.ended_well = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
  return result;
}

double real_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::uint64_t fresh_seed() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace weir::sim
