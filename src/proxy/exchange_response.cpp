// The response's way: reading and understanding the server's head, writing the head for the
// client, moving the body, and the answers of weir's own.

#include <algorithm>

#include "http/error_page.h"
#include "http/writer.h"
#include "proxy/exchange.h"
#include "proxy/server_report.h"
#include "proxy/worker.h"
#include "upstream/sticky_plan.h"

namespace weir::proxy {

// In state none: waits for the server's head.
Exchange::Progress Exchange::read_response() {
  if (attempt_.connection == nullptr || !attempt_.connected) return Progress::blocked;
  if (request_.method == http::MethodId::connect) return answer_connect();
  if (interim_heads_ >= kInterimHeadsPerStep) return Progress::budget;
  upstream::ServerConnection& server = *attempt_.connection;
  const bool nothing_new = server.in.empty() && !server.ready.may_receive();
  if (nothing_new && !attempt_.write_broken) return Progress::blocked;  // As most often.
  return read_response_head();
}

Exchange::Progress Exchange::read_response_head() {
  upstream::ServerConnection& server = *attempt_.connection;
  while (true) {
    if (!server.in.empty()) {
      attempt_.answer_begun = true;
      switch (response_parser_.parse(server.in.data(), server.in.size())) {
        case http::ParseStatus::complete: return relay_head();
        case http::ParseStatus::error: return answer_broken(response_parser_.error());
        case http::ParseStatus::need_more: break;
      }
    }
    if (const std::optional<Progress> progress = receive_response()) return *progress;
  }
}

Exchange::Progress Exchange::answer_broken(http::ParseError rule) {
  broken_rule_ = rule;
  attempt_failed(ProxyError::upstream_protocol);
  return Progress::moved;
}

// Empty when bytes have come.
std::optional<Exchange::Progress> Exchange::receive_response() {
  upstream::ServerConnection& server = *attempt_.connection;
  const std::size_t most = attempt_.answer_begun ? net::kBlockBytes : server.first_receive();
  const os::IoResult result =
      server.ready.may_receive() ? server.fill(most) : os::IoResult{os::IoStatus::again, 0};
  switch (result.status) {
    case os::IoStatus::done: return std::nullopt;
    case os::IoStatus::again:
      if (!attempt_.write_broken) return Progress::blocked;
      attempt_failed(ProxyError::upstream_reset);
      return Progress::moved;
    case os::IoStatus::end:
      attempt_failed(attempt_.answer_begun ? ProxyError::upstream_truncated
                                           : ProxyError::upstream_closed);
      return Progress::moved;
    case os::IoStatus::no_memory:
      answer(refusal(ProxyError::buffers_exhausted));
      return Progress::moved;
    default: attempt_failed(ProxyError::upstream_reset); return Progress::moved;
  }
}

Exchange::Progress Exchange::relay_head() {
  const Result<http::ResponseInfo, http::ParseError> info =
      http::analyse_response(response_parser_, request_.method, upgrade_.text());
  if (!info) return answer_broken(info.error());
  if (info->interim) ++interim_heads_;
  if (info->interim && request_.http10) {  // RFC 9110 15.2: an HTTP/1.0 client knows no 1xx.
    attempt_.connection->in.consume(response_parser_.head_bytes());
    response_parser_.begin(http::HeadParser::Mode::response, {});
    return Progress::moved;
  }
  if (!client_.out.lease(worker_.buffers())) {
    answer(refusal(ProxyError::buffers_exhausted));
    return Progress::moved;
  }
  if (!room_for_head()) return core_.finished() ? Progress::moved : Progress::blocked;
  if (info->switches) return relay_switch(*info);
  return info->interim ? relay_interim(*info) : relay_final(*info);
}

// Interim heads may still wait in `out`; a head is written in one piece.
bool Exchange::room_for_head() {
  const std::size_t most = response_parser_.head_bytes() + http::kWriteExtraMax;
  if (client_.out.room() >= most) return true;
  const os::IoResult result = client_.flush();
  if (result.status != os::IoStatus::done && result.status != os::IoStatus::again) {
    client_lost(ProxyError::client_closed);
    return false;
  }
  if (!client_.out.empty()) return false;
  client_.out.clear();
  return true;
}

Exchange::Progress Exchange::relay_interim(const http::ResponseInfo& info) {
  client_.out.produced(http::write_response_head(client_.out.room_at(), client_.out.room(),
                                                 response_parser_, info, {}));
  attempt_.connection->in.consume(response_parser_.head_bytes());
  response_parser_.begin(http::HeadParser::Mode::response, {});
  continue_sent_ = continue_sent_ || info.status == 100;
  return Progress::moved;
}

// A 101 that was asked for. A server that has not read the whole request cannot mean it.
Exchange::Progress Exchange::relay_switch(const http::ResponseInfo& info) {
  if (core_.request() != RequestState::complete) {
    return answer_broken(http::ParseError::unexpected_upgrade);
  }
  attempt_answered(info.status);
  const std::size_t written = http::write_response_head(client_.out.room_at(), client_.out.room(),
                                                        response_parser_, info, response_options());
  if (written == 0) return answer_broken(http::ParseError::head_too_large);
  client_.out.produced(written);
  attempt_.connection->in.consume(response_parser_.head_bytes());
  answer_head_seen(info.status);
  tunnel_begin();
  return Progress::moved;
}

// The first receive was for a large answer and this is a small one: the rest is to leave with the
// head. False: there is no rest to come, and the attempt has failed.
bool Exchange::whole_if_small(const http::ResponseInfo& info) {
  upstream::ServerConnection& server = *attempt_.connection;
  const bool cut = info.body.kind == http::BodyFraming::Kind::length &&
                   server.in.size() == server.first_receive() && server.ready.may_receive();
  // For more, what is there would have to be moved within its block.
  const std::uint64_t whole = response_parser_.head_bytes() + info.body.length;
  if (!cut || whole <= server.in.size() || whole > net::kBlockBytes / 2) return true;
  if (!receive_response()) return true;
  return attempt_.connection != nullptr && core_.response() == ResponseState::none;
}

Exchange::Progress Exchange::relay_final(const http::ResponseInfo& info) {
  using Kind = http::BodyFraming::Kind;
  if (!whole_if_small(info)) return Progress::moved;
  if (!plan_->retry.statuses.empty() && retry_for_status(info.status)) return Progress::moved;
  attempt_answered(info.status);
  const bool delimited = info.body.kind == Kind::none || info.body.kind == Kind::length;
  const bool chunked = !delimited && !request_.http10;
  ends_by_close_ = !delimited && !chunked;
  decide_persistence(response_closes(info, chunked));

  http::ResponseOptions options = response_options();
  options.chunked = chunked;
  options.close = !client_persists_;
  options.keep_alive = client_persists_ && request_.http10;
  options.date = worker_.date();
  const std::size_t written = http::write_response_head(client_.out.room_at(), client_.out.room(),
                                                        response_parser_, info, options);
  if (written == 0) return answer_broken(http::ParseError::head_too_large);
  client_.out.produced(written);
  upstream::ServerConnection& server = *attempt_.connection;
  attempt_.head_bytes = static_cast<std::uint32_t>(response_parser_.head_bytes());
  server.in.consume(attempt_.head_bytes);
  response_flow_.begin(info.body, chunked, response_parser_, {});
  response_flow_.splice_through(worker_.pipes());
  server_idle_ms_ = keep_time_ms(info, plan_->idle_timeout_ms);
  answer_head_seen(info.status);
  core_.enter(ResponseState::relaying);
  if (core_.request() == RequestState::complete) server.out.release();
  return send_response();
}

void Exchange::answer_head_seen(std::uint16_t status) {
  status_ = status;
  first_byte_us_ = now_us() - attempt_.started_us;
  upstream::ServerCounters& counters = attempt_.pick->pool->counters();
  counters.responses.add();
  counters.first_byte_us.record(first_byte_us_);
}

// What an answer says whatever becomes of the connection.
http::ResponseOptions Exchange::response_options() const {
  http::ResponseOptions options;
  options.via = listener_plan().forwarded.via;
  if (plan_->sticky != nullptr && !keeps_cookie()) {
    options.set_cookie = plan_->sticky->set_cookie(attempt_.pick->server);
  }
  return options;
}

// The client has its cookie, or its server is only full for the moment.
bool Exchange::keeps_cookie() const {
  if (!choice_.bound) return false;
  return *choice_.bound == attempt_.pick->server || backend_->takes_bound(*plan_, *choice_.bound);
}

// Whether this is the last answer on the client's connection. `reason`: why the answer itself
// demands that, if it does.
void Exchange::decide_persistence(std::optional<CloseReason> reason) {
  if (!client_persists_) return;
  if (worker_.wants_place_of(client_)) reason = CloseReason::crowded;
  if (worker_.draining()) reason = CloseReason::draining;
  client_persists_ = !reason;
  close_reason_ = reason.value_or(close_reason_);
}

// Why an answer of this kind must be the connection's last one, if it must.
std::optional<CloseReason> Exchange::response_closes(const http::ResponseInfo& info,
                                                     bool chunked) const {
  const bool until_close = info.body.kind != http::BodyFraming::Kind::none &&
                           info.body.kind != http::BodyFraming::Kind::length && !chunked;
  if (until_close) return CloseReason::server_framing;
  if (core_.request() != RequestState::sending) return std::nullopt;
  // A server that leaves after an early answer will not take the rest of the request.
  const bool leaves = !info.keep_alive || attempt_.write_broken;
  // RFC 9110 10.1.1: a client that got a final answer instead of 100 may send the body or not; only
  // the end of the connection tells its bytes from a next request.
  if (leaves || body_in_doubt()) return CloseReason::answered_early;
  return std::nullopt;
}

// The client waits for 100 and has sent nothing of its body yet.
bool Exchange::body_in_doubt() const {
  return request_.expects_continue && !continue_sent_ && request_flow_.body_bytes() == 0 &&
         client_.in.empty();
}

Exchange::Progress Exchange::send_response() {
  const BodyFlow::Status status = response_flow_.pump(*attempt_.connection, client_);
  const bool progressed = response_flow_.progressed();
  switch (status) {
    case BodyFlow::Status::complete: response_completed(); break;
    case BodyFlow::Status::need_input:
      touch(response_stall_, false, progressed, now_ms());
      return Progress::blocked;
    case BodyFlow::Status::blocked_output:
      touch(response_stall_, true, progressed, now_ms());
      return Progress::blocked;
    case BodyFlow::Status::working:
      touch(response_stall_, false, progressed, now_ms());
      bulk_ = true;
      return Progress::budget;
    case BodyFlow::Status::source_ended: cut_short(ProxyError::upstream_truncated); break;
    case BodyFlow::Status::source_failed: cut_short(ProxyError::upstream_reset); break;
    case BodyFlow::Status::sink_failed: client_lost(ProxyError::client_closed); break;
    case BodyFlow::Status::malformed:
      cut_short(ProxyError::upstream_protocol, response_flow_.error());
      break;
    case BodyFlow::Status::no_buffer: break_response(refusal(ProxyError::buffers_exhausted)); break;
  }
  return Progress::moved;
}

Exchange::Progress Exchange::send_local() {
  const os::IoResult result = client_.flush();
  if (client_.out.empty()) {
    response_completed();
    return Progress::moved;
  }
  if (result.status != os::IoStatus::done && result.status != os::IoStatus::again) {
    client_lost(ProxyError::client_closed);
    return Progress::moved;
  }
  touch(response_stall_, true, result.status == os::IoStatus::done, now_ms());
  return Progress::blocked;
}

void Exchange::response_completed() {
  core_.enter(ResponseState::complete);
  client_.out.release();
  attempt_end();
  request_over();
}

// An answer of weir's own, unless the client has seen a part of another one.
void Exchange::answer(const Refusal& cause) {
  if (core_.response() != ResponseState::none) {
    break_response(cause);
    return;
  }
  note_error(cause);
  close_reason_ = CloseReason::refused;
  local_begin(cause.status);
  http::ErrorResponse page;
  page.status = cause.status;
  page.word = cause.word;
  page.rule = cause.rule;
  page.text = cause.text;
  page.head_request = request_.method == http::MethodId::head;
  page.close = !client_persists_;
  page.keep_alive = client_persists_ && request_.http10;
  page.retry_after_s = cause.retry_after_s;
  page.date = worker_.date();
  local_end(http::write_error_response(client_.out.room_at(), client_.out.room(), page));
}

// OPTIONS with Max-Forwards: 0 ends here (RFC 9110 7.6.2).
void Exchange::answer_options() {
  local_begin(200);
  local_end(http::write_options_response(client_.out.room_at(), client_.out.room(),
                                         !client_persists_, client_persists_ && request_.http10,
                                         worker_.date()));
}

// Gives up the server, decides what becomes of the rest of the request, and makes room.
void Exchange::local_begin(std::uint16_t status) {
  status_ = status;
  attempt_end();
  outgoing_.release();
  decide_persistence(std::nullopt);
  if (core_.request() == RequestState::head || request_flow_.error() != http::ParseError::none ||
      body_in_doubt()) {
    client_persists_ = false;
  }
  request_over();
  // Without a block there is no room, and local_end() finds nothing written.
  if (client_.out.lease(worker_.buffers()) && client_.out.room() < http::kErrorResponseBytesMax) {
    client_.out.compact();
  }
}

void Exchange::local_end(std::size_t written) {
  // Interim heads are written only where this much room stays, so an answer always fits.
  static_assert(http::kWriteExtraMax >= http::kErrorResponseBytesMax);
  client_.out.produced(written);
  if (!client_.out.empty()) {
    core_.enter(ResponseState::local);
    return;
  }
  close_reason_ = CloseReason::no_memory;
  core_.enter(ResponseState::broken);
}

// The server has answered and does not bring the answer to its end.
void Exchange::cut_short(ProxyError error, http::ParseError rule) {
  note_cut_answer(*attempt_.pick, is_bad_status(status_));
  break_response(refusal(error, rule));
}

// The client has seen a part of the answer, and there will be no more.
void Exchange::break_response(const Refusal& cause) {
  note_error(cause);
  close_reason_ = CloseReason::answer_cut_short;
  (void)client_.flush();  // What was good of the answer shows where it was cut.
  core_.enter(ResponseState::broken);
  if (core_.request() != RequestState::ended) core_.enter(RequestState::ended);
}

}  // namespace weir::proxy
