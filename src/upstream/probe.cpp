#include "upstream/probe.h"

#include <algorithm>
#include <utility>

namespace weir::upstream {
namespace {

using http::BodyFraming;
using http::ParseStatus;
using os::IoStatus;

constexpr std::uint64_t kNsPerUs = 1'000;

ProbeResult result_of_connect(IoStatus status) {
  switch (status) {
    case IoStatus::refused: return ProbeResult::refused;
    case IoStatus::unreachable: return ProbeResult::unreachable;
    case IoStatus::timed_out: return ProbeResult::connect_timeout;
    case IoStatus::reset: return ProbeResult::reset;
    case IoStatus::no_descriptors:
    case IoStatus::no_memory: return ProbeResult::no_resources;
    default: return ProbeResult::connect_failed;
  }
}

}  // namespace

void Probe::enter(State next) {
  CHECK(kProbeNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)],
        "illegal state of a probe");
  os::trace_transition(os::Machine::probe, state_, next);
  state_ = next;
}

void Probe::finish(ProbeResult result) {
  enter(State::done);
  outcome_.result = result;
  outcome_.latency_us = (loop().now_ns() - started_ns_) / kNsPerUs;
  in.release();
  loop().retire(*this);
}

void Probe::finish_broken(http::ParseError error) {
  outcome_.error = error;
  finish(ProbeResult::broken_answer);
}

// Whether what is expected has come; then whatever else there is does not matter.
void Probe::finish_searched(ProbeResult when_missing) {
  const bool found = outcome_.body.find(plan_->expect) != std::string::npos;
  finish(found ? ProbeResult::passed : when_missing);
}

void Probe::run() {
  switch (state_) {
    case State::connecting: step_connect(); break;
    case State::sending: step_send(); break;
    case State::head:
    case State::body:
    case State::expecting: step_read(); break;
    case State::done: break;
  }
}

void Probe::expire() {
  switch (state_) {
    case State::connecting: return finish(ProbeResult::connect_timeout);
    case State::sending:
    case State::head:
    case State::expecting: return finish(ProbeResult::answer_timeout);
    case State::body: return finish(ProbeResult::body_timeout);
    case State::done: break;
  }
}

// --- Connecting and sending ----------------------------------------------------------------------

void Probe::start() {
  started_ns_ = loop().now_ns();
  os::SocketResult socket = os::connect_to(plan_->address);
  if (socket.status != IoStatus::done && socket.status != IoStatus::again) {
    return finish(result_of_connect(socket.status));
  }
  fd = std::move(socket.fd);
  if (socket.status == IoStatus::done) ready.reset(loop::Readiness::kUnknown);
  if (!loop().watch(*this)) return finish(ProbeResult::no_resources);
  loop().set_deadline(*this, loop().now_ms() + plan_->timeout_ms);
  if (socket.status == IoStatus::done) loop().schedule(*this);
}

void Probe::step_connect() {
  if (!ready.may_send()) return;
  const IoStatus status = os::connect_outcome(fd);
  if (status != IoStatus::done) return finish(result_of_connect(status));
  enter(State::sending);
  step_send();
}

void Probe::step_send() {
  const os::IoResult result = flush(std::string_view(plan_->send).substr(sent_));
  if (result.status == IoStatus::again) return;
  if (result.status != IoStatus::done) return finish(ProbeResult::reset);
  sent_ += result.bytes;
  if (sent_ < plan_->send.size()) {
    if (ready.may_send()) loop().schedule(*this);
    return;
  }
  if (!plan_->http && plan_->expect.empty()) return finish(ProbeResult::passed);
  enter(plan_->http ? State::head : State::expecting);
  parser_.begin(http::HeadParser::Mode::response, {});
  loop().schedule(*this);  // What came meanwhile was told by an edge that is over.
}

// --- Reading -------------------------------------------------------------------------------------

void Probe::step_read() {
  if (!ready.may_receive()) return;
  const os::IoResult result = fill();
  switch (result.status) {
    case IoStatus::again: return;
    case IoStatus::end: return input_ended();
    case IoStatus::no_memory: return finish(ProbeResult::no_resources);
    case IoStatus::done: break;
    default: return finish(ProbeResult::reset);
  }
  if (state_ == State::head) read_head();
  if (state_ == State::body) read_body();
  if (state_ == State::expecting) read_bytes();
  if (state_ != State::done) loop().schedule(*this, loop::RunClass::bulk);
}

void Probe::read_head() {
  for (;;) {
    const ParseStatus status = parser_.parse(in.data(), in.size());
    if (status == ParseStatus::need_more) return;
    if (status == ParseStatus::error) return finish_broken(parser_.error());
    const auto info = http::analyse_response(parser_, plan_->method);
    if (!info) return finish_broken(info.error());
    in.consume(parser_.head_bytes());
    parser_.begin(http::HeadParser::Mode::response, {});
    if (!info->interim) return begin_body(*info);
  }
}

void Probe::begin_body(const http::ResponseInfo& info) {
  outcome_.status = info.status;
  if (!plan_->expects(info.status)) return finish(ProbeResult::bad_status);
  enter(State::body);
  switch (info.body.kind) {
    case BodyFraming::Kind::none:
    case BodyFraming::Kind::length:
      framing_ = Framing::length;
      left_ = info.body.length;
      if (left_ == 0) body_ended();
      break;
    case BodyFraming::Kind::chunked:
      framing_ = Framing::chunked;
      decoder_.begin();
      break;
    case BodyFraming::Kind::until_close: framing_ = Framing::until_close; break;
  }
}

void Probe::read_body() {
  while (state_ == State::body && !in.empty()) {
    switch (framing_) {
      case Framing::length: {
        const std::size_t size = std::min<std::uint64_t>(in.size(), left_);
        left_ -= size;
        if (take(in.readable().substr(0, size), size) && left_ == 0) body_ended();
        break;
      }
      case Framing::chunked: read_chunk(); break;
      case Framing::trailers:
        if (!read_trailers()) return;
        break;
      case Framing::until_close: (void)take(in.readable(), in.size()); break;
    }
  }
}

void Probe::read_chunk() {
  const http::ChunkedDecoder::Step step = decoder_.step(in.data(), in.size());
  switch (step.status) {
    case http::ChunkedDecoder::Status::error: return finish_broken(decoder_.error());
    case http::ChunkedDecoder::Status::trailers:
      framing_ = Framing::trailers;
      parser_.begin(http::HeadParser::Mode::trailers, {});
      break;
    case http::ChunkedDecoder::Status::need_more:
    case http::ChunkedDecoder::Status::data: break;
  }
  (void)take(in.readable().substr(step.data_at, step.data_size), step.consumed);
}

// False when more of them must come.
bool Probe::read_trailers() {
  const ParseStatus status = parser_.parse(in.data(), in.size());
  if (status == ParseStatus::error) finish_broken(parser_.error());
  if (status == ParseStatus::complete) body_ended();
  return status != ParseStatus::need_more;
}

void Probe::read_bytes() {
  // Only what is new is searched, and as much before it as may belong to it.
  const std::size_t before = std::min(outcome_.body.size(), plan_->expect.size() - 1);
  const std::size_t from = outcome_.body.size() - before;
  if (!take(in.readable(), in.size())) return;
  if (outcome_.body.find(plan_->expect, from) != std::string::npos) finish(ProbeResult::passed);
}

// Keeps `data`, which lies in the first `consumed` bytes of `in`. False when it is too much: that
// decides the check.
bool Probe::take(std::string_view data, std::size_t consumed) {
  const std::size_t room = kProbeBodyMax - outcome_.body.size();
  outcome_.body.append(data.substr(0, room));
  if (data.size() > room) {
    finish_searched(ProbeResult::too_large);
    return false;
  }
  in.consume(consumed);
  return true;
}

void Probe::body_ended() {
  outcome_.body_complete = true;
  finish_searched(ProbeResult::lacks_text);
}

void Probe::input_ended() {
  switch (state_) {
    case State::head:
      return finish(parser_.untouched() ? ProbeResult::closed : ProbeResult::cut_short);
    case State::body:
      if (framing_ == Framing::until_close) return body_ended();
      return finish(ProbeResult::cut_short);
    case State::expecting:
      return finish(outcome_.body.empty() ? ProbeResult::closed : ProbeResult::lacks_text);
    case State::connecting:
    case State::sending:
    case State::done: break;
  }
}

const char* to_string(Probe::State state) {
  switch (state) {
    case Probe::State::connecting: return "connecting";
    case Probe::State::sending: return "sending";
    case Probe::State::head: return "head";
    case Probe::State::body: return "body";
    case Probe::State::expecting: return "expecting";
    case Probe::State::done: return "done";
  }
  return "?";
}

}  // namespace weir::upstream
