// floor_splice: the least that moving bulk bytes between two sockets costs. One thread,
// edge-triggered epoll, socket -> pipe -> socket.
//
//   floor_splice [--defer] [--workers N] [--port N] ORIGIN_PORT
//
// It does not parse, so the same program stands beside a TCP relay and beside an HTTP proxy. A
// direction is copied, which costs less for small messages, until a read fills the buffer; from
// then on it is spliced through a pipe of its own.
#include <fcntl.h>

#include "copy.h"

namespace weir::bench {
namespace {

class Splice {
 public:
  struct Held {
    Copy::Held copied;
    int pipe_in = -1;
    int pipe_out = -1;
    std::size_t in_pipe = 0;

    Held() = default;
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() {
      if (pipe_in < 0) return;
      ::close(pipe_in);
      ::close(pipe_out);
    }

    [[nodiscard]] bool empty() const { return copied.empty() && in_pipe == 0; }
  };

  Flow move(Side<Held>& from) {
    Held& held = from.held;
    if (held.pipe_in < 0) {
      const Flow flow = copy_.move(from, held.copied, 1);
      if (flow != Flow::has_more) return flow;
      open_pipe(held);
    }
    for (int step = 0; step < kStepsPerTurn; ++step) {
      if (held.in_pipe == 0) {
        const ssize_t got = splice(from.fd, held.pipe_in, kPipeBytes);
        if (got < 0) return errno == EAGAIN ? Flow::waits : Flow::broken;
        if (got == 0) {
          end_flow(from);
          return Flow::waits;
        }
        held.in_pipe = static_cast<std::size_t>(got);
      }
      const ssize_t sent = splice(held.pipe_out, from.other->fd, held.in_pipe);
      if (sent < 0) return errno == EAGAIN ? Flow::waits : Flow::broken;
      held.in_pipe -= static_cast<std::size_t>(sent);
    }
    return Flow::has_more;
  }

 private:
  static constexpr int kPipeBytes = 256 * 1024;
  static constexpr int kStepsPerTurn = 4;  // Then others run.

  static ssize_t splice(int from, int to, std::size_t bytes) {
    return ::splice(from, nullptr, to, nullptr, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  }

  void open_pipe(Held& held) {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) fail("pipe2");
    if (::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes) < 0) fail("F_SETPIPE_SZ");
    held.pipe_out = ends[0];
    held.pipe_in = ends[1];
  }

  Copy copy_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  weir::bench::relay_main<weir::bench::Splice>("floor_splice", argc, argv);
}
