#include "upstream/probe_outcome.h"

namespace weir::upstream {
namespace {

std::string in_words(std::uint64_t ms) {
  if (ms % 1000 == 0) return std::to_string(ms / 1000) + " s";
  return std::to_string(ms) + " ms";
}

// One line of a log, whatever was configured or sent.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 40;
  std::string out = "`";
  for (const char c : text.substr(0, kShown)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (text.size() > kShown ? "...`" : "`");
}

}  // namespace

std::string_view to_string(ProbeResult result) {
  switch (result) {
    case ProbeResult::passed: return "passed";
    case ProbeResult::refused: return "refused";
    case ProbeResult::unreachable: return "unreachable";
    case ProbeResult::connect_timeout: return "connect_timeout";
    case ProbeResult::connect_failed: return "connect_failed";
    case ProbeResult::reset: return "reset";
    case ProbeResult::closed: return "closed";
    case ProbeResult::answer_timeout: return "answer_timeout";
    case ProbeResult::body_timeout: return "body_timeout";
    case ProbeResult::cut_short: return "cut_short";
    case ProbeResult::broken_answer: return "broken_answer";
    case ProbeResult::bad_status: return "bad_status";
    case ProbeResult::lacks_text: return "lacks_text";
    case ProbeResult::too_large: return "too_large";
    case ProbeResult::no_resources: return "no_resources";
  }
  return "?";
}

std::string describe(const ProbeOutcome& outcome, const ProbePlan& plan) {
  const std::string limit = " within " + in_words(plan.timeout_ms);
  const std::string what = plan.http ? "body" : "answer";
  switch (outcome.result) {
    case ProbeResult::passed: return plan.http ? "status " + std::to_string(outcome.status) : "ok";
    case ProbeResult::refused: return "connection refused";
    case ProbeResult::unreachable: return "unreachable";
    case ProbeResult::connect_timeout: return "no connection" + limit;
    case ProbeResult::connect_failed: return "cannot connect";
    case ProbeResult::reset: return "connection reset";
    case ProbeResult::closed: return "closed without an answer";
    case ProbeResult::answer_timeout: return "no answer" + limit;
    case ProbeResult::body_timeout: return "no end of the answer" + limit;
    case ProbeResult::cut_short: return "answer cut short";
    case ProbeResult::broken_answer:
      return "broken answer: " + std::string(http::to_string(outcome.error));
    case ProbeResult::bad_status: return "status " + std::to_string(outcome.status);
    case ProbeResult::lacks_text: return what + " lacks " + quoted(plan.expect);
    case ProbeResult::too_large: return what + " too large, without " + quoted(plan.expect);
    case ProbeResult::no_resources: return "no descriptor or memory for the check";
  }
  return "?";
}

}  // namespace weir::upstream
