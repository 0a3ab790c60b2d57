#include "net/connection.h"

#include <algorithm>

namespace weir::net {
namespace {

// The kernel has given the connection up. A lack of something, and what it cannot do, passes.
bool is_failure(os::IoStatus status) {
  switch (status) {
    case os::IoStatus::reset:
    case os::IoStatus::refused:
    case os::IoStatus::unreachable:
    case os::IoStatus::timed_out:
    case os::IoStatus::aborted:
    case os::IoStatus::failed: return true;
    default: return false;
  }
}

}  // namespace

// What a call that was not `done` is to say of it.
os::IoStatus Connection::heard(os::IoStatus status) {
  if (is_failure(status)) failure_ = status;
  return status == os::IoStatus::end && broken() ? failure_ : status;
}

os::IoResult Connection::fill(std::size_t most) {
  if (!in.lease(pool_)) return {os::IoStatus::no_memory, 0};
  if (in.empty()) {
    in.clear();
  } else if (in.room() < kBlockBytes / 4) {
    in.compact();
  }
  const std::size_t asked = std::min(in.room(), most);
  CHECK(asked > 0);
  const os::IoResult result = os::receive(fd, in.room_at(), asked);
  ready.after_receive(result, asked);
  loop_.rearm(*this);
  if (result.status != os::IoStatus::done) {
    if (in.empty()) in.release();
    return {heard(result.status), 0};
  }
  in.produced(result.bytes);
  traffic_.received(result.bytes);
  return result;
}

os::IoResult Connection::flush(std::string_view more) {
  const std::size_t pending = out.size();
  const std::size_t offered = pending + more.size();
  if (offered == 0) return {os::IoStatus::done, 0};
  if (!ready.may_send()) return {os::IoStatus::again, 0};
  os::IoResult result = pending == 0   ? os::send(fd, more)
                        : more.empty() ? os::send(fd, out.readable())
                                       : os::send_two(fd, out.readable(), more);
  ready.after_send(result, offered);
  loop_.rearm(*this);
  if (result.status != os::IoStatus::done) return {heard(result.status), 0};
  traffic_.sent(result.bytes);
  const std::size_t from_out = std::min(result.bytes, pending);
  out.consume(from_out);
  return {os::IoStatus::done, result.bytes - from_out};
}

os::IoResult Connection::splice_into(SplicePipe& pipe, std::size_t most) {
  CHECK(in.empty(), "what was read before comes first");
  const std::size_t held = pipe.bytes();
  const os::IoResult result = pipe.fill_from(fd, most);
  ready.after_splice_in(result, held);
  loop_.rearm(*this);
  if (result.status != os::IoStatus::done) return {heard(result.status), 0};
  traffic_.received(result.bytes);
  return result;
}

os::IoResult Connection::splice_out_of(SplicePipe& pipe) {
  CHECK(out.empty(), "what was written before comes first");
  if (!ready.may_send()) return {os::IoStatus::again, 0};
  const std::size_t held = pipe.bytes();
  os::IoResult result;
  do {
    const std::size_t left = pipe.bytes();
    result = pipe.drain_to(fd);
    ready.after_splice_out(result, left);
  } while (result.status == os::IoStatus::done && !pipe.empty());
  loop_.rearm(*this);
  const std::size_t sent = held - pipe.bytes();
  traffic_.sent(sent);
  if (result.status == os::IoStatus::done) return {os::IoStatus::done, sent};
  if (result.status == os::IoStatus::again && sent > 0) return {os::IoStatus::done, sent};
  const bool reset = result.status == os::IoStatus::broken_pipe && sent > 0 && lost_its_reason();
  return {heard(reset ? os::IoStatus::reset : result.status), 0};
}

// splice() sends what a pipe holds in several pieces. When one of them meets a reset the call tells
// of those before it, and nobody hears why it stopped [seen]: the next one is told EPIPE, as after
// an end. If the peer's end was not heard of before, it is none. Over a unix socket a send leaves
// the error alone.
bool Connection::lost_its_reason() const {
  const bool ended = ready.hangup() && !ready.error();
  return !ended && os::local_name(fd).family != os::Peer::Family::none;
}

bool Connection::ask_quiet() {
  char byte;
  const os::IoResult result = os::peek(fd, &byte, 1);
  if (heard(result.status) != os::IoStatus::again) return false;
  ready.after_receive(result, 1);
  loop_.rearm(*this);
  return true;
}

}  // namespace weir::net
