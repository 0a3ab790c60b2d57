#include "proxy/body_flow.h"

#include <algorithm>

#include "http/writer.h"

namespace weir::proxy {
namespace {

// Copying this much behind a head is cheaper than a second piece in the send.
constexpr std::size_t kCopyBytesMax = 4096;
// A chunk of our own is not begun with less room than this.
constexpr std::size_t kChunkRoomMin = 512;
// The end of a chunk and the size of the next. Behind a spliced chunk another is likely, whose data
// are better left in the socket.
constexpr std::size_t kChunkLineBytes = 24;

}  // namespace

void BodyFlow::begin(const http::BodyFraming& framing, bool chunked_out, http::HeadParser& trailers,
                     const http::HeadLimits& limits) {
  using Kind = http::BodyFraming::Kind;
  chunked_out_ = chunked_out;
  last_chunk_owed_ = chunked_out && framing.kind != Kind::none;
  trailers_ = &trailers;
  limits_ = limits;
  left_ = framing.length;
  switch (framing.kind) {
    case Kind::none: stage_ = Stage::done; break;
    case Kind::length: stage_ = left_ > 0 ? Stage::length : Stage::done; break;
    case Kind::until_close: stage_ = Stage::until_close; break;
    case Kind::chunked:
      stage_ = Stage::chunked;
      decoder_.begin();
      break;
  }
}

BodyFlow::Status BodyFlow::pump(net::Connection& from, net::Connection& to) {
  spent_ = 0;
  progressed_ = false;
  while (true) {
    if (step_over()) return Status::working;
    Status status = Status::working;
    if (pending_ > 0) {
      status = chunked_out_ ? emit_chunk(from, to) : emit_plain(from, to);
    } else if (splice_.held() > 0) {
      status = give(to);
    } else if (chunk_end_owed_) {
      status = emit_end(to, http::kChunkEnd, chunk_end_owed_);
    } else if (stage_ == Stage::done) {
      if (!last_chunk_owed_) return flush(to, Status::complete);
      status = emit_end(to, http::kLastChunk, last_chunk_owed_);
    } else {
      status = from.in.empty() ? Status::need_input : decode(from, &to);
      if (status == Status::need_input) status = read_on(from, to);
    }
    if (status != Status::working) return status;
  }
}

BodyFlow::Status BodyFlow::discard(net::Connection& from) {
  spent_ = 0;
  progressed_ = false;
  splice_.drop();
  while (stage_ != Stage::done || pending_ > 0) {
    if (step_over()) return Status::working;
    Status status = Status::working;
    if (pending_ > 0) {
      from.in.consume(std::exchange(pending_, 0));
    } else {
      status = from.in.empty() ? Status::need_input : decode(from, nullptr);
      if (status == Status::need_input) status = fill(from);
    }
    if (status != Status::working) return status;
  }
  return Status::complete;
}

// `working`: bytes came, or the end that finishes the body.
BodyFlow::Status BodyFlow::fill(net::Connection& from) {
  if (!from.ready.may_receive()) return Status::need_input;
  const bool line_only = spliced_last_ && stage_ == Stage::chunked && decoder_.chunk_left() == 0;
  const os::IoResult result = from.fill(line_only ? kChunkLineBytes : net::kBlockBytes);
  if (result.status != os::IoStatus::done) return without_input(result.status);
  spliced_last_ = false;
  progressed_ = true;
  return Status::working;
}

BodyFlow::Status BodyFlow::without_input(os::IoStatus status) {
  switch (status) {
    case os::IoStatus::again: return Status::need_input;
    case os::IoStatus::no_memory: return Status::no_buffer;
    case os::IoStatus::end:
      if (stage_ != Stage::until_close) return Status::source_ended;
      stage_ = Stage::done;
      return Status::working;
    default: return Status::source_failed;
  }
}

// Before the flow waits for more, the sink gets what there is.
BodyFlow::Status BodyFlow::read_on(net::Connection& from, net::Connection& to) {
  if (from.in.empty() && to.ready.may_send() && spliceable() >= kSpliceBytesMin) {
    return take(from, to);
  }
  const Status status = flush(to, Status::working);
  return status == Status::working ? fill(from) : status;
}

// Bytes that need not be looked at.
std::uint64_t BodyFlow::spliceable() const {
  switch (stage_) {
    case Stage::length: return left_;
    case Stage::chunked: return decoder_.chunk_left();
    case Stage::until_close: return body_bytes_ < kSpliceBytesMin ? 0 : UINT64_MAX;
    case Stage::trailers:
    case Stage::done: break;
  }
  return 0;
}

// Like fill(), into a pipe. What waits in `to.out` leaves with the first bytes, if there are any.
BodyFlow::Status BodyFlow::take(net::Connection& from, net::Connection& to) {
  Status status = chunked_out_ ? make_room(to, http::kChunkOverheadMax) : Status::working;
  if (status != Status::working) return status;
  os::IoResult result{os::IoStatus::again, 0};
  if (from.ready.may_receive()) result = splice_.take(from, spliceable());
  if (result.status == os::IoStatus::done) {
    from.in.release();
    taken(result.bytes, to.out);
    return Status::working;
  }
  // An end or a failure is told again, where what is to be sent first has to wait.
  status = flush(to, Status::working);
  if (status != Status::working) return status;
  return result.status == os::IoStatus::unsupported ? fill(from) : without_input(result.status);
}

void BodyFlow::taken(std::size_t bytes, net::Buffer& out) {
  spliced_last_ = true;
  repeatable_ = false;
  progressed_ = true;
  body_bytes_ += bytes;
  spent_ += bytes / 2 + kPieceBytes;
  if (stage_ == Stage::chunked) decoder_.skip(bytes);
  if (stage_ == Stage::length) {
    left_ -= bytes;
    if (left_ == 0) stage_ = Stage::done;
  }
  if (!chunked_out_) return;
  out.produced(http::write_chunk_begin(out.room_at(), bytes));
  chunk_end_owed_ = true;
}

BodyFlow::Status BodyFlow::give(net::Connection& to) {
  const Status status = flush(to, Status::working);
  if (status != Status::working) return status;
  to.out.release();
  const os::IoResult result = splice_.give(to);
  switch (result.status) {
    case os::IoStatus::done: progressed_ = true; return Status::working;
    case os::IoStatus::again: return Status::blocked_output;
    case os::IoStatus::no_memory: return Status::no_buffer;
    default: return Status::sink_failed;
  }
}

BodyFlow::Status BodyFlow::decode(net::Connection& from, net::Connection* to) {
  switch (stage_) {
    case Stage::length:
      pending_ = static_cast<std::size_t>(std::min<std::uint64_t>(left_, from.in.size()));
      left_ -= pending_;
      if (left_ == 0) stage_ = Stage::done;
      break;
    case Stage::until_close: pending_ = from.in.size(); break;
    case Stage::chunked: return decode_chunked(from);
    case Stage::trailers: return decode_trailers(from, to);
    case Stage::done: break;
  }
  body_bytes_ += pending_;
  spent_ += pending_ + kPieceBytes;
  return Status::working;
}

BodyFlow::Status BodyFlow::decode_chunked(net::Connection& from) {
  const http::ChunkedDecoder::Step step = decoder_.step(from.in.data(), from.in.size());
  spent_ += step.consumed + kPieceBytes;
  switch (step.status) {
    case http::ChunkedDecoder::Status::need_more: break;
    case http::ChunkedDecoder::Status::data:
      pending_ = step.data_size;
      body_bytes_ += pending_;
      break;
    case http::ChunkedDecoder::Status::trailers:
      stage_ = Stage::trailers;
      trailers_->begin(http::HeadParser::Mode::trailers, limits_);
      break;
    case http::ChunkedDecoder::Status::error: error_ = decoder_.error(); return Status::malformed;
  }
  from.in.consume(step.consumed - pending_);
  return Status::working;
}

// `need_input`: the section is not complete. Without `to` the fields are dropped.
BodyFlow::Status BodyFlow::decode_trailers(net::Connection& from, net::Connection* to) {
  switch (trailers_->parse(from.in.data(), from.in.size())) {
    case http::ParseStatus::need_more: return Status::need_input;
    case http::ParseStatus::error: error_ = trailers_->error(); return Status::malformed;
    case http::ParseStatus::complete: break;
  }
  if (to != nullptr && last_chunk_owed_) {
    const std::size_t most =
        http::kLastChunkLine.size() + trailers_->head_bytes() + http::kWriteExtraMax;
    const Status status = make_room(*to, most);
    if (status != Status::working) return status;  // The parser answers the same next time.
    to->out.append(http::kLastChunkLine);
    to->out.produced(http::write_trailers(to->out.room_at(), to->out.room(), *trailers_));
    last_chunk_owed_ = false;
  }
  from.in.consume(trailers_->head_bytes());
  stage_ = Stage::done;
  return Status::working;
}

BodyFlow::Status BodyFlow::emit_plain(net::Connection& from, net::Connection& to) {
  const std::string_view piece = from.in.readable().substr(0, pending_);
  // Small chunks come in numbers: they are collected even where nothing waits to be sent.
  const bool collect = !to.out.empty() || (stage_ == Stage::chunked && to.out.lease(to.buffers()));
  const bool ride_along = hold_ ? repeatable_ && left_ <= to.out.room() - piece.size()
                                : piece.size() <= kCopyBytesMax && collect;
  if (piece.size() <= to.out.room() && ride_along) {
    to.out.append(piece);
    from.in.consume(std::exchange(pending_, 0));
    return Status::working;
  }
  const os::IoResult result = to.flush(piece);
  if (result.status == os::IoStatus::again) return Status::blocked_output;
  if (result.status != os::IoStatus::done) return Status::sink_failed;
  progressed_ = true;
  if (result.bytes > 0) repeatable_ = false;
  from.in.consume(result.bytes);
  pending_ -= result.bytes;
  return pending_ > 0 ? Status::blocked_output : Status::working;
}

BodyFlow::Status BodyFlow::emit_chunk(net::Connection& from, net::Connection& to) {
  const std::size_t wanted = pending_ + http::kChunkOverheadMax;
  const Status status = make_room(to, std::min(wanted, kChunkRoomMin));
  if (status != Status::working) return status;
  const std::size_t size = std::min(pending_, to.out.room() - http::kChunkOverheadMax);
  to.out.produced(http::write_chunk_begin(to.out.room_at(), size));
  to.out.append(from.in.readable().substr(0, size));
  to.out.append(http::kChunkEnd);
  from.in.consume(size);
  pending_ -= size;
  return Status::working;
}

// Writes what ends a chunk or the whole, once it is `owed`.
BodyFlow::Status BodyFlow::emit_end(net::Connection& to, std::string_view end, bool& owed) {
  const Status status = make_room(to, end.size());
  if (status != Status::working) return status;
  to.out.append(end);
  owed = false;
  return Status::working;
}

BodyFlow::Status BodyFlow::flush(net::Connection& to, Status when_empty) {
  while (!to.out.empty()) {
    const os::IoResult result = to.flush();
    if (result.status == os::IoStatus::again) return Status::blocked_output;
    if (result.status != os::IoStatus::done) return Status::sink_failed;
    progressed_ = true;
  }
  return when_empty;
}

// `working`: `to.out` has that much room. Flushes, and drops what was sent, when it has not.
BodyFlow::Status BodyFlow::make_room(net::Connection& to, std::size_t room) {
  if (!to.out.lease(to.buffers())) return Status::no_buffer;
  if (to.out.room() >= room) return Status::working;
  const Status status = flush(to, Status::working);
  if (status != Status::working) return status;
  to.out.clear();
  repeatable_ = false;
  CHECK(to.out.room() >= room, "a block holds whatever is written at once");
  return Status::working;
}

}  // namespace weir::proxy
