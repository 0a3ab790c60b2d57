#include "control/local_connection.h"

#include <utility>

#include "control/local_http.h"
#include "http/date.h"
#include "http/output.h"
#include "http/status.h"
#include "proxy/errors.h"

namespace weir::control {
namespace {

using loop::RunClass;
using os::IoStatus;

constexpr std::size_t kWriteBytesPerStep = 256 * 1024;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// RFC 9110 15.5.6 demands Allow with 405.
constexpr std::string_view kAllow = "Allow: GET, HEAD\r\n";

LocalResponse make_error(std::uint16_t status, std::string_view text) {
  LocalResponse response;
  response.status = status;
  response.body = std::to_string(status) + " ";
  response.body += http::reason_phrase(status);
  response.body += "\n";
  response.body += text;
  response.body += "\n";
  if (status == 405) response.extra_fields = kAllow;
  if (status == 503) response.extra_fields = "Retry-After: 1\r\n";
  return response;
}

}  // namespace

LocalConnection::LocalConnection(LocalHttpServer& server, os::Fd socket)
    : Connection(loop::SourceKind::admin, server.loop_, server.buffers_, server.counters_.traffic),
      server_(server) {
  fd = std::move(socket);
  ready.reset(loop::Readiness::kUnknown);
  parser_.begin(http::HeadParser::Mode::request, {});
}

LocalConnection::~LocalConnection() = default;

bool LocalConnection::start() {
  if (!loop().watch(*this)) return false;
  loop().set_deadline(*this, loop().now_ms() + waiting_timeout_ms());
  loop().schedule(*this);
  return true;
}

void LocalConnection::enter(State next) {
  CHECK(kLocalConnectionNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)]);
  os::trace_transition(os::Machine::local_connection, state_, next);
  state_ = next;
  if (next != State::head) {  // Part of a head is no request: who sends it keeps its turn.
    ListLink<LocalConnectionTag>::unlink();
    const bool spare = next == State::waiting || next == State::lingering;
    (spare ? server_.spare_ : server_.busy_).push_back(*this);
  }
  const LocalHttpLimits& limits = server_.limits_;
  const std::uint64_t now_ms = loop().now_ms();
  switch (next) {
    case State::waiting:
      loop().set_deadline(*this, now_ms + waiting_timeout_ms());
      server_.made_room();
      break;
    case State::head: loop().set_deadline(*this, now_ms + limits.head_timeout_ms); break;
    case State::delayed: loop().set_deadline(*this, now_ms + response_->delay_ms); break;
    case State::answering: loop().set_deadline(*this, now_ms + limits.answer_timeout_ms); break;
    case State::lingering:
      loop().set_deadline(*this, now_ms + limits.linger_timeout_ms);
      server_.made_room();
      break;
    case State::closed:
      drop_response();
      --server_.open_;
      loop().retire(*this);
      break;
  }
}

std::uint64_t LocalConnection::waiting_timeout_ms() const {
  if (server_.draining_) return server_.limits_.drain_timeout_ms;
  return answered_ ? server_.limits_.idle_timeout_ms : server_.limits_.head_timeout_ms;
}

void LocalConnection::drain() {
  if (state_ == State::waiting && answered_ && quiet()) return close();
  if (state_ == State::waiting) loop().set_deadline(*this, loop().now_ms() + waiting_timeout_ms());
}

void LocalConnection::run() {
  switch (state_) {
    case State::waiting:
    case State::head: step_read(); break;
    case State::delayed:
      if (ready.error()) close();  // Nobody is left to be answered. A half-close is no reason.
      break;
    case State::answering: step_write(); break;
    case State::lingering: step_linger(); break;
    case State::closed: break;
  }
}

void LocalConnection::expire() {
  switch (state_) {
    case State::head:
      // Empty lines alone are no request that somebody waits for.
      if (parser_.untouched()) return close();
      return refuse(408, proxy::refusal(proxy::ProxyError::client_head_timeout).text);
    case State::delayed: return begin_answer();
    case State::answering:
      server_.counters_.answers_cut.add();
      os::close_with_reset(fd);  // What is in the kernel's buffer goes too.
      return close();
    case State::waiting:
    case State::lingering: return close();
    case State::closed: break;
  }
}

void LocalConnection::reap() { server_.reaped(*this); }

// --- Reading -------------------------------------------------------------------------------------

void LocalConnection::step_read() {
  if (!in.empty() && read_head()) return;  // A pipelined request that is here already.
  if (!ready.may_receive()) return;
  const os::IoResult result = fill();
  if (result.status == IoStatus::again) return;
  if (result.status != IoStatus::done) return close();  // The end, or an error.
  if (!read_head()) loop().schedule(*this);
}

// Returns whether the request was taken up or refused; false when more of its head must come.
bool LocalConnection::read_head() {
  if (state_ == State::waiting) enter(State::head);
  switch (parser_.parse(in.data(), in.size())) {
    case http::ParseStatus::need_more: return false;
    case http::ParseStatus::complete: read_request(); return true;
    case http::ParseStatus::error: break;
  }
  const proxy::Refusal refusal = proxy::refusal(parser_.error());
  refuse(refusal.status, refusal.text);
  return true;
}

void LocalConnection::read_request() {
  head_only_ = parser_.method() == "HEAD";
  const auto info = http::analyse_request(parser_);
  if (!info) {
    const proxy::Refusal refusal = proxy::refusal(info.error());
    return refuse(refusal.status, refusal.text);
  }
  server_.counters_.requests.add();
  close_ = !info->keep_alive;
  say_keep_alive_ = info->http10 && info->keep_alive;
  response_ = std::make_unique<LocalResponse>();
  handle(*info);
  in.consume(parser_.head_bytes());
  if (in.empty()) in.release();
  server_.answer_bytes_ += response_->body.size();
  if (response_->delay_ms == 0) return begin_answer();
  enter(State::delayed);
}

void LocalConnection::handle(const http::RequestInfo& info) {
  const bool has_body = info.body.kind == http::BodyFraming::Kind::chunked || info.body.length != 0;
  close_ = close_ || has_body;  // It is not read, so the next request cannot be found.
  if (info.method != http::MethodId::get && info.method != http::MethodId::head) {
    *response_ = make_error(405, "Only GET and HEAD are answered here.");
  } else if (has_body) {
    *response_ = make_error(413, "A request must not have a body here.");
  } else if (server_.answer_bytes_ >= server_.limits_.answer_bytes_max) {
    server_.counters_.answers_max_hit.add();
    *response_ = make_error(503, "Too many answers are waiting for their clients.");
  } else {
    server_.handler_({info.method, info.path(parser_), info.query(parser_)}, *response_);
  }
}

void LocalConnection::refuse(std::uint16_t status, std::string_view text) {
  server_.counters_.refused.add();
  close_ = true;
  response_ = std::make_unique<LocalResponse>(make_error(status, text));
  server_.answer_bytes_ += response_->body.size();
  begin_answer();
}

// --- Writing -------------------------------------------------------------------------------------

void LocalConnection::begin_answer() {
  close_ = close_ || server_.draining_;
  if (!out.lease(buffers())) return close();
  write_head();
  enter(State::answering);
  step_write();
}

void LocalConnection::write_head() {
  CHECK(!http::is_bodiless(response_->status));
  const auto date = http::format_date(os::wall_clock_ns() / kNsPerSecond);
  http::Output head(out.room_at(), out.room());
  head.put("HTTP/1.1 ");
  head.put_number(response_->status);
  head.put_all(" ", http::reason_phrase(response_->status),
               "\r\nDate: ", std::string_view(date.data(), date.size()),
               "\r\nContent-Type: ", response_->content_type, "\r\nContent-Length: ");
  head.put_number(response_->body.size());
  head.put_all("\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
               response_->extra_fields);
  if (close_) {
    head.put("Connection: close\r\n");
  } else if (say_keep_alive_) {
    head.put("Connection: keep-alive\r\n");
  }
  head.put("\r\n");
  const std::size_t size = head.finish();
  CHECK(size != 0, "the handler's fields do not fit");
  out.produced(size);
}

void LocalConnection::step_write() {
  const std::string_view body = head_only_ ? std::string_view{} : response_->body;
  const os::IoResult result = flush(body.substr(body_sent_, kWriteBytesPerStep));
  if (result.status == IoStatus::again) return;
  if (result.status != IoStatus::done) return close();
  body_sent_ += result.bytes;
  if (out.empty() && body_sent_ == body.size()) return finish_answer();
  // A full socket tells by an edge when there is room.
  if (ready.may_send()) loop().schedule(*this, RunClass::bulk);
}

void LocalConnection::finish_answer() {
  out.release();
  drop_response();
  body_sent_ = 0;
  answered_ = true;
  head_only_ = false;
  if (close_) {
    os::shutdown_send(fd);
    enter(State::lingering);
  } else {
    parser_.begin(http::HeadParser::Mode::request, {});
    enter(State::waiting);
  }
  loop().schedule(*this);
}

void LocalConnection::drop_response() {
  if (response_ == nullptr) return;
  server_.answer_bytes_ -= response_->body.size();
  response_.reset();
}

void LocalConnection::step_linger() {
  in.release();
  if (!ready.may_receive()) return;
  const os::IoResult result = fill();
  if (result.status == IoStatus::again) return;
  if (result.status != IoStatus::done) return close();
  loop().schedule(*this, RunClass::bulk);
}

const char* to_string(LocalConnection::State state) {
  switch (state) {
    case LocalConnection::State::waiting: return "waiting";
    case LocalConnection::State::head: return "head";
    case LocalConnection::State::delayed: return "delayed";
    case LocalConnection::State::answering: return "answering";
    case LocalConnection::State::lingering: return "lingering";
    case LocalConnection::State::closed: return "closed";
  }
  return "?";
}

}  // namespace weir::control
