#include "proxy/exchange_core.h"

namespace weir::proxy {

Retry retry_after(const AttemptFacts& facts) {
  // Connecting failed: no server knows of this request.
  if (!facts.connected) return Retry::other_server;
  if (!facts.held) return Retry::none;
  if (facts.answer_begun) {
    // The server acts on the request: to wait for the rest of its answer is all that can be done,
    // unless there is none to wait for, and acting twice is the same as acting once.
    const bool again = facts.broken && facts.idempotent && facts.whole;
    return again ? Retry::other_within_budget : Retry::none;
  }
  // A kept connection that the server closed at the moment of use (RFC 9112 9.3.1): not a sign of
  // a broken server. A silent one is.
  const bool closed_unused = facts.reused && !facts.timed_out;
  if (closed_unused && (facts.idempotent || !facts.sent)) return Retry::fresh_connection;
  if (!facts.sent) return Retry::other_server;
  if (facts.idempotent && facts.whole) return Retry::other_within_budget;
  return Retry::none;
}

ClientFate ExchangeCore::client_fate(bool client_persists, bool unread) const {
  if (response_ != ResponseState::complete) return ClientFate::close_as_broken;
  if (request_ == RequestState::complete && client_persists) return ClientFate::keep;
  if (request_ == RequestState::complete && !unread) return ClientFate::close;
  return ClientFate::close_staged;
}

const char* to_string(RequestState state) {
  switch (state) {
    case RequestState::head: return "head";
    case RequestState::ready: return "ready";
    case RequestState::sending: return "sending";
    case RequestState::complete: return "complete";
    case RequestState::discarding: return "discarding";
    case RequestState::ended: return "ended";
  }
  return "?";
}

const char* to_string(ResponseState state) {
  switch (state) {
    case ResponseState::none: return "none";
    case ResponseState::relaying: return "relaying";
    case ResponseState::tunnel: return "tunnel";
    case ResponseState::local: return "local";
    case ResponseState::complete: return "complete";
    case ResponseState::broken: return "broken";
  }
  return "?";
}

}  // namespace weir::proxy
