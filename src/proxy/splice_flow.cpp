#include "proxy/splice_flow.h"

#include <algorithm>

namespace weir::proxy {

SpliceFlow::Status SpliceFlow::pump(net::Connection& from, net::Connection& to,
                                    std::uint64_t& left) {
  progressed_ = false;
  std::size_t budget = kStepBytes;
  while (true) {
    if (const Status status = drain(to); status != Status::working) return status;
    if (left == 0) return Status::complete;
    if (budget == 0) return Status::working;
    if (!from.ready.may_receive()) return Status::need_input;
    const os::IoResult result = take(from, std::min<std::uint64_t>(left, budget));
    switch (result.status) {
      case os::IoStatus::done: break;
      case os::IoStatus::again: return Status::need_input;
      case os::IoStatus::end: return Status::source_ended;
      case os::IoStatus::unsupported: return Status::must_copy;
      default: return Status::source_failed;
    }
    left -= result.bytes;
    budget -= result.bytes;
    progressed_ = true;
  }
}

// `working`: nothing is held and nothing is left to be sent.
SpliceFlow::Status SpliceFlow::drain(net::Connection& to) {
  while (!to.out.empty() || held() > 0) {
    const os::IoResult result = to.out.empty() ? give(to) : to.flush();
    if (result.status == os::IoStatus::again) return Status::blocked_output;
    if (result.status != os::IoStatus::done) return Status::sink_failed;
    progressed_ = true;
  }
  return Status::working;
}

os::IoResult SpliceFlow::take(net::Connection& from, std::uint64_t most) {
  constexpr os::IoResult kCopy{os::IoStatus::unsupported, 0};
  CHECK(held() == 0, "the sink gets what was taken before");
  if (unsupported_ || pool_ == nullptr || !from.ready.may_splice()) return kCopy;
  if (!pipe_.lease(*pool_)) return kCopy;
  const os::IoResult result =
      from.splice_into(pipe_, std::min<std::uint64_t>(most, pipe_.capacity()));
  if (pipe_.empty()) pipe_.release();
  if (result.status == os::IoStatus::unsupported) unsupported_ = true;
  // The kernel needs memory for this; receiving has a block of weir's own.
  return result.status == os::IoStatus::no_memory ? kCopy : result;
}

os::IoResult SpliceFlow::give(net::Connection& to) {
  os::IoResult result{os::IoStatus::unsupported, 0};
  if (!unsupported_) result = to.splice_out_of(pipe_);
  if (result.status == os::IoStatus::unsupported) {
    unsupported_ = true;
    result = copy_out(to);
  }
  if (pipe_.empty()) pipe_.release();
  return result;
}

// For a sink that refuses after the bytes have left their socket: they go on through `to.out`.
os::IoResult SpliceFlow::copy_out(net::Connection& to) {
  if (!to.out.lease(to.buffers())) return {os::IoStatus::no_memory, 0};
  to.out.clear();
  const os::IoResult result = pipe_.read(to.out.room_at(), to.out.room());
  to.out.produced(result.bytes);
  return result;
}

}  // namespace weir::proxy
