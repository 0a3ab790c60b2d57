// ProbeOutcome: what one health check has found out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/parse_error.h"
#include "upstream/probe_plan.h"

namespace weir::upstream {

enum class ProbeResult : std::uint8_t {
  passed,
  // The connection.
  refused,
  unreachable,
  connect_timeout,
  connect_failed,
  reset,   // In the middle of whatever it was.
  closed,  // Before the first byte of an answer.
  // The answer.
  answer_timeout,  // Not even the head came in time; of bare TCP, not what is expected.
  body_timeout,    // The head came, the end of the body did not.
  cut_short,       // The connection ended inside the answer.
  broken_answer,   // It is not HTTP: `error` says why not.
  bad_status,
  lacks_text,  // The answer is complete and what is expected is not in it.
  too_large,   // What is expected is not in the first kProbeBodyMax bytes; there is more.
  // Nothing about the server: weir had no descriptor or memory for the check.
  no_resources,
};
inline constexpr std::size_t kProbeResultCount =
    static_cast<std::size_t>(ProbeResult::no_resources) + 1;

// Body bytes that a check reads: a page of a file server is looked at, not fetched.
inline constexpr std::size_t kProbeBodyMax = 64 * 1024;

struct ProbeOutcome {
  ProbeResult result = ProbeResult::no_resources;
  http::ParseError error = http::ParseError::none;  // Of broken_answer.
  std::uint16_t status = 0;                         // Of the final HTTP answer, once it has come.
  bool body_complete = false;                       // `body` is all there was.
  std::uint64_t latency_us = 0;                     // Of the whole check.
  std::string body;

  [[nodiscard]] bool passed() const { return result == ProbeResult::passed; }
};

// The word for metrics and JSON.
[[nodiscard]] std::string_view to_string(ProbeResult result);

// For people: "connection refused", "no answer within 2 s", "status 500", "body lacks `ready`".
[[nodiscard]] std::string describe(const ProbeOutcome& outcome, const ProbePlan& plan);

}  // namespace weir::upstream
