#include "net/connection.h"

#include <algorithm>

namespace weir::net {

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
  if (result.status == os::IoStatus::done) {
    in.produced(result.bytes);
    traffic_.received(result.bytes);
  } else if (in.empty()) {
    in.release();
  }
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
  if (result.status != os::IoStatus::done) return result;
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
  traffic_.received(result.bytes);
  return result;
}

os::IoResult Connection::splice_out_of(SplicePipe& pipe) {
  CHECK(out.empty(), "what was written before comes first");
  if (!ready.may_send()) return {os::IoStatus::again, 0};
  const std::size_t held = pipe.bytes();
  const os::IoResult result = pipe.drain_to(fd);
  ready.after_splice_out(result, held);
  loop_.rearm(*this);
  traffic_.sent(result.bytes);
  return result;
}

bool Connection::ask_quiet() {
  char byte;
  const os::IoResult result = os::peek(fd, &byte, 1);
  if (result.status != os::IoStatus::again) return false;
  ready.after_receive(result, 1);
  loop_.rearm(*this);
  return true;
}

}  // namespace weir::net
