// What a random script does: one function per kind of call.

#include "random_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ground.h"

namespace weir::sim {
namespace {

using os::IoResult;
using os::IoStatus;

// What epoll reports of a pipe is a number from here on.
constexpr std::uint64_t kPipes = 400;
constexpr std::size_t kPageBytes = 4'096;
constexpr std::string_view kSocketPath = "script.socket";

const os::Fd& fd_of(const os::Fd& fd) { return fd; }
template <typename Holder>
const os::Fd& fd_of(const Holder& holder) {
  if constexpr (requires { holder.fd; }) {
    return holder.fd;
  } else {
    return holder.read_end;
  }
}

std::string outcome(const IoResult& result) {
  return fmt::format("{} {}", os::to_string(result.status), result.bytes);
}

}  // namespace

RandomScript::RandomScript(std::uint64_t seed) : prng_(seed), first_(ground::first_descriptor()) {
  for (os::Fd& fd : epolls_) fd = os::epoll_create();
  for (os::Fd& fd : wakeups_) fd = os::wakeup_create();
}

void RandomScript::run(unsigned steps) {
  using S = RandomScript;
  constexpr std::array<Operation, 40> kOperations{&S::listen,
                                                  &S::connect,
                                                  &S::connect,
                                                  &S::connect,
                                                  &S::accept,
                                                  &S::accept,
                                                  &S::accept,
                                                  &S::write,
                                                  &S::write,
                                                  &S::write,
                                                  &S::write,
                                                  &S::write_two,
                                                  &S::write_urgent,
                                                  &S::read,
                                                  &S::read,
                                                  &S::read,
                                                  &S::read,
                                                  &S::look,
                                                  &S::read_error,
                                                  &S::shut_down,
                                                  &S::close_stream,
                                                  &S::close_stream,
                                                  &S::close_listener,
                                                  &S::duplicate_any,
                                                  &S::unwatch,
                                                  &S::close_duplicate,
                                                  &S::move_into_pipe,
                                                  &S::move_into_pipe,
                                                  &S::move_out_of_pipe,
                                                  &S::change_pipe,
                                                  &S::watch,
                                                  &S::watch,
                                                  &S::watch,
                                                  &S::change_watch,
                                                  &S::wait,
                                                  &S::wait,
                                                  &S::wait,
                                                  &S::wake,
                                                  &S::unwake,
                                                  &S::name};
  for (unsigned i = 0; i < steps; ++i) {
    (this->*kOperations[below(kOperations.size())])();
    ground::settle();
  }
}

// --- Choosing ------------------------------------------------------------------------------------

template <typename List>
int RandomScript::any(const List& list) {
  const std::size_t start = below(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::size_t at = (start + i) % list.size();
    if (fd_of(list[at]).valid()) return static_cast<int>(at);
  }
  return -1;
}

int RandomScript::free_stream() const {
  const auto at = std::find_if(streams_.begin(), streams_.end(),
                               [](const Stream& stream) { return !stream.fd.valid(); });
  return at == streams_.end() ? -1 : static_cast<int>(at - streams_.begin());
}

std::string RandomScript::text(std::size_t size) {
  std::string letters(size, ' ');
  for (char& letter : letters) letter = static_cast<char>('a' + letters_++ % 26);
  return letters;
}

const os::Fd* RandomScript::any_watchable(std::uint64_t& number) {
  const auto pick = [&](const auto& list, std::uint64_t base) -> const os::Fd* {
    const int at = any(list);
    number = base + static_cast<std::uint64_t>(at);
    return at < 0 ? nullptr : &fd_of(list[static_cast<std::size_t>(at)]);
  };
  switch (below(8)) {
    case 0: return pick(listeners_, 100);
    case 1: return pick(wakeups_, 200);
    case 2: return pick(duplicates_, 300);
    case 3: {
      const os::Fd* read_end = pick(pipes_, kPipes);
      if (read_end == nullptr || below(2) == 0) return read_end;
      number += 50;
      return &pipes_[number - kPipes - 50].write_end;
    }
    default: return pick(streams_, 0);
  }
}

// A splice out of a pipe wakes the pipe and the socket at the other end; which of them first
// depends on the network, so they are not watched by the same instance.
std::size_t RandomScript::epoll_for(std::uint64_t number) {
  return number >= kPipes ? 2 : below(2);
}

// --- Listening and connecting --------------------------------------------------------------------

void RandomScript::listen() {
  const std::size_t at = below(listeners_.size());
  Listening& listener = listeners_[at];
  if (listener.fd.valid()) return;
  const bool is_unix = at == 2;
  const auto address = is_unix ? os::Address::unix_path(kSocketPath)
                               : os::Address::ip(at == 0 ? "127.0.0.1" : "::1", 0);
  os::SocketResult result = os::listen_on(*address, os::Share::first, 16);
  fmt::print("listen {} -> {} fd {}\n", at, os::to_string(result.status), number(result.fd));
  if (result.status != IoStatus::done) return;
  const std::uint16_t port = os::bound_port(result.fd);
  listener = {std::move(result.fd), *address, {}, is_unix};
  if (!is_unix) listener.address = *os::Address::ip(at == 0 ? "127.0.0.1" : "::1", port);
}

void RandomScript::connect() {
  const std::size_t to = below(listeners_.size());
  const int at = free_stream();
  Listening& listener = listeners_[to];
  if (at < 0 || listener.address.size == 0) return;
  os::SocketResult result = os::connect_to(listener.address);
  fmt::print("connect {} to {} -> {} fd {}\n", at, to, os::to_string(result.status),
             number(result.fd));
  if (!result.fd.valid()) return;
  streams_[static_cast<std::size_t>(at)] = {std::move(result.fd), listener.is_unix};
  if (listener.fd.valid()) listener.connecting.push_back(at);
}

void RandomScript::accept() {
  const int from = any(listeners_);
  const int at = free_stream();
  if (from < 0 || at < 0) return;
  Listening& listener = listeners_[static_cast<std::size_t>(from)];
  os::Peer peer;
  os::SocketResult result = os::accept_from(listener.fd, peer);
  char host[os::Peer::kTextMax];
  fmt::print("accept {} from {} -> {} fd {} peer {}\n", at, from, os::to_string(result.status),
             number(result.fd), peer.text(host));
  if (result.status != IoStatus::done) return;
  Stream& stream = streams_[static_cast<std::size_t>(at)];
  stream = {std::move(result.fd), listener.is_unix, 6};  // Something may have been sent already.
  if (listener.connecting.empty()) return;
  stream.other = listener.connecting.front();
  listener.connecting.erase(listener.connecting.begin());
  streams_[static_cast<std::size_t>(stream.other)].other = at;
}

void RandomScript::close_listener() {
  if (below(4) != 0) return;
  const int at = any(listeners_);
  if (at < 0) return;
  Listening& listener = listeners_[static_cast<std::size_t>(at)];
  listener.fd.reset();
  listener.connecting.clear();
  fmt::print("close listener {}\n", at);
}

void RandomScript::name() {
  const int at = any(streams_);
  if (at < 0) return;
  const os::Peer self = os::local_name(streams_[static_cast<std::size_t>(at)].fd);
  char host[os::Peer::kTextMax];
  fmt::print("name {} -> {} {}\n", at, self.text(host), self.port != 0);
}

// --- Bytes ---------------------------------------------------------------------------------------

void RandomScript::sent(const char* what, int index, IoResult result) {
  fmt::print("{} {} -> {}\n", what, index, outcome(result));
  const int other = streams_[static_cast<std::size_t>(index)].other;
  if (other >= 0) ++streams_[static_cast<std::size_t>(other)].pieces;
}

void RandomScript::write() {
  const int at = any(streams_);
  if (at < 0) return;
  const std::string data = text(1 + below(below(4) == 0 ? 3'000 : 20));
  sent("send", at, os::send(streams_[static_cast<std::size_t>(at)].fd, data));
}

void RandomScript::write_two() {
  const int at = any(streams_);
  if (at < 0) return;
  const std::string first = text(1 + below(9));
  const std::string second = text(below(9));
  sent("send two", at, os::send_two(streams_[static_cast<std::size_t>(at)].fd, first, second));
}

void RandomScript::write_urgent() {
  const int at = any(streams_);
  if (at < 0 || streams_[static_cast<std::size_t>(at)].is_unix) return;
  ground::send_urgent(streams_[static_cast<std::size_t>(at)].fd, '!');
  sent("send urgent", at, {});
}

void RandomScript::receive_from(Stream& stream, int index, bool take) {
  char buffer[4'096];
  const std::size_t size = 1 + below(below(3) == 0 ? sizeof buffer : 12);
  const IoResult result =
      take ? os::receive(stream.fd, buffer, size) : os::peek(stream.fd, buffer, size);
  const std::string_view data(buffer, result.bytes);
  fmt::print("{} {} {} -> {} {}\n", take ? "receive" : "peek", index, size, outcome(result),
             data.substr(0, 60));
  if (take && result.status != IoStatus::done) stream.pieces = 0;
}

void RandomScript::read() {
  const int at = any(streams_);
  if (at >= 0) receive_from(streams_[static_cast<std::size_t>(at)], at, true);
}

void RandomScript::look() {
  const int at = any(streams_);
  if (at >= 0) receive_from(streams_[static_cast<std::size_t>(at)], at, false);
}

void RandomScript::read_error() {
  const int at = any(streams_);
  if (at < 0) return;
  const IoStatus status = os::connect_outcome(streams_[static_cast<std::size_t>(at)].fd);
  fmt::print("error of {} -> {}\n", at, os::to_string(status));
}

void RandomScript::shut_down() {
  const int at = any(streams_);
  if (at < 0) return;
  Stream& stream = streams_[static_cast<std::size_t>(at)];
  // The acknowledgement of a FIN is an edge, and Linux gives it at once only for an empty socket.
  const Stream* other =
      stream.other < 0 ? nullptr : &streams_[static_cast<std::size_t>(stream.other)];
  const bool late = !stream.is_unix && (other == nullptr || other->pieces > 0);
  if (late && stream.watched) return;
  stream.never_watch = stream.never_watch || late;
  os::shutdown_send(stream.fd);
  ground::settle();
  if (!late && other != nullptr) ground::acknowledge(other->fd);
  fmt::print("shutdown {}\n", at);
}

void RandomScript::close_stream() {
  const int at = any(streams_);
  if (at < 0) return;
  Stream& stream = streams_[static_cast<std::size_t>(at)];
  const bool reset = below(3) == 0;
  if (reset) os::close_with_reset(stream.fd);
  stream.fd.reset();
  if (stream.other >= 0) streams_[static_cast<std::size_t>(stream.other)].other = -1;
  stream.other = -1;
  for (Listening& listener : listeners_) std::erase(listener.connecting, at);
  fmt::print("close {}{}\n", at, reset ? " with reset" : "");
}

void RandomScript::duplicate_any() {
  std::uint64_t of = 0;
  const os::Fd* fd = any_watchable(of);
  const std::size_t at = below(duplicates_.size());
  if (fd == nullptr || duplicates_[at].valid()) return;
  if (of >= kPipes || (of < streams_.size() && streams_[of].never_watch)) return;
  if (of < streams_.size()) streams_[of].watched = true;  // By its other name, perhaps.
  os::SocketResult result = os::duplicate(*fd);
  fmt::print("duplicate {} -> {} fd {}\n", of, os::to_string(result.status), number(result.fd));
  duplicates_[at] = std::move(result.fd);
}

void RandomScript::close_duplicate() {
  const int at = any(duplicates_);
  if (at < 0) return;
  duplicates_[static_cast<std::size_t>(at)].reset();
  fmt::print("close duplicate {}\n", at);
}

// --- Pipes ---------------------------------------------------------------------------------------

void RandomScript::change_pipe() {
  const std::size_t at = below(pipes_.size());
  Pipe& pipe = pipes_[at];
  if (pipe.read_end.valid()) {
    if (below(6) == 0) pipe = {};
    return;
  }
  os::PipeResult result = os::make_pipe();
  fmt::print("pipe {} -> fd {} {}\n", at, number(result.read_end), number(result.write_end));
  const std::size_t room = os::resize_pipe(result.write_end, kPageBytes << below(8));
  fmt::print("  room for {}\n", room);
  pipe = {std::move(result.read_end), std::move(result.write_end),
          static_cast<unsigned>(room / kPageBytes)};
}

void RandomScript::move_into_pipe() {
  const int from = any(streams_);
  const int into = any(pipes_);
  if (from < 0 || into < 0) return;
  Stream& stream = streams_[static_cast<std::size_t>(from)];
  Pipe& pipe = pipes_[static_cast<std::size_t>(into)];
  // How segments lie in pages is each kernel's own matter: keep away from the last slot.
  const unsigned slots = pipe.slots + 2 * stream.pieces;
  if (slots >= pipe.slots_max) return;
  const IoResult result = os::splice_bytes(stream.fd, pipe.write_end, 1 + below(5'000));
  fmt::print("splice {} into {} -> {}\n", from, into, outcome(result));
  if (result.status == IoStatus::done) pipe.slots = slots;
}

void RandomScript::move_out_of_pipe() {
  const int to = any(streams_);
  const int from = any(pipes_);
  if (from < 0 || to < 0) return;
  Pipe& pipe = pipes_[static_cast<std::size_t>(from)];
  const IoResult result =
      os::splice_bytes(pipe.read_end, streams_[static_cast<std::size_t>(to)].fd, 1 + below(10'000));
  fmt::print("splice out of {}\n", from);
  // Several pieces may become several segments.
  for (unsigned i = 0; i < pipe.slots; ++i) sent("  to", to, result);
  if (pipe.slots == 0) sent("  to", to, result);
  if (result.status == IoStatus::again) pipe.slots = 0;
}

// --- Readiness -----------------------------------------------------------------------------------

void RandomScript::watch() {
  std::uint64_t of = 0;
  const os::Fd* fd = any_watchable(of);
  if (fd == nullptr || (of < streams_.size() && streams_[of].never_watch)) return;
  const std::size_t in = epoll_for(of);
  const auto mode = static_cast<os::Mode>(below(4));
  const auto bits = static_cast<std::uint8_t>(below(3) == 0 ? below(16) : 15);
  const bool added = os::epoll_add(epolls_[in], *fd, of, bits, mode);
  if (of < streams_.size()) streams_[of].watched = true;
  fmt::print("add {} to {} bits {} mode {} -> {}\n", of, in, bits, static_cast<int>(mode), added);
}

void RandomScript::change_watch() {
  std::uint64_t of = 0;
  const os::Fd* fd = any_watchable(of);
  if (fd == nullptr) return;
  const std::size_t in = epoll_for(of);
  const auto mode = static_cast<os::Mode>(below(4));
  const auto bits = static_cast<std::uint8_t>(below(16));
  const bool changed = os::epoll_change(epolls_[in], *fd, of, bits, mode);
  fmt::print("change {} in {} bits {} mode {} -> {}\n", of, in, bits, static_cast<int>(mode),
             changed);
}

void RandomScript::unwatch() {
  std::uint64_t of = 0;
  const os::Fd* fd = any_watchable(of);
  if (fd == nullptr) return;
  const std::size_t in = epoll_for(of);
  os::epoll_remove(epolls_[in], *fd);
  fmt::print("remove {} from {}\n", of, in);
}

void RandomScript::wait() {
  const std::size_t in = below(epolls_.size());
  std::array<os::Event, 16> events;
  const std::size_t room = 1 + below(below(3) == 0 ? 2 : events.size());
  const std::size_t count = os::epoll_wait(epolls_[in], std::span(events).first(room), 0);
  fmt::print("wait {} room {} ->", in, room);
  for (std::size_t i = 0; i < count; ++i) fmt::print(" {}:{}", events[i].data, events[i].flags);
  fmt::print("\n");
}

void RandomScript::wake() {
  const int at = any(wakeups_);
  os::wakeup_notify(wakeups_[static_cast<std::size_t>(at)]);
  fmt::print("notify {}\n", at);
}

void RandomScript::unwake() {
  const int at = any(wakeups_);
  os::wakeup_clear(wakeups_[static_cast<std::size_t>(at)]);
  fmt::print("clear {}\n", at);
}

}  // namespace weir::sim
