// The request's way: reading and understanding the head, routing it, writing the head for the
// server, and moving the body.

#include <algorithm>
#include <ranges>
#include <string>

#include "balance/hash_key.h"
#include "http/scan.h"
#include "http/writer.h"
#include "proxy/exchange.h"
#include "proxy/networks.h"
#include "proxy/request_key.h"
#include "proxy/worker.h"
#include "upstream/sticky_plan.h"

namespace weir::proxy {
namespace {

// What is left of a body that nobody wants is read this far, to keep the connection.
constexpr std::uint64_t kDiscardBytesMax = 256 * 1024;

// Of the route's limits; most have none.
[[gnu::noinline]] std::optional<RateVerdict> over_limit(const Route& route,
                                                        const Snapshot& snapshot,
                                                        const os::Peer& client,
                                                        const http::HeadParser& head,
                                                        std::uint64_t now_ns) {
  const auto limits = route.limits | std::views::transform([&](std::uint32_t limit) {
                        return snapshot.limits()[limit];
                      });
  return refused_by_any(limits, client, &head, now_ns);
}

// As in a Host field; empty without an address.
std::string host_text(const os::Peer& name) {
  char room[os::Peer::kTextMax];
  const std::string address(name.text(room));
  if (address.empty()) return address;
  const bool brackets = address.find(':') != std::string::npos;
  return (brackets ? "[" + address + "]" : address) + ":" + std::to_string(name.port);
}

}  // namespace

// Empty once the head is complete, or refused.
std::optional<Exchange::Outcome> Exchange::read_head() {
  while (true) {
    if (!client_.in.empty()) {
      const http::ParseStatus status = request_parser_.parse(client_.in.data(), client_.in.size());
      if (status != http::ParseStatus::need_more) {
        understand_head();
        return std::nullopt;
      }
    }
    const bool untouched = client_.in.empty();
    if (!client_.ready.may_receive()) return untouched ? Outcome::untouched : Outcome::wait;
    const os::IoResult result = client_.fill();
    switch (result.status) {
      case os::IoStatus::done: break;
      case os::IoStatus::again: return untouched ? Outcome::untouched : Outcome::wait;
      case os::IoStatus::no_memory:
        worker_.counters().errors[refusal(ProxyError::buffers_exhausted).index].add();
        close_reason_ = CloseReason::no_memory;
        return Outcome::gone;
      default:
        // Closed between requests, or in the middle of a head: nobody waits for an answer.
        close_reason_ = request_parser_.untouched() && result.status == os::IoStatus::end
                            ? CloseReason::client_finished
                            : CloseReason::client_gone;
        return Outcome::gone;
    }
  }
}

// It is complete, or will never be. HEAD gets no page, whatever is wrong with the fields.
void Exchange::head_ended() {
  head_read_ = true;
  if (request_parser_.fields_at() > 0) request_.method = http::method_id(request_parser_.method());
  client_.head_arrived();
  worker_.counters().requests.add();
  worker_.counters().requests_in_flight.add();
}

void Exchange::understand_head() {
  head_ended();
  if (request_parser_.status() == http::ParseStatus::error) {
    log_head();
    answer(refusal(request_parser_.error()));
    return;
  }
  const Result<http::RequestInfo, http::ParseError> info = http::analyse_request(request_parser_);
  if (info) request_ = *info;
  log_head();
  if (!info) {
    answer(refusal(info.error()));
    return;
  }
  // RFC 9110 7.4: only through TLS, or by the gateway that has ended it.
  if (request_.https && !trusts_client()) {
    answer(refusal(ProxyError::https_without_tls));
    return;
  }
  client_persists_ = request_.keep_alive;
  route_request();
}

// What it says about who asked, and how, may be believed.
bool Exchange::trusts_client() const {
  return contains(listener_plan().forwarded.trusted_proxies, client_.peer());
}

void Exchange::route_request() {
  const http::HeadParser& head = request_parser_;
  request_flow_.begin(request_.body, request_.body.kind == http::BodyFraming::Kind::chunked,
                      request_parser_, {});
  request_flow_.splice_through(worker_.pipes());
  if (http::is_idempotent(request_.method)) request_flow_.hold();
  const bool connect = request_.method == http::MethodId::connect;
  const Router& router = use_.snapshot->router();
  route_ = connect ? router.match_connect(client_.listener(), head, request_)
                   : router.match(client_.listener(), head.view(request_.host), request_.path(head),
                                  head.method());
  const std::optional<RateVerdict> over = route_ != nullptr ? choose_backend() : std::nullopt;
  if (route_ != nullptr && request_.offers_upgrade) {
    upgrade_ = http::choose_upgrades(head, request_, route_->upgrade);
  }
  if (route_ != nullptr && route_->mirror.percent > 0 && !connect && upgrade_.empty()) {
    mirror_choose();
  }
  const bool written = route_ != nullptr && write_outgoing_head();
  client_.in.consume(head.head_bytes());
  if (client_.in.empty()) client_.in.release();
  core_.enter(RequestState::ready);
  if (route_ == nullptr) {
    answer(connect ? refusal(http::ParseError::connect_not_allowed)
                   : refusal(ProxyError::no_route));
  } else if (over) {
    Refusal cause = refusal(ProxyError::rate_limited);
    cause.retry_after_s = over->retry_after_s;
    answer(cause);
  } else if (request_.max_forwards == 0) {
    answer_options();
  } else if (!outgoing_.leased()) {
    answer(refusal(ProxyError::buffers_exhausted));
  } else if (!written) {
    answer(refusal(ProxyError::head_too_large_to_forward));
  } else {
    backend_->retry_budget().deposit(plan_->retry.budget_percent);
  }
}

// What has to be known of the head for choosing a server later on. A verdict when a limit of the
// route has been reached.
std::optional<RateVerdict> Exchange::choose_backend() {
  const std::uint32_t index =
      route_->backends.pick(route_->backends.single() ? 0 : worker_.random());
  plan_ = &use_.snapshot->backends()[index];
  backend_ = use_.backends[index];
  choice_.aim(*plan_, *backend_);
  if (!route_->limits.empty()) {
    const auto over =
        over_limit(*route_, *use_.snapshot, client_.peer(), request_parser_, loop_.now_ns());
    if (over) return over;
  }
  if (plan_->hash_source != upstream::HashSource::none) {
    choice_.tried = balance::Attempt(hash_key(*plan_));
  }
  if (plan_->sticky != nullptr) choice_.bound = server_of_cookie();
  choice_.priority = plan_->priority_header.empty() ? route_->priority : queue_priority();
  return std::nullopt;
}

// Of the keyed field, or of the client's address where the request has no such field, or an empty
// one: those who have none are not all one.
std::uint64_t Exchange::hash_key(const upstream::BackendPlan& plan) {
  const auto value = hash_value(plan, request_parser_, request_);
  if (value && !value->empty()) return balance::hash_key(*value);
  if (plan.hash_source != upstream::HashSource::address) {
    worker_.counters().hash_keys_missing.add();
  }
  const std::string_view address = address_bytes(client_.peer());
  return address.empty() ? worker_.random() : balance::hash_key(address);
}

std::optional<std::uint32_t> Exchange::server_of_cookie() const {
  const http::HeadParser& head = request_parser_;
  for (const http::Field& field : head.fields()) {
    if (!http::scan::equals_lower(head.name(field), "cookie")) continue;
    if (const auto server = plan_->sticky->server_of(head.value(field))) return server;
  }
  return std::nullopt;
}

// As the request's own field says, if it says it well.
std::uint8_t Exchange::queue_priority() const {
  const std::optional<std::string_view> value = find_field(request_parser_, plan_->priority_header);
  const bool valid = value && value->size() == 1 && (*value)[0] >= '0' && (*value)[0] <= '3';
  return valid ? static_cast<std::uint8_t>((*value)[0] - '0') : route_->priority;
}

// A CONNECT has none: its server sees what follows.
bool Exchange::write_outgoing_head() {
  if (!outgoing_.lease(worker_.buffers())) return false;
  if (plan_->send_proxy != 0) {
    if (!client_.write_proxy_header(plan_->send_proxy, outgoing_)) return false;
    introduction_bytes_ = outgoing_.size();
  }
  if (request_.method == http::MethodId::connect) return true;
  char client_text[os::Peer::kTextMax];
  const config::ForwardedHeaders& forwarded = listener_plan().forwarded;
  http::ForwardOptions options;
  options.x_forwarded = forwarded.x_forwarded;
  options.forwarded = forwarded.forwarded;
  options.via = forwarded.via;
  options.upgrade = upgrade_.text();
  options.trusted = trusts_client();
  options.client_ip = client_.peer().text(client_text);
  if (request_.authority.size > 0) return write_outgoing_head(options);
  const std::string own_address = host_text(os::local_name(client_.fd));
  options.default_host = own_address;
  return write_outgoing_head(options);
}

bool Exchange::write_outgoing_head(const http::ForwardOptions& options) {
  const std::size_t written = http::write_request_head(outgoing_.room_at(), outgoing_.room(),
                                                       request_parser_, request_, options);
  outgoing_.produced(written);
  return written > 0;
}

Exchange::Progress Exchange::send_request() {
  if (attempt_.write_broken) return Progress::blocked;
  upstream::ServerConnection& server = *attempt_.connection;
  if (server.ready.error()) return server_left();
  const BodyFlow::Status status = request_flow_.pump(client_, server);
  const bool progressed = request_flow_.progressed();
  switch (status) {
    case BodyFlow::Status::complete:
      request_sent_us_ = now_us();
      if (!attempt_.reported) attempt_.pick->pool->counters().unanswered.add();
      core_.enter(RequestState::complete);
      mirror_request();
      if (!request_flow_.repeatable()) server.out.release();
      if (client_.in.empty()) client_.in.release();
      // What follows is the response's, whose turn comes next in any case.
      return core_.finished() ? Progress::moved : Progress::blocked;
    case BodyFlow::Status::need_input:
      touch(request_stall_, true, progressed, now_ms());
      return Progress::blocked;
    case BodyFlow::Status::blocked_output:
      touch(request_stall_, false, progressed, now_ms());
      return Progress::blocked;
    case BodyFlow::Status::working:
      touch(request_stall_, false, progressed, now_ms());
      bulk_ = true;
      return Progress::budget;
    case BodyFlow::Status::source_ended:
      client_persists_ = false;
      answer(refusal(ProxyError::request_truncated));
      break;
    case BodyFlow::Status::source_failed: client_lost(ProxyError::client_closed); break;
    case BodyFlow::Status::malformed: answer(refusal(request_flow_.error())); break;
    case BodyFlow::Status::no_buffer: answer(refusal(ProxyError::buffers_exhausted)); break;
    case BodyFlow::Status::sink_failed: return server_left();
  }
  return Progress::moved;
}

// It takes no more of the request. It may have answered early, and what it said is still to be
// read.
Exchange::Progress Exchange::server_left() {
  attempt_.write_broken = true;
  touch(request_stall_, false, true, now_ms());
  attempt_.connection->ready.latch(os::kReadable);
  return Progress::blocked;
}

Exchange::Progress Exchange::discard_request() {
  const BodyFlow::Status status = request_flow_.discard(client_);
  if (status == BodyFlow::Status::complete) {
    core_.enter(RequestState::complete);
    if (client_.in.empty()) client_.in.release();
    return Progress::moved;
  }
  if (request_flow_.body_bytes() - discard_from_ > kDiscardBytesMax) {
    discard_limit_hit();
    return Progress::moved;
  }
  if (status == BodyFlow::Status::working) return Progress::budget;
  if (status == BodyFlow::Status::need_input) return Progress::blocked;
  core_.enter(RequestState::ended);
  return Progress::moved;
}

void Exchange::discard_limit_hit() {
  worker_.counters().discard_max_hit.add();
  core_.enter(RequestState::ended);
}

// Reads on when that lets the client keep its connection, else stops here. Nobody wants these
// bytes: all of them together have the time that one pause has otherwise.
void Exchange::request_over() {
  const RequestState request = core_.request();
  if (request == RequestState::complete || request == RequestState::discarding ||
      request == RequestState::ended) {
    return;
  }
  discard_from_ = request_flow_.body_bytes();
  request_stall_ = {true, now_ms()};
  const bool read_on = client_persists_ && core_.request() != RequestState::head &&
                       request_flow_.error() == http::ParseError::none;
  core_.enter(read_on ? RequestState::discarding : RequestState::ended);
}

}  // namespace weir::proxy
