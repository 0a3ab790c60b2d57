// Exchange: one HTTP request and its response, from the first byte of the head to the last byte of
// the answer. The driver around ExchangeCore: it does the I/O, and asks the core what follows.
//
// Borrows the client's connection (HttpSession) and, while a server works on the request, one
// ServerConnection. Runs only inside the session's step. Owned by the worker's slab; an idle
// client has none.
//
// The outgoing head is written into `outgoing_`, which becomes the server connection's `out` for
// the length of an attempt and comes back when the attempt fails, so that it can be sent again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/head_parser.h"
#include "http/request.h"
#include "http/response.h"
#include "http/upgrade.h"
#include "http/writer.h"
#include "proxy/body_flow.h"
#include "proxy/counters.h"
#include "proxy/exchange_core.h"
#include "proxy/rate_limiter.h"
#include "proxy/relay.h"
#include "proxy/router.h"
#include "proxy/server_attempt.h"

namespace weir::proxy {

class HttpSession;
class Worker;
struct SnapshotUse;

class Exchange {
 public:
  Exchange(Worker& worker, HttpSession& session);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  enum class Outcome : std::uint8_t {
    wait,       // An event or deadline_ms() goes on.
    again,      // More to do; others first.
    untouched,  // The client sent nothing: there was no exchange.
    gone,       // The client left before it sent anything: close without a word.
    finished,   // fate() and close_reason() say what becomes of the client's connection.
  };
  // One bounded step.
  [[nodiscard]] Outcome step();
  // deadline_ms() has passed.
  [[nodiscard]] Outcome expire();
  // The head has not been read to its end: nobody works on the request yet.
  [[nodiscard]] bool in_head() const { return core_.request() == RequestState::head; }
  // There is a newer snapshot. Whether it waits for a server, and may have another deadline now.
  [[nodiscard]] bool follow_waiting();
  // Ends now, whatever goes on: the client is gone or the program leaves.
  void abandon(ProxyError error);

  // Milliseconds of the loop's clock.
  [[nodiscard]] std::uint64_t deadline_ms() const;
  // The server has the request, and all that the client could say meanwhile is that it leaves.
  [[nodiscard]] bool waits_for_answer() const {
    return core_.request() == RequestState::complete && core_.response() == ResponseState::none;
  }
  // Answered. The rest of the request is read for nothing but the connection.
  [[nodiscard]] bool only_discards() const {
    return core_.request() == RequestState::discarding &&
           core_.response() == ResponseState::complete;
  }
  // Ends it in order, when only_discards(): nothing went wrong.
  void stop_discarding();
  // Moves much: its steps give way to those of small exchanges.
  [[nodiscard]] bool bulk() const { return bulk_; }
  [[nodiscard]] ClientFate fate() const;
  // Of a broken answer: only a reset shows the client that it is not complete.
  [[nodiscard]] bool ends_by_close() const { return ends_by_close_; }
  [[nodiscard]] CloseReason close_reason() const { return close_reason_; }

 private:
  // What one part of a step has come to; of two parts, the greater.
  enum class Progress : std::uint8_t {
    blocked,  // Nothing more can be done here now.
    budget,   // There is more to do here, after the others.
    moved,    // A state was entered: look at everything again.
  };
  // Of two flows, which side is waited for and since when.
  struct Stall {
    bool client = false;
    std::uint64_t since_ms = 0;
  };

  // exchange_request.cpp: from the client to the outgoing head and body.
  [[nodiscard]] std::optional<Outcome> read_head();
  void head_ended();
  void understand_head();
  [[nodiscard]] bool trusts_client() const;
  void route_request();
  [[nodiscard]] std::optional<RateVerdict> choose_backend();
  [[nodiscard]] std::uint64_t hash_key(const upstream::BackendPlan& plan);
  [[nodiscard]] std::optional<std::uint32_t> server_of_cookie() const;
  [[nodiscard]] std::uint8_t queue_priority() const;
  bool write_outgoing_head();
  bool write_outgoing_head(const http::ForwardOptions& options);
  Progress send_request();
  Progress server_left();
  Progress discard_request();
  void discard_limit_hit();
  void request_over();  // An answer goes out before the request has been read.

  // mirror_request.cpp: the copy for the route's mirror.
  void mirror_choose();
  void mirror_request();

  // exchange_attempt.cpp: which server, connecting, trying again.
  Progress attempt_server();
  enum class Found : std::uint8_t {
    server,
    place_in_queue,
    nothing,
  };
  [[nodiscard]] Found attempt_begin();
  void ask_who_hung_up();
  void follow();
  [[nodiscard]] Found find_server();
  // The next attempt repeats what a server has begun to work on. Going on after a refused
  // connection is none: no server has been bothered.
  [[nodiscard]] bool is_retry() const { return retry_ == Retry::other_within_budget; }
  [[nodiscard]] bool retry_charge();
  [[nodiscard]] bool retry_withdraw();
  [[nodiscard]] bool retries_left() const;
  void retry_later();
  void retry_backoff();
  [[nodiscard]] bool retry_for_status(std::uint16_t status);
  [[nodiscard]] Retry retry_within_bounds(Retry retry, std::uint32_t failed_server);
  [[nodiscard]] AttemptFacts attempt_facts() const;
  [[nodiscard]] upstream::ConnectionOwner* connection_owner();
  void attempt_adopt(upstream::ServerConnection& connection, bool connected);
  void attempt_connected();
  void attempt_connect_failed(os::IoStatus status);
  void attempt_failed(ProxyError error, bool timed_out = false);
  void answer_no_server();
  void attempt_answered(std::uint16_t status);
  void attempt_erred(ProxyError error);
  void attempt_note_answer(bool bad);
  void attempt_report(health::Passive::Event event);
  void attempt_conclude(health::Passive::Event event);
  // Gives the connection up and the pick back. Safe to call at any time. The outgoing bytes come
  // back for the next attempt.
  void attempt_end() {
    choice_.leave(upstream::Gate::Leaving::abandoned);
    if (attempt_.pick) attempt_give_back();
  }
  void attempt_give_back();
  [[nodiscard]] bool sent_to_server() const;

  // exchange_response.cpp: from the server to the client.
  Progress read_response();
  Progress read_response_head();
  std::optional<Progress> receive_response();
  Progress answer_broken(http::ParseError rule);
  Progress relay_head();
  Progress relay_interim(const http::ResponseInfo& info);
  Progress relay_switch(const http::ResponseInfo& info);
  [[nodiscard]] bool whole_if_small(const http::ResponseInfo& info);
  Progress relay_final(const http::ResponseInfo& info);
  void answer_head_seen(std::uint16_t status);
  [[nodiscard]] http::ResponseOptions response_options() const;
  [[nodiscard]] bool keeps_cookie() const;
  [[nodiscard]] std::optional<CloseReason> response_closes(const http::ResponseInfo& info,
                                                           bool chunked) const;
  void decide_persistence(std::optional<CloseReason> reason);
  [[nodiscard]] bool body_in_doubt() const;
  [[nodiscard]] bool room_for_head();
  Progress send_response();
  Progress send_local();
  void response_completed();
  void answer(const Refusal& cause);
  void answer_options();
  void local_begin(std::uint16_t status);
  void local_end(std::size_t written);
  void cut_short(ProxyError error, http::ParseError rule = http::ParseError::none);
  void break_response(const Refusal& cause);

  // exchange_tunnel.cpp
  Progress answer_connect();
  void tunnel_begin();
  Progress relay_tunnel();
  void tunnel_expired();
  void tunnel_cut();
  Progress tunnel_concluded(Relay::Outcome outcome);

  // exchange.cpp
  Progress advance();
  [[nodiscard]] bool flush_interim();
  void client_lost(ProxyError error);
  void note_error(const Refusal& refusal);
  void count_and_log();
  void log_head();
  void write_log_head();
  void log_end(std::uint64_t duration_us);
  static void touch(Stall& stall, bool client, bool progressed, std::uint64_t now_ms);
  [[nodiscard]] std::uint64_t request_deadline_ms() const;
  [[nodiscard]] std::uint64_t request_timeout_ms() const;
  [[nodiscard]] std::uint64_t try_timeout_ms() const;
  [[nodiscard]] std::uint64_t step_deadline_ms() const;
  [[nodiscard]] std::uint64_t response_deadline_ms() const;
  [[nodiscard]] std::uint64_t stall_deadline_ms(const Stall& stall) const;
  [[nodiscard]] const struct ListenerPlan& listener_plan() const;
  [[nodiscard]] std::uint64_t now_ms() const { return loop_.now_ms(); }
  [[nodiscard]] std::uint64_t now_us() const { return loop_.now_us(); }

  // May last for days: what it costs matters.
  struct Tunnel {
    Relay relay;
    std::string log_line;  // So far; a block would be too large to be kept.
  };

  // Short interim heads are many to a buffer; others get their turn after these.
  static constexpr std::uint8_t kInterimHeadsPerStep = 16;

  // The present attempt to have the request answered by one server.
  struct Attempt : ServerAttempt {
    bool connected = false;
    bool reused = false;
    bool answer_begun = false;
    bool write_broken = false;     // It takes no more bytes, but may have answered before.
    std::uint32_t head_bytes = 0;  // Of the final answer.
  };

  Worker& worker_;
  loop::Loop& loop_;
  HttpSession& client_;
  SnapshotUse& use_;
  std::vector<SnapshotUse*> followed_;  // Newer ones that plan_ was of since; the last one's it is.
  ExchangeCore core_;

  // The request.
  http::HeadParser request_parser_;
  http::RequestInfo request_;
  BodyFlow request_flow_;
  http::UpgradeOffer upgrade_;          // What the server is offered to switch to.
  net::Buffer outgoing_;                // Of connections, a PROXY header; then the head.
  std::size_t introduction_bytes_ = 0;  // Of the PROXY header.
  const Route* route_ = nullptr;
  const MirrorPlan* mirror_ = nullptr;  // Where a copy goes as well, until it does.
  std::uint64_t mirror_key_ = 0;        // For the choice of its server.

  // The server.
  const upstream::BackendPlan* plan_ = nullptr;
  upstream::Backend* backend_ = nullptr;
  Attempt attempt_;
  upstream::ServerChoice choice_;
  const upstream::ServerState* last_server_ = nullptr;
  ProxyError last_failure_ = ProxyError::no_healthy_server;
  http::ParseError broken_rule_ = http::ParseError::none;  // By the last answer that was no HTTP.
  Retry retry_ = Retry::none;                              // What the next attempt will be.
  std::uint32_t attempts_ = 0;
  std::uint32_t retries_ = 0;  // Of them, what a server had seen before.
  std::uint64_t last_attempt_us_ = 0;
  bool retry_paid_ = false;        // The budget has been charged for the next attempt.
  std::uint64_t retry_at_ms_ = 0;  // Short of a descriptor, or backing off: not before this time.
  Shortage shortage_;
  std::uint8_t silent_servers_ = 0;  // Whose timeout this request has waited for.
  bool fresh_only_ = false;          // A kept connection failed: no more of those.

  // The response.
  std::unique_ptr<Tunnel> tunnel_;  // Once the protocol has been switched.
  http::HeadParser response_parser_;
  BodyFlow response_flow_;
  std::uint64_t server_idle_ms_ = 0;  // How long the connection may be kept; 0: not at all.
  std::uint64_t discard_from_ = 0;    // Body bytes read when discarding began.
  bool continue_sent_ = false;        // The client was told 100.
  bool asked_who_hung_up_ = false;    // While it waited.
  std::uint8_t interim_heads_ = 0;    // Handled in this step.

  // Time, on the loop's clock.
  std::uint64_t started_us_;
  std::uint64_t started_ms_;
  std::uint64_t request_sent_us_ = 0;
  std::uint64_t connect_us_ = 0;
  std::uint64_t first_byte_us_ = 0;
  Stall request_stall_;
  Stall response_stall_;

  // The end.
  net::Buffer log_line_;
  Refusal error_;
  std::uint16_t status_ = 0;
  CloseReason close_reason_ = CloseReason::client_asked;
  bool client_persists_ = false;  // So far, the client's connection will be used again.
  bool ends_by_close_ = false;    // The client learns the answer's end from the connection's.
  bool head_read_ = false;        // Understood or refused.
  bool bulk_ = false;
};

}  // namespace weir::proxy
