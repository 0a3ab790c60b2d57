#include "control/server_check.h"

#include <string_view>
#include <utility>

#include "control/prober.h"
#include "control/version.h"

namespace weir::control {
namespace {

using health::Active;
using health::Wish;
using upstream::ProbeOutcome;
using upstream::ProbeResult;

// A report counts for so many intervals after it came.
constexpr std::uint64_t kReportIntervals = 3;

static_assert(static_cast<std::uint8_t>(Wish::none) == 0 &&
                  static_cast<std::uint8_t>(Active::State::unknown) == 0,
              "a new ServerState is zero");

std::uint32_t in_ms(config::Milliseconds duration) {
  return static_cast<std::uint32_t>(duration.count());
}

health::ActiveSettings settings_of(const config::HealthCheck& check) {
  return {in_ms(check.interval), in_ms(check.fast_interval), check.rise, check.fall};
}

std::string user_agent() { return std::string("weir/") + kVersion + " (health check)"; }

std::string in_words(std::uint64_t ms) {
  return ms < 1'000 ? std::to_string(ms) + " ms" : std::to_string(ms / 1'000) + " s";
}

Active::State verdict_of(const upstream::ServerState& state) {
  return static_cast<Active::State>(state.active.load(std::memory_order_relaxed));
}

}  // namespace

ServerCheck::ServerCheck(Prober& prober, CheckedServer given, CheckHistory history,
                         std::uint64_t now_ms, std::uint32_t index, std::uint32_t count)
    : Source(loop::SourceKind::none),
      prober_(prober),
      given_(std::move(given)),
      state_(*given_.state),
      plan_(
          upstream::make_probe_plan(given_.check, given_.server, given_.send_proxy, user_agent())),
      settings_(settings_of(given_.check)),
      timer_(now_ms, index, count, settings_),
      reported_ms_(now_ms),
      history_(std::move(history)) {
  if (!given_.check.load_report) forget_report();
}

bool ServerCheck::serves(const CheckedServer& given) const {
  return given_.check == given.check && given_.server.address == given.server.address &&
         given_.server.host == given.server.host && given_.send_proxy == given.send_proxy;
}

void ServerCheck::expire() { prober_.due(*this); }

void ServerCheck::begin(upstream::Probe& probe, std::uint64_t now_ms) {
  probe_ = &probe;
  sent_before_ = state_.sent_since_report.load(std::memory_order_relaxed);
  timer_.started(now_ms);
}

void ServerCheck::end(const ProbeOutcome& outcome, std::uint64_t now_ms, std::uint32_t random) {
  probe_ = nullptr;
  ++history_.results[static_cast<std::size_t>(outcome.result)];
  history_.last_ms = now_ms;
  history_.last_latency_us = outcome.latency_us;
  history_.last = upstream::describe(outcome, plan_);
  // What weir lacks itself says nothing about the server.
  if (outcome.result != ProbeResult::no_resources) judge(outcome, now_ms);
  read_report(outcome, now_ms);
  timer_.finished(now_ms, active_.changing(), random, settings_);
}

void ServerCheck::forget() {
  state_.active.store(static_cast<std::uint8_t>(Active::State::unknown), std::memory_order_relaxed);
  state_.up_since_ms.store(0, std::memory_order_relaxed);
  forget_report();
}

void ServerCheck::say(const std::string& what) const {
  prober_.say_("server " + state_.backend() + "/" + state_.name() + " " + what);
}

// --- The verdict ---------------------------------------------------------------------------------

void ServerCheck::judge(const ProbeOutcome& outcome, std::uint64_t now_ms) {
  failed_in_row_ = outcome.passed() ? 0 : failed_in_row_ + 1;
  active_.step(outcome.passed() ? Active::Event::passed : Active::Event::failed, settings_);
  // Compared with what stands, which may be the verdict of an earlier configuration.
  const Active::State before = verdict_of(state_);
  if (active_.state() == before) return;
  os::trace_transition(os::Machine::active, before, active_.state());
  state_.active.store(static_cast<std::uint8_t>(active_.state()), std::memory_order_relaxed);
  tell_verdict(before, now_ms);
  ++history_.changes;
  history_.changed_ms = now_ms;
}

void ServerCheck::tell_verdict(Active::State before, std::uint64_t now_ms) {
  if (active_.state() == Active::State::down) {
    const char* checks = failed_in_row_ == 1 ? " check)" : " checks)";
    return say("is down: " + history_.last + " (" + std::to_string(failed_in_row_) + checks);
  }
  if (before != Active::State::down) return;  // The first verdict, and a good one.
  say("is up again after " + in_words(now_ms - history_.changed_ms));
  begin_slow_start(now_ms);
}

void ServerCheck::begin_slow_start(std::uint64_t now_ms) {
  const bool wanted = given_.slow_start.count() > 0;
  state_.up_since_ms.store(wanted ? now_ms : 0, std::memory_order_relaxed);
}

// --- The load report -----------------------------------------------------------------------------

void ServerCheck::read_report(const ProbeOutcome& outcome, std::uint64_t now_ms) {
  std::optional<health::LoadReport> report;
  const bool may_report = given_.check.load_report && outcome.passed();
  if (may_report && outcome.body_complete) report = health::parse_load_report(outcome.body);
  if (report) {
    ++history_.reports_taken;
    take_report(*report, now_ms);
  } else {
    if (may_report) ++history_.reports_ignored;
    const auto interval_ms = static_cast<std::uint64_t>(given_.check.interval.count());
    if (now_ms - reported_ms_ >= kReportIntervals * interval_ms) forget_report();
  }
  // What had been sent before the probe is in the report. While an older report counts, so does
  // what has been sent since then.
  const bool older_counts = state_.report_at_ms.load(std::memory_order_relaxed) != 0;
  if (report || !older_counts) {
    state_.sent_since_report.fetch_sub(sent_before_, std::memory_order_relaxed);
  }
}

void ServerCheck::take_report(const health::LoadReport& report, std::uint64_t now_ms) {
  reported_ms_ = now_ms;
  if (report.load) {
    const std::uint64_t entries = report.load->entries;
    state_.report.store(entries << 32 | report.load->errors, std::memory_order_relaxed);
    state_.report_at_ms.store(now_ms, std::memory_order_release);
  }
  if (report.percent) state_.agent_percent.store(*report.percent, std::memory_order_relaxed);
  if (report.maxconn) state_.agent_limit.store(*report.maxconn, std::memory_order_relaxed);
  if (report.wish) set_wish(*report.wish, now_ms);
}

void ServerCheck::set_wish(Wish wish, std::uint64_t now_ms) {
  const auto before = static_cast<Wish>(state_.agent.load(std::memory_order_relaxed));
  if (wish == before) return;
  state_.agent.store(static_cast<std::uint8_t>(wish), std::memory_order_relaxed);
  if (wish != Wish::none) return say("asks for " + std::string(health::to_string(wish)));
  say("asks for requests again");
  // After a drain it is still warm.
  if (before > Wish::drain && active_.state() != Active::State::down) begin_slow_start(now_ms);
}

void ServerCheck::forget_report() {
  state_.report_at_ms.store(0, std::memory_order_release);
  state_.agent_percent.store(100, std::memory_order_relaxed);
  state_.agent_limit.store(0, std::memory_order_relaxed);
  const auto wish = static_cast<Wish>(state_.agent.exchange(0, std::memory_order_relaxed));
  if (wish != Wish::none) say("asks no longer for " + std::string(health::to_string(wish)));
}

}  // namespace weir::control
