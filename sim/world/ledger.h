// Ledger: what was asked, what reached which server, what came back. The checkers read it.
//
// Clients write down what they send and see, servers what they receive and say, the world what the
// access log tells. One per run.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "os/resolver.h"
#include "sim/world/script.h"

namespace weir::sim {

inline constexpr std::size_t kLookupStatuses =
    static_cast<std::size_t>(os::LookupStatus::timed_out) + 1;

// One time that a request's head was complete at a server. Its serial number is its place.
struct Attempt {
  RequestId request;
  std::uint32_t server = 0;
  bool copy = false;  // At a mirror's server; none of the request's attempts.
  AnswerScript answer;
  std::uint64_t answer_bytes = 0;
  bool request_complete = false;
  bool broken = false;  // The server, or the network for it, ended it before weir could be content.
  bool closed = false;  // Ended by a FIN of the server behind its last byte.
  // Since when weir's kernel has the surplus bytes behind this answer.
  std::uint64_t surplus_since_ns = UINT64_MAX;
};

struct Request {
  enum class Seen : std::uint8_t {
    nothing,
    part,
    whole,
  };
  RequestScript script;
  std::vector<std::uint64_t> attempts;  // Serial numbers, in order of arrival.
  std::uint32_t copies = 0;             // That have reached a mirror's server.
  std::uint64_t begun_ns = 0;           // Its first byte was sent; 0: it was not.
  Seen seen = Seen::nothing;
  int status = 0;          // Of the final answer the client has seen.
  bool own = false;        // That answer was weir's.
  bool overtaken = false;  // The client had it all before it sent the end of the request.
  std::uint32_t log_lines = 0;
  int log_status = 0;
  std::string log_error;
};

// What may be taken for a reason, because somebody arranged it.
struct Weather {
  bool resets = false;         // Connections are reset from outside.
  bool connects_fail = false;  // Connecting to servers may fail.
  bool late = false;           // Time jumps, or fibers stand still: deadlines prove nothing.
  bool crowded = false;        // Clients may have to make room for others.
  bool no_descriptors = false;
  bool no_memory = false;
  bool servers_leave = false;  // Servers refuse, are silent, or close idle connections.
  bool stopping = false;       // Draining or stopping has begun.
  bool stopped = false;        // Without waiting for anybody, or not any longer.
  // What a configuration has asked for until now.
  bool limits = false;                // Requests may wait for a slot.
  std::int64_t queue_timeout_ms = 0;  // At most so long: whoever waits follows the newest one.
  bool rates = false;                 // Requests and connections may be too many.
  bool retry_statuses = false;
  bool short_timeouts = false;  // Of whole requests, or of one attempt.
  bool breakers = false;
  bool checks = false;  // Servers may be called down, or ask for no requests.
  bool names = false;   // Names of servers may stand for nobody.
};

struct Totals {
  std::uint64_t connections = 0;
  std::uint64_t requests_begun = 0;
  std::uint64_t answers = 0;      // Complete, of servers.
  std::uint64_t own_answers = 0;  // Complete, of weir.
  std::uint64_t cut_answers = 0;  // Begun, and not complete when the run ended.
  std::uint64_t unanswered = 0;   // Not even begun.
  std::array<std::uint64_t, 6> by_class{};
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::uint64_t repeated = 0;
  std::uint64_t crowded = 0;        // Connections closed to make room.
  std::uint64_t fresh_moved = 0;    // New connections that another worker was given.
  std::uint64_t clients_moved = 0;  // The same between two requests.
  std::uint64_t queued = 0;         // Requests that got their slot after a wait.
  std::uint64_t refused = 0;        // By a queue or a rate.
  std::uint64_t probes = 0;
  std::uint64_t ejections = 0;  // For answers.
  std::uint64_t downs = 0;      // Verdicts of health checks.
  std::uint64_t relays = 0;     // Connections that are to be relayed, or to become so.
  std::uint64_t relayed = 0;    // That were.
  std::uint64_t relayed_bytes = 0;
  std::uint64_t copies = 0;        // Heads of copies that have reached a mirror's server.
  std::uint64_t name_changes = 0;  // Addresses of names that were other ones, and are in use.
  std::array<std::uint64_t, kLookupStatuses> lookups{};  // Of names, by what became of them.
};

class Ledger {
 public:
  void add_client(const ClientScript& client) {
    clients_.push_back(client);
    std::vector<Request>& requests = requests_.emplace_back();
    for (const RequestScript& script : client.requests) requests.emplace_back().script = script;
  }
  [[nodiscard]] const std::vector<ClientScript>& clients() const { return clients_; }
  // Null when there never was such a request.
  [[nodiscard]] Request* find(RequestId id) {
    const bool known =
        id.connection < requests_.size() && id.index < requests_[id.connection].size();
    return known ? &requests_[id.connection][id.index] : nullptr;
  }
  [[nodiscard]] std::uint64_t add_attempt(const Attempt& attempt) {
    attempts_.push_back(attempt);
    return attempts_.size() - 1;
  }
  [[nodiscard]] Attempt& attempt(std::uint64_t serial) { return attempts_[serial]; }
  [[nodiscard]] const Attempt& attempt(std::uint64_t serial) const { return attempts_[serial]; }
  [[nodiscard]] std::uint64_t attempts() const { return attempts_.size(); }
  template <typename Visit>
  void for_each_request(Visit visit) {
    for (std::vector<Request>& each : requests_) {
      for (Request& request : each) visit(request);
    }
  }

  Weather weather;
  Totals totals;
  // Most requests that may be at a server at one time; UINT32_MAX: any number.
  std::function<std::uint32_t(std::uint32_t server)> most_at_once;
  // Some configuration that may be in use, or was until a moment ago, has this server.
  std::function<bool(std::uint32_t server)> may_be_asked;

 private:
  std::vector<ClientScript> clients_;  // By number.
  std::vector<std::vector<Request>> requests_;
  std::vector<Attempt> attempts_;
};

}  // namespace weir::sim
