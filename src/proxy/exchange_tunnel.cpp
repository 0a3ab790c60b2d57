// Tunnels: a request that has become a connection, by a 101 of the server or by CONNECT.

#include "http/error_page.h"
#include "proxy/exchange.h"
#include "proxy/server_report.h"
#include "proxy/worker.h"

namespace weir::proxy {

// The server is connected: that is all a CONNECT asks for.
Exchange::Progress Exchange::answer_connect() {
  if (core_.request() != RequestState::complete) return Progress::blocked;
  if (!client_.out.lease(worker_.buffers())) {
    answer(refusal(ProxyError::buffers_exhausted));
    return Progress::moved;
  }
  attempt_answered(200);
  client_.out.produced(
      http::write_connect_response(client_.out.room_at(), client_.out.room(), worker_.date()));
  answer_head_seen(200);
  tunnel_begin();
  return Progress::moved;
}

// The head that says so lies in the client's `out`. What either side has sent behind its head is
// in `in` and goes first.
void Exchange::tunnel_begin() {
  upstream::ServerConnection& server = *attempt_.connection;
  server.out.release();
  client_persists_ = false;
  ends_by_close_ = true;
  if (plan_->tcp_keepalive_s > 0) os::keep_alive(server.fd, plan_->tcp_keepalive_s);
  tunnel_ = std::make_unique<Tunnel>();
  tunnel_->relay.begin(client_, server, worker_.pipes(), now_ms());
  tunnel_->log_line = log_line_.readable();
  log_line_.release();
  worker_.counters().relays.add();
  worker_.counters().relays_open.add();
  core_.enter(ResponseState::tunnel);
}

Exchange::Progress Exchange::relay_tunnel() {
  const Relay::Outcome outcome = tunnel_->relay.step(now_ms());
  bulk_ = tunnel_->relay.bulk();
  return tunnel_concluded(outcome);
}

void Exchange::tunnel_expired() {
  tunnel_concluded(tunnel_->relay.expired(now_ms(), listener_plan().tunnel_idle_timeout_ms));
}

Exchange::Progress Exchange::tunnel_concluded(Relay::Outcome outcome) {
  switch (outcome) {
    case Relay::Outcome::wait: return Progress::blocked;
    case Relay::Outcome::again: return Progress::budget;
    case Relay::Outcome::finished:
      close_reason_ = CloseReason::relay_finished;
      core_.enter(ResponseState::complete);
      break;
    case Relay::Outcome::client_broken:
      tunnel_cut();
      client_lost(ProxyError::client_closed);
      break;
    case Relay::Outcome::server_broken:
      break_response(refusal(ProxyError::upstream_reset));
      close_reason_ = CloseReason::server_broken;
      break;
    case Relay::Outcome::idle:
      tunnel_cut();
      break_response(refusal(ProxyError::tunnel_idle_timeout));
      close_reason_ = CloseReason::idle_timeout;
      break;
    case Relay::Outcome::no_buffer:
      tunnel_cut();
      break_response(refusal(ProxyError::buffers_exhausted));
      break;
  }
  return Progress::moved;
}

// The server must not take this for the client's end.
void Exchange::tunnel_cut() { os::close_with_reset(attempt_.connection->fd); }

}  // namespace weir::proxy
