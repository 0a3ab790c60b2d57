// os.h over the simulated kernel: linked instead of os_linux.cpp, and nothing else is different.
//
// Each call lets some time pass, may give way to another fiber, may meet a fault, and leaves a line
// with its result in the trace. A call with a descriptor that is not open is a bug of the program
// and ends the run.

#include "os/os.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "sim/kernel/epoll.h"
#include "sim/kernel/pipe.h"
#include "sim/kernel/wakeup.h"
#include "sim/os_sim_call.h"

namespace weir::os {

using sim::Call;
using sim::Fault;

// --- Time and chance -----------------------------------------------------------------------------

void close_descriptor(int fd) {
  if (fd < sim::Descriptors::kBase) {
    ::close(fd);
    return;
  }
  const Call call("close", fd);
  (void)call.file<sim::File>();
  call.end();
  sim::parts().descriptors.close(fd);
}

std::uint64_t monotonic_ns() {
  const Call call("monotonic_ns");
  return sim::machine().clock.now_ns();
}

std::uint64_t wall_clock_ns() {
  constexpr std::uint64_t kBoot = 1'800'000'000 * sim::kNsPerSecond;  // January 2027.
  const Call call("wall_clock_ns");
  return kBoot + sim::machine().clock.now_ns();
}

std::uint64_t random_seed() {
  const Call call("random_seed");
  return sim::chance().next();
}

// --- Sockets -------------------------------------------------------------------------------------

SocketResult listen_on(const Address& address, Share share, int backlog) {
  const Call call("listen_on");
  if (const IoStatus status = sim::may_open(); status != IoStatus::done) {
    return call.end(status, {});
  }
  auto result = sim::parts().network.listen(sim::place_of(address), share == Share::first,
                                            static_cast<std::size_t>(backlog));
  if (result.status != IoStatus::done) return call.end(result.status, {});
  return call.end(IoStatus::done, sim::open_descriptor(std::move(result.socket)));
}

SocketResult duplicate(const Fd& fd) {
  const Call call("duplicate", fd.get());
  (void)call.file<sim::File>();
  if (sim::parts().descriptors.full()) return call.end(IoStatus::no_descriptors, {});
  return call.end(IoStatus::done, sim::open_descriptor(sim::parts().descriptors.find(fd.get())));
}

SocketResult accept_from(const Fd& listener, Peer& peer) {
  const Call call("accept_from", listener.get());
  auto& socket = call.file<sim::ListenSocket>();
  // Linux looks for a descriptor before it looks at the queue.
  if (const IoStatus status = sim::may_open(); status != IoStatus::done) {
    socket.excuse();
    return call.end(status, {});
  }
  if (socket.waiting() > 0 && !socket.held() && sim::chance().happens(Fault::accept_again)) {
    socket.hold(
        std::static_pointer_cast<sim::ListenSocket>(sim::parts().descriptors.find(listener.get())));
  }
  auto connection = socket.take();
  if (!connection) return call.end(IoStatus::again, {});
  if (sim::chance().happens(Fault::accept_aborted)) {
    sim::parts().network.mark_killed(connection->connection());
    connection->reject();
    return call.end(IoStatus::aborted, {});
  }
  peer = connection->shape().remote;
  return call.end(IoStatus::done, sim::open_descriptor(std::move(connection)));
}

void refuse_handshakes(const Fd& listener) {
  const Call call("refuse_handshakes", listener.get());
  call.file<sim::ListenSocket>().refuse_handshakes();
  call.end();
}

SocketResult connect_to(const Address& address, std::string_view /*congestion*/) {
  const Call call("connect_to");
  if (const IoStatus status = sim::may_open(); status != IoStatus::done) {
    return call.end(status, {});
  }
  const sim::Place place = sim::place_of(address);
  if (!place.is_path()) {
    auto socket = sim::parts().network.connect(place);
    return call.end(IoStatus::again, sim::open_descriptor(std::move(socket)));
  }
  auto socket = sim::parts().network.connect_path(place.path);
  if (!socket) return call.end(IoStatus::refused, {});
  return call.end(IoStatus::done, sim::open_descriptor(std::move(socket)));
}

IoStatus connect_outcome(const Fd& fd) {
  const Call call("connect_outcome", fd.get());
  return call.end(IoResult{call.file<sim::StreamSocket>().take_error(), 0}).status;
}

namespace {

// Fault: some of what could be received has not arrived yet.
void hold_back(sim::StreamSocket& socket, std::size_t asked) {
  const std::size_t there = std::min(socket.unread(), asked);
  if (there == 0 || !socket.may_hold()) return;
  if (sim::chance().happens(Fault::receive_again)) {
    socket.hold(0);
  } else if (there > 1 && sim::chance().happens(Fault::receive_short)) {
    socket.hold(sim::chance().spread(1, there - 1));
  }
}

// Fault: how much of `offered` the socket may take.
std::size_t send_limit(std::size_t offered) {
  if (sim::chance().happens(Fault::send_again)) return 0;
  if (offered > 1 && sim::chance().happens(Fault::send_short)) {
    return sim::chance().spread(1, offered - 1);
  }
  return SIZE_MAX;
}

}  // namespace

IoResult receive(const Fd& fd, char* data, std::size_t size) {
  const Call call("receive", fd.get());
  auto& socket = call.file<sim::StreamSocket>();
  hold_back(socket, size);
  return call.end(socket.receive(data, size, true));
}

IoResult peek(const Fd& fd, char* data, std::size_t size) {
  const Call call("peek", fd.get());
  auto& socket = call.file<sim::StreamSocket>();
  hold_back(socket, size);
  return call.end(socket.receive(data, size, false));
}

IoResult send(const Fd& fd, std::string_view data) {
  const Call call("send", fd.get());
  auto& socket = call.file<sim::StreamSocket>();
  return call.end(socket.write(data, send_limit(data.size())));
}

IoResult send_two(const Fd& fd, std::string_view first, std::string_view second) {
  const Call call("send_two", fd.get());
  auto& socket = call.file<sim::StreamSocket>();
  const std::string both = std::string(first).append(second);
  return call.end(socket.write(both, send_limit(both.size())));
}

PipeResult make_pipe() {
  const Call call("make_pipe");
  if (const IoStatus status = sim::may_open(2); status != IoStatus::done) {
    (void)call.end(IoResult{status, 0});
    return {status, {}, {}};
  }
  const bool small = sim::chance().happens(Fault::pipe_small);
  const auto pipe = std::make_shared<sim::Pipe>(small ? sim::kPipeSlotsMin : sim::kPipeSlots);
  pipe->may_grow = !small;
  PipeResult result{IoStatus::done,
                    sim::open_descriptor(std::make_shared<sim::PipeEnd>(pipe, false)),
                    sim::open_descriptor(std::make_shared<sim::PipeEnd>(pipe, true))};
  call.end(static_cast<std::uint64_t>(result.read_end.get() - sim::Descriptors::kBase));
  return result;
}

std::size_t resize_pipe(const Fd& end, std::size_t bytes) {
  const Call call("resize_pipe", end.get());
  sim::Pipe& pipe = call.file<sim::PipeEnd>().pipe();
  // Only growing takes pages. A user above its share stays there for as long as the pipe lives.
  if (bytes > pipe.capacity() && sim::chance().happens(Fault::pipe_small)) pipe.may_grow = false;
  if (bytes <= pipe.capacity() || pipe.may_grow) (void)pipe.resize(bytes);
  call.end(pipe.capacity());
  return pipe.capacity();
}

namespace {

IoResult splice_in(sim::StreamSocket& socket, sim::PipeEnd& end, std::size_t size) {
  if (end.pipe().reader == nullptr) return {IoStatus::broken_pipe, 0};
  hold_back(socket, size);
  if (size > 1 && sim::chance().happens(Fault::splice_short)) {
    size = sim::chance().spread(1, size - 1);
  }
  return socket.splice_into(end.pipe(), size);
}

IoResult splice_out(sim::PipeEnd& end, sim::StreamSocket& socket, std::size_t size) {
  sim::Pipe& pipe = end.pipe();
  if (pipe.empty()) return {pipe.writer ? IoStatus::again : IoStatus::end, 0};
  size = std::min(size, pipe.bytes());
  const bool reset =
      size > 1 && socket.may_be_reset() && sim::chance().happens(Fault::reset_in_splice);
  if (reset) size = sim::chance().spread(1, size - 1);
  const sim::Stretches bytes = pipe.front(size);
  const IoResult result = socket.write_in_place(bytes, send_limit(bytes.size()));
  pipe.drop(result.bytes);
  if (!reset) return result;
  socket.reset_from_outside();
  // The next piece meets it, and takes the error: the call tells of what was sent before.
  if (result.status == IoStatus::done) (void)socket.take_error();
  return result;
}

}  // namespace

IoResult splice_bytes(const Fd& from, const Fd& to, std::size_t size) {
  const Call call("splice_bytes", from.get());
  auto* pipe = dynamic_cast<sim::PipeEnd*>(&call.file<sim::File>());
  if (pipe != nullptr) {
    return call.end(splice_out(*pipe, call.file<sim::StreamSocket>(to.get()), size));
  }
  auto& socket = call.file<sim::StreamSocket>();
  return call.end(splice_in(socket, call.file<sim::PipeEnd>(to.get()), size));
}

IoResult read_pipe(const Fd& read_end, char* data, std::size_t size) {
  const Call call("read_pipe", read_end.get());
  sim::Pipe& pipe = call.file<sim::PipeEnd>().pipe();
  if (pipe.empty()) return call.end({pipe.writer != nullptr ? IoStatus::again : IoStatus::end, 0});
  const std::string bytes = pipe.front(size).text();
  bytes.copy(data, bytes.size());
  pipe.drop(bytes.size());
  return call.end({IoStatus::done, bytes.size()});
}

// A simulated peer never goes away in silence.
void keep_alive(const Fd& /*fd*/, unsigned /*idle_s*/) {}
void set_congestion(const Fd& /*fd*/, std::string_view /*name*/) {}
// A client that comes before its first byte is the harder one, and Linux may always send one.
void defer_accept(const Fd& /*listener*/) {}

void shutdown_send(const Fd& fd) {
  const Call call("shutdown_send", fd.get());
  call.file<sim::StreamSocket>().shutdown_send();
  call.end();
}

std::size_t unacknowledged(const Fd& fd) {
  const Call call("unacknowledged", fd.get());
  const std::size_t bytes = call.file<sim::StreamSocket>().unacknowledged();
  call.end();
  return bytes;
}

void close_with_reset(const Fd& fd) {
  const Call call("close_with_reset", fd.get());
  call.file<sim::StreamSocket>().close_with_reset();
  call.end();
}

Peer local_name(const Fd& fd) {
  const Call call("local_name", fd.get());
  auto& file = call.file<sim::File>();
  call.end();
  if (const auto* listener = dynamic_cast<sim::ListenSocket*>(&file)) return listener->place().ip;
  return call.file<sim::StreamSocket>().shape().local;
}

// --- Readiness -----------------------------------------------------------------------------------

Fd epoll_create() {
  const Call call("epoll_create");
  CHECK(!sim::parts().descriptors.full(), "epoll_create1");
  return call
      .end(IoStatus::done, sim::open_descriptor(std::make_shared<sim::Epoll>(sim::machine())))
      .fd;
}

bool epoll_add(const Fd& epoll, const Fd& fd, std::uint64_t data, std::uint8_t bits, Mode mode) {
  const Call call("epoll_add", fd.get());
  auto& watched = call.file<sim::File>();
  auto& instance = call.file<sim::Epoll>(epoll.get());
  const bool added =
      !sim::chance().happens(Fault::no_memory) && instance.add(watched, fd.get(), data, bits, mode);
  call.end(data, added);
  const auto& on_second_watch = sim::Kernel::current().on_second_watch;
  if (watched.watches.size() > 1 && mode != Mode::exclusive_level && on_second_watch) {
    on_second_watch(watched.describe());
  }
  return added;
}

bool epoll_change(const Fd& epoll, const Fd& fd, std::uint64_t data, std::uint8_t bits, Mode mode) {
  const Call call("epoll_change", fd.get());
  auto& watched = call.file<sim::File>();
  auto& instance = call.file<sim::Epoll>(epoll.get());
  const bool changed = instance.change(watched, fd.get(), data, bits, mode);
  call.end(data, changed);
  return changed;
}

void epoll_remove(const Fd& epoll, const Fd& fd) {
  const Call call("epoll_remove", fd.get());
  auto& watched = call.file<sim::File>();
  call.file<sim::Epoll>(epoll.get()).remove(watched, fd.get());
  call.end();
}

namespace {

// Sleeps until there may be events. False when the wait is over without.
bool sleep_on(sim::Epoll& epoll, std::uint64_t deadline_ns) {
  sim::Machine& machine = sim::machine();
  std::uint64_t early_ns = sim::kNever;
  if (machine.chance.happens(Fault::wait_early)) {
    early_ns = machine.clock.now_ns() + machine.chance.spread(1, 100 * sim::kNsPerMs);
  }
  epoll.set_waiting(true);
  const auto woken = sim::parts().fibers.wait([&epoll] { return epoll.may_have_events(); },
                                              deadline_ns, early_ns, machine.clock);
  epoll.set_waiting(false);
  return woken == sim::Fiber::Woken::ready;
}

}  // namespace

std::size_t epoll_wait(const Fd& epoll, std::span<Event> events, int timeout_ms) {
  constexpr std::size_t kBatch = 256;  // As os_linux.cpp.
  const Call call("epoll_wait", epoll.get());
  auto& instance = call.file<sim::Epoll>();
  events = events.first(std::min(kBatch, events.size()));
  const std::uint64_t deadline_ns =
      timeout_ms < 0
          ? sim::kNever
          : sim::machine().clock.now_ns() + static_cast<std::uint64_t>(timeout_ms) * sim::kNsPerMs;
  std::size_t count = instance.collect(events);
  while (count == 0 && timeout_ms != 0 && sim::parts().fibers.running() != nullptr) {
    if (!sleep_on(instance, deadline_ns)) break;
    count = instance.collect(events);
  }
  call.end(count);
  for (const Event& event : events.first(count)) {
    sim::machine().note("  event", -1, nullptr, event.data, event.flags);
  }
  return count;
}

// --- Waking another thread -----------------------------------------------------------------------

Fd wakeup_create() {
  const Call call("wakeup_create");
  CHECK(!sim::parts().descriptors.full(), "eventfd");
  return call.end(IoStatus::done, sim::open_descriptor(std::make_shared<sim::Wakeup>())).fd;
}

void wakeup_notify(const Fd& wakeup) {
  const Call call("wakeup_notify", wakeup.get());
  call.file<sim::Wakeup>().notify();
  call.end();
}

void wakeup_clear(const Fd& wakeup) {
  const Call call("wakeup_clear", wakeup.get());
  call.file<sim::Wakeup>().clear();
  call.end();
}

// --- Tracing -------------------------------------------------------------------------------------

void trace_transition(Machine machine, std::uint8_t from, std::uint8_t to) {
  const auto number = static_cast<std::uint8_t>(machine);
  sim::machine().note("state", number, nullptr, from, to);
  const auto& hook = sim::Kernel::current().on_transition;
  if (hook) hook(number, from, to);
}

}  // namespace weir::os
