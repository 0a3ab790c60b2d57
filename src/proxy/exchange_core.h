// ExchangeCore: where one request and its response stand, and what follows when something breaks.
// Pure: no I/O, no clock. The driver (proxy/exchange.h) feeds it facts and does what it says.
//
//   request    head ----> ready <---> sending ----> complete
//                |          |           |   \           |
//                |          |           |    discarding |
//                v          v           v       v       v
//              ended <------+-----------+-------+-------+        ended: no byte is read any more
//
//   response   none ----> relaying ----> complete
//                |            |
//                +--> local --+--------> broken
//                |            |
//                +--> tunnel -+          each of the three ends in either
//
// Joint rules:
//   - The response may begin while the request is still `sending` (an early answer, or a server
//     that streams both ways); both go on.
//   - When the response is complete before its request, the server gets no more of it and its
//     connection closes: a server that does not read the rest as content would take it for its next
//     request, and answer that to another client. `sending` turns into `discarding` or `ended`.
//   - Going back from `sending` or `complete` to `ready` (another attempt) needs a response `none`.
//   - A tunnel needs a request `complete`; both connections close behind it.
//   - The client's connection is used again only from (complete, complete): request and response
//     both ended exactly.
#pragma once

#include <array>
#include <cstdint>

#include "base/check.h"
#include "os/os.h"
#include "proxy/errors.h"

namespace weir::proxy {

enum class RequestState : std::uint8_t {
  head,        // Bytes of the head arrive. Deadline: client_head.
  ready,       // The head to send is written; a server is being connected (deadline: connect), or a
               // descriptor waited for (deadline: the next try).
  sending,     // Head and body go to the server. Deadline: progress of the side that is waited for.
  complete,    // The server's socket has taken every byte. Deadline: response_head.
  discarding,  // The answer came first: the rest is read and dropped. Deadline: client_body.
  ended,       // Nothing more is read for this exchange; the client's connection will close.
};
inline constexpr std::array kRequestNext = {
    //         head   ready  sending complete discarding ended
    std::array{false, true, false, false, false, true},   // head
    std::array{false, false, true, false, true, true},    // ready
    std::array{false, true, false, true, true, true},     // sending
    std::array{false, true, false, false, false, true},   // complete
    std::array{false, false, false, true, false, true},   // discarding
    std::array{false, false, false, false, false, false}  // ended
};
static_assert(kRequestNext.size() == static_cast<std::size_t>(RequestState::ended) + 1);

enum class ResponseState : std::uint8_t {
  none,      // Not a byte of a final answer has gone to the client; interim ones may have.
  relaying,  // The server's head was written, its body follows. Deadline: progress.
  tunnel,    // Another protocol is spoken, both ways. Deadline: tunnel_idle.
  local,     // weir's own answer is being sent. Deadline: the client's progress.
  complete,  // The client's socket has taken every byte.
  broken,    // Cannot be completed: the client must see that it is cut short.
};
inline constexpr std::array kResponseNext = {
    //         none   relaying tunnel local complete broken
    std::array{false, true, true, true, false, true},      // none
    std::array{false, false, false, false, true, true},    // relaying
    std::array{false, false, false, false, true, true},    // tunnel
    std::array{false, false, false, false, true, true},    // local
    std::array{false, false, false, false, false, false},  // complete
    std::array{false, false, false, false, false, false}   // broken
};
static_assert(kResponseNext.size() == static_cast<std::size_t>(ResponseState::broken) + 1);

[[nodiscard]] const char* to_string(RequestState state);
[[nodiscard]] const char* to_string(ResponseState state);

// What is known when an attempt to have a request answered has failed.
struct AttemptFacts {
  bool connected = false;     // There was a connection, new or reused.
  bool reused = false;        // It had served another request before.
  bool sent = false;          // The kernel took at least one byte of the request.
  bool answer_begun = false;  // At least one byte of an answer, interim ones included, was seen.
  bool broken = false;        // What was seen is no head of an answer, and will never be one.
  bool held = false;          // Everything that was sent can be sent again.
  bool whole = false;         // The complete request, body included, is held.
  bool idempotent = false;    // RFC 9110 9.2.2.
  bool timed_out = false;     // The server was silent too long after it got the request.
};

enum class Retry : std::uint8_t {
  other_server,         // Any server not tried yet. Bound: balance::Attempt::kTriedMax.
  fresh_connection,     // A new connection; the same server is fine.
  other_within_budget,  // Another server, if the retry budget allows.
  none,
};

// The one table that decides about trying again.
[[nodiscard]] Retry retry_after(const AttemptFacts& facts);

// What becomes of the two connections when request and response have come to their end.
enum class ClientFate : std::uint8_t {
  keep,             // Goes on with the next request.
  close,            // Nothing unread is known of: close at once.
  close_staged,     // Shut down, read to the end, close, so that the answer is not lost to a RST.
  close_as_broken,  // The answer is cut short and must look so.
};

class ExchangeCore {
 public:
  [[nodiscard]] RequestState request() const { return request_; }
  [[nodiscard]] ResponseState response() const { return response_; }
  // Checked against the tables and the joint rules.
  void enter(RequestState next) {
    CHECK(kRequestNext[static_cast<std::size_t>(request_)][static_cast<std::size_t>(next)],
          to_string(next));
    CHECK(next != RequestState::ready || response_ == ResponseState::none);
    os::trace_transition(os::Machine::request, request_, next);
    request_ = next;
  }
  void enter(ResponseState next) {
    CHECK(kResponseNext[static_cast<std::size_t>(response_)][static_cast<std::size_t>(next)],
          to_string(next));
    CHECK(next != ResponseState::tunnel || request_ == RequestState::complete);
    os::trace_transition(os::Machine::response, response_, next);
    response_ = next;
  }

  // Both sides have come to rest: nothing is left to be done but to decide about connections.
  [[nodiscard]] bool finished() const {
    if (response_ == ResponseState::broken) return true;
    return response_ == ResponseState::complete &&
           (request_ == RequestState::complete || request_ == RequestState::ended);
  }
  // `client_persists`: the client wants to go on and nothing has been announced otherwise.
  // `unread`: bytes of the client may lie unread, or be on their way.
  [[nodiscard]] ClientFate client_fate(bool client_persists, bool unread) const;
  // The server's connection may serve another request, as far as this exchange is concerned.
  [[nodiscard]] bool server_reusable() const {
    return request_ == RequestState::complete && response_ == ResponseState::complete;
  }

 private:
  RequestState request_ = RequestState::head;
  ResponseState response_ = ResponseState::none;
};

}  // namespace weir::proxy
