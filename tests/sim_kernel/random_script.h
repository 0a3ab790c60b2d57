// RandomScript: a seeded sequence of os.h calls over loopback, printed with their results.
//
// What is chosen depends on the seed and on results so far, never on numbers that differ between
// two kernels (ports, sizes of buffers). The amounts are small: nothing fills a buffer, which is
// left to named_cases.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/prng.h"
#include "os/os.h"

namespace weir::sim {

class RandomScript {
 public:
  explicit RandomScript(std::uint64_t seed);
  void run(unsigned steps);

 private:
  struct Stream {
    os::Fd fd;
    bool is_unix = false;
    unsigned pieces = 0;  // At least as many as lie unread in its queue.
    bool watched = false;
    bool never_watch = false;  // An edge of it may come at any time.
    int other = -1;            // The stream at the other end, as far as it is known.
  };
  struct Listening {
    os::Fd fd;
    os::Address address;
    std::vector<int> connecting;  // Streams that wait to be accepted, oldest first.
    bool is_unix = false;
  };
  struct Pipe {
    os::Fd read_end;
    os::Fd write_end;
    unsigned slots_max = 0;
    unsigned slots = 0;  // At most as many as are in use.
  };
  using Operation = void (RandomScript::*)();

  // --- Operations, each prints one line ----------------------------------------------------------
  void listen();
  void connect();
  void accept();
  void write();
  void write_two();
  void write_urgent();
  void read();
  void look();
  void read_error();
  void shut_down();
  void close_stream();
  void close_listener();
  void duplicate_any();
  void close_duplicate();
  void move_into_pipe();
  void move_out_of_pipe();
  void change_pipe();
  void watch();
  void change_watch();
  void unwatch();
  void wait();
  void wake();
  void unwake();
  void name();

  [[nodiscard]] std::size_t below(std::size_t bound) { return prng_.bounded(bound); }
  // A random one of those that are open, or -1.
  template <typename List>
  [[nodiscard]] int any(const List& list);
  [[nodiscard]] int free_stream() const;
  [[nodiscard]] std::string text(std::size_t size);
  // Any open descriptor that epoll takes, with the number it reports; null when there is none.
  [[nodiscard]] const os::Fd* any_watchable(std::uint64_t& number);
  [[nodiscard]] std::size_t epoll_for(std::uint64_t number);
  void receive_from(Stream& stream, int index, bool take);
  void sent(const char* what, int index, os::IoResult result);
  [[nodiscard]] int number(const os::Fd& fd) const { return fd.valid() ? fd.get() - first_ : -1; }

  Prng prng_;
  int first_;
  unsigned letters_ = 0;
  std::array<Stream, 8> streams_;
  std::array<Listening, 3> listeners_;
  std::array<Pipe, 2> pipes_;
  std::array<os::Fd, 2> duplicates_;
  std::array<os::Fd, 2> wakeups_;
  std::array<os::Fd, 3> epolls_;  // The last one is for pipes.
};

}  // namespace weir::sim
