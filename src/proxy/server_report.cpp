#include "proxy/server_report.h"

#include <algorithm>
#include <string>

#include "proxy/worker.h"

namespace weir::proxy {

void tell_operator(Worker& worker, const upstream::ServerState& server,
                   health::Passive::Event event, std::string_view why) {
  using Event = health::Passive::Event;
  std::string text = "server " + server.backend() + "/" + server.name();
  if (event == Event::failed || event == Event::erred) {
    text.append(" is ejected for a while: ").append(why);
  } else {
    text += " takes requests again";
  }
  worker.log_event(text);
}

void note_answer(Worker& worker, upstream::Backend& backend, upstream::Pick& pick, bool bad) {
  upstream::ServerCounters& counters = pick.pool->counters();
  counters.answers.add();
  if (bad) counters.answers_bad.add();
  counters.unanswered.set(0);
  counters.answered_ms.set(worker.loop().now_ms());
  backend.observe(pick, worker.loop().now_us(), bad);
}

void note_cut_answer(upstream::Pick& pick, bool bad) {
  upstream::ServerCounters& counters = pick.pool->counters();
  counters.errors.add();
  if (!bad) counters.answers_bad.add();
}

void note_request(Worker& worker, const upstream::BackendPlan& plan, const upstream::Pick& pick) {
  pick.pool->counters().requests.add();
  if (plan.probe_every == 0) return;
  pick.pool->state().count_towards_probe(plan.probe_every, worker.control());
}

std::uint64_t keep_time_ms(const http::ResponseInfo& info, std::uint64_t configured_ms) {
  // A server that says "timeout=5" closes after five seconds: stay clear of the last one.
  constexpr std::uint64_t kMarginMs = 1'000;
  if (!info.keep_alive || info.keep_alive_max == 0u) return 0;
  if (!info.keep_alive_timeout_s) return configured_ms;
  const std::uint64_t promised_ms = std::uint64_t{*info.keep_alive_timeout_s} * 1000;
  return std::min(configured_ms, promised_ms > kMarginMs ? promised_ms - kMarginMs : 0);
}

}  // namespace weir::proxy
