#include "proxy/session.h"

#include <utility>

#include "proxy/access_log.h"
#include "proxy/hand_over.h"
#include "proxy/networks.h"
#include "proxy/worker.h"
#include "wire/proxy_protocol.h"

namespace weir::proxy {
namespace {

using Family = wire::ProxyAddress::Family;

// What begins a connection is read into one block, and so is what a header adds to a request.
static_assert(wire::kProxyV2BytesMax < net::kBlockBytes);

os::Peer to_peer(const wire::ProxyAddress& address) {
  os::Peer peer;
  peer.ip = address.ip;
  peer.port = address.port;
  switch (address.family) {
    case Family::none: break;
    case Family::ipv4: peer.family = os::Peer::Family::ipv4; break;
    case Family::ipv6: peer.family = os::Peer::Family::ipv6; break;
  }
  return peer;
}

wire::ProxyAddress to_proxy_address(const os::Peer& peer) {
  wire::ProxyAddress address;
  address.ip = peer.ip;
  address.port = peer.port;
  switch (peer.family) {
    case os::Peer::Family::none: break;
    case os::Peer::Family::ipv4: address.family = Family::ipv4; break;
    case os::Peer::Family::ipv6: address.family = Family::ipv6; break;
  }
  return address;
}

}  // namespace

Session::Session(Worker& worker, std::uint32_t listener, os::Fd socket, const os::Peer& peer)
    : Connection(loop::SourceKind::downstream, worker.loop(), worker.buffers(),
                 worker.traffic(listener)),
      worker_(worker),
      peer_(peer),
      listener_(listener),
      idle_since_ms_(worker.loop().now_ms()),
      to_be_greeted_(!plan().accept_proxy.empty()) {
  fd = std::move(socket);
  ready.reset(loop::Readiness::kUnknown);
}

Session::Session(Worker& worker, MovingClient& client)
    : Session(worker, client.listener, std::move(client.fd), client.peer) {
  to_be_greeted_ = false;
  steady_ = true;
  introduction_ = std::move(client.introduction);
}

const ListenerPlan& Session::plan() const { return worker_.listener_plan(listener_); }

void Session::begin_idle() {
  idle_since_ms_ = now_ms();
  worker_.idle_changed();
}

bool Session::ensure_watched() {
  if (watched() || loop().watch(*this)) return true;
  watch_failed();
  return false;
}

bool Session::ensure_watched_soon() {
  if (watched() || loop().watch_late(*this)) return true;
  watch_failed();
  return false;
}

void Session::watch_failed() { abort(CloseReason::no_memory); }

std::string_view Session::broken_rule() const {
  return broken_rule_ == wire::ProxyError::none ? std::string_view{} : to_string(broken_rule_);
}

void Session::log_connection(std::uint64_t started_us, std::string_view server_name,
                             LoggedOutcome& outcome) {
  net::Buffer line;
  if (worker_.access_log() == nullptr || !line.lease(buffers())) return;
  char client_text[os::Peer::kTextMax];
  LoggedConnection logged;
  outcome.duration_us = now_us() - started_us;
  logged.wall_clock_ns = os::wall_clock_ns() - outcome.duration_us * 1000;
  logged.client = peer_.text(client_text);
  logged.client_port = peer_.port;
  logged.listener = worker_.listener_state(listener_).name;
  logged.server_name = server_name;
  proxy::log_connection(line, logged);
  outcome.http = false;
  if (outcome.rule.empty()) outcome.rule = broken_rule();
  log_outcome(line, outcome);
  if (!worker_.access_log()->push(line.readable())) worker_.counters().log_lines_dropped.add();
}

bool Session::linger_begin() {
  worker_.session_lingers(*this);
  os::shutdown_send(fd);
  if (!ensure_watched()) return false;
  loop().set_deadline(*this, now_ms() + kLingerMs);
  return true;
}

bool Session::linger_step() {
  in.clear();
  for (std::size_t dropped = 0; ready.may_receive();) {
    const os::IoResult result = fill();
    if (result.status == os::IoStatus::again) break;
    if (result.status != os::IoStatus::done) return false;
    in.clear();
    dropped += result.bytes;
    if (dropped >= kLingerStepBytes) {
      loop().schedule(*this, loop::RunClass::bulk);
      return true;
    }
  }
  in.release();
  return true;
}

void Session::end(CloseReason reason) {
  worker_.counters().closes[static_cast<std::size_t>(reason)].add();
  in.release();
  out.release();
  connection_owner_.reset();
  worker_.session_ended(*this);
}

bool Session::owes_greeting() const {
  return to_be_greeted_ && contains(plan().accept_proxy, peer_);
}

std::uint64_t Session::greeting_patience_ms() const {
  return worker_.draining() ? kDrainPatienceMs : plan().client_head_timeout_ms;
}

Session::Greeting Session::greet() {
  while (to_be_greeted_) {
    const Greeting greeting = owes_greeting() ? read_greeting() : suspect_greeting();
    if (greeting != Greeting::waiting || !ready.may_receive()) return greeting;
    switch (fill().status) {
      case os::IoStatus::done: break;
      case os::IoStatus::again: return Greeting::waiting;
      case os::IoStatus::no_memory: return Greeting::no_memory;
      case os::IoStatus::end:
        // Who leaves without a word has looked whether the port is open.
        if (in.empty() || !owes_greeting()) return Greeting::left;
        greeting_cut_short();
        return Greeting::bad;
      default: return Greeting::broken;
    }
  }
  return Greeting::complete;
}

Session::Greeting Session::read_greeting() {
  using Status = wire::ProxyParse::Status;
  if (in.empty()) return Greeting::waiting;
  wire::ProxyHeader header;
  const wire::ProxyParse parsed = wire::parse_proxy_header(in.readable(), header);
  if (parsed.status == Status::need_more) return Greeting::waiting;
  if (parsed.status == Status::complete) return introduced(header, parsed.size);
  broken_rule_ = parsed.error;
  return Greeting::bad;
}

void Session::greeting_cut_short() {
  if (!in.empty()) broken_rule_ = wire::ProxyError::truncated;
}

Session::Greeting Session::suspect_greeting() {
  switch (wire::proxy_prefix(in.readable())) {
    case wire::ProxyPrefix::open: return Greeting::waiting;
    case wire::ProxyPrefix::yes: return Greeting::untrusted;
    case wire::ProxyPrefix::no: break;
  }
  to_be_greeted_ = false;
  return Greeting::complete;
}

// A proxy's own connection (a health check of it) and unknown addresses leave the client as it is.
Session::Greeting Session::introduced(const wire::ProxyHeader& header, std::size_t size) {
  to_be_greeted_ = false;
  auto introduction = std::make_unique<Introduction>();
  if (header.command == wire::ProxyCommand::proxy && header.source.family != Family::none) {
    peer_ = to_peer(header.source);
    introduction->destination = to_peer(header.destination);
  } else {
    introduction->destination = os::local_name(fd);
  }
  introduction->tlvs = header.tlvs;
  introduction_ = std::move(introduction);
  in.consume(size);
  if (in.empty()) in.release();
  if (!worker_.refuses_connection(listener_, peer_)) return Greeting::complete;
  os::close_with_reset(fd);
  return Greeting::over_limit;
}

// Out of epoll here before it can get into another worker's.
MovingClient Session::leave() {
  loop().unwatch(*this);
  in.release();
  return {std::move(fd), peer_, listener_, true, std::move(introduction_)};
}

upstream::ConnectionOwner& Session::connection_owner() {
  if (connection_owner_ == nullptr) {
    connection_owner_ = std::make_unique<upstream::ConnectionOwner>();
  }
  return *connection_owner_;
}

bool Session::write_proxy_header(unsigned version, net::Buffer& to) {
  if (!to.lease(buffers())) return false;
  wire::ProxyHeader header;
  header.source = to_proxy_address(peer_);
  header.destination =
      to_proxy_address(introduction_ != nullptr ? introduction_->destination : os::local_name(fd));
  if (introduction_ != nullptr) header.tlvs = introduction_->tlvs;
  to.produced(version == 1 ? wire::write_proxy_v1(to.room_at(), header)
                           : wire::write_proxy_v2(to.room_at(), header));
  return true;
}

}  // namespace weir::proxy
