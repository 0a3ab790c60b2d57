// What becomes of an attempt is told to the backend here, by whoever made the attempt: an exchange,
// a TCP session, a mirror's copy.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/response.h"
#include "proxy/worker.h"
#include "upstream/backend.h"

namespace weir::proxy {

// The server is ejected, or back. `why`: of a bad event.
void tell_operator(Worker& worker, const upstream::ServerState& server,
                   health::Passive::Event event, std::string_view why);

// Tells the operator as well when that changes whether the server is ejected.
inline void report_outcome(Worker& worker, const upstream::BackendPlan& plan,
                           upstream::Backend& backend, const upstream::Pick& pick,
                           health::Passive::Event event, std::string_view why) {
  const bool changed = backend.report(plan, pick, event, worker.loop().now_us());
  if (changed) tell_operator(worker, pick.pool->state(), event, why);
}

// Counts an answer, or that none will come, and what it took.
void note_answer(Worker& worker, upstream::Backend& backend, upstream::Pick& pick, bool bad);

// The server did not bring to its end the answer whose head note_answer() has counted, as `bad`.
void note_cut_answer(upstream::Pick& pick, bool bad);

// A connection to the server stands: counts the request that goes over it.
void note_request(Worker& worker, const upstream::BackendPlan& plan, const upstream::Pick& pick);

// Statuses that say something about the server, not about the request.
[[nodiscard]] inline bool is_bad_status(std::uint16_t status) {
  return status == 500 || status == 502 || status == 503 || status == 504;
}

// How long a server's connection may be kept after this answer; 0: not at all.
[[nodiscard]] std::uint64_t keep_time_ms(const http::ResponseInfo& info,
                                         std::uint64_t configured_ms);

}  // namespace weir::proxy
