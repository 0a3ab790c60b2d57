#include "control/server_check.h"

#include <string_view>
#include <utility>

#include "control/prober.h"
#include "control/version.h"

namespace weir::control {
namespace {

using health::Active;
using health::Passive;
using health::Wish;
using upstream::ProbeOutcome;
using upstream::ProbeResult;

// What a report says counts for so many intervals after it came.
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

// Until when its traffic keeps the server from requests; 0: it does not, or a trial is under way.
std::uint64_t ejected_until(const upstream::ServerState& state) {
  const Passive passive = Passive::unpack(state.passive.load(std::memory_order_relaxed));
  return passive.state() == Passive::State::ejected ? passive.until_ms() : 0;
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
      reported_{now_ms},
      history_(std::move(history)) {
  if (!given_.check.load_report) forget_report();
}

bool ServerCheck::serves(const CheckedServer& given) const {
  return given_.check == given.check && given_.server.address == given.server.address &&
         given_.server.host == given.server.host && given_.send_proxy == given.send_proxy;
}

void ServerCheck::follow(const CheckedServer& given) {
  given_.slow_start = given.slow_start;
  given_.gate = given.gate;
}

void ServerCheck::expire() { prober_.due(*this); }

void ServerCheck::begin(upstream::Probe& probe, std::uint64_t now_ms) {
  probe_ = &probe;
  sent_before_ = state_.sent_since_report.load(std::memory_order_relaxed);
  timer_.started(now_ms);
  const std::uint64_t until_ms = ejected_until(state_);
  if (std::exchange(ejected_until_, until_ms) != until_ms) passed_in_wait_ = 0;
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
  given_.gate->poke(now_ms * 1000);  // A server that is back may be what somebody waits for.
  timer_.finished(now_ms, history_.active.pressing(), random, settings_);
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
  Active& active = history_.active;
  const Active::State before = active.state();
  history_.failed_in_row = outcome.passed() ? 0 : history_.failed_in_row + 1;
  active.step(outcome.passed() ? Active::Event::passed : Active::Event::failed, settings_);
  speak_for_ejected(outcome.passed(), now_ms);
  if (active.state() == before) return;
  os::trace_transition(os::Machine::active, before, active.state());
  state_.active.store(static_cast<std::uint8_t>(active.state()), std::memory_order_relaxed);
  tell_verdict(before, now_ms);
  ++history_.changes;
  history_.changed_ms = now_ms;
}

void ServerCheck::tell_verdict(Active::State before, std::uint64_t now_ms) {
  if (history_.active.state() == Active::State::down) {
    const std::uint32_t failed = history_.failed_in_row;
    const char* checks = failed == 1 ? " check)" : " checks)";
    return say("is down: " + history_.last + " (" + std::to_string(failed) + checks);
  }
  if (before != Active::State::down) return;  // The first verdict, and a good one.
  say("is up again after " + in_words(now_ms - history_.changed_ms));
  begin_slow_start(now_ms);
}

void ServerCheck::begin_slow_start(std::uint64_t now_ms) {
  const bool wanted = given_.slow_start.count() > 0;
  state_.up_since_ms.store(wanted ? now_ms : 0, std::memory_order_relaxed);
}

// A server that its traffic has put away may be cured long before its wait is over. As many checks
// as bring back one that is down, all begun since, let the trial come at once; it decides.
void ServerCheck::speak_for_ejected(bool passed, std::uint64_t now_ms) {
  const bool same_wait = ejected_until_ != 0 && ejected_until(state_) == ejected_until_;
  passed_in_wait_ = passed && same_wait ? passed_in_wait_ + 1 : 0;
  if (passed_in_wait_ == 0 || passed_in_wait_ < settings_.rise) return;
  health::apply(state_.passive, Passive::Event::vouched, now_ms, 0, {});
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
  }
  age_report(now_ms);
  // What had been sent before the probe is in the load it reports. While an older load counts, so
  // does what has been sent since then.
  const bool older_counts = state_.report_at_ms.load(std::memory_order_relaxed) != 0;
  if ((report && report->load) || !older_counts) {
    state_.sent_since_report.fetch_sub(sent_before_, std::memory_order_relaxed);
  }
}

void ServerCheck::take_report(const health::LoadReport& report, std::uint64_t now_ms) {
  reported_.any_ms = now_ms;
  if (report.load) {
    reported_.load_ms = now_ms;
    const std::uint64_t entries = report.load->entries;
    state_.report.store(entries << 32 | report.load->errors, std::memory_order_relaxed);
    state_.report_at_ms.store(now_ms, std::memory_order_release);
  }
  if (report.percent) {
    reported_.percent_ms = now_ms;
    state_.agent_percent.store(*report.percent, std::memory_order_relaxed);
  }
  if (report.maxconn) {
    reported_.maxconn_ms = now_ms;
    state_.agent_limit.store(*report.maxconn, std::memory_order_relaxed);
  }
  if (report.wish) set_wish(*report.wish, now_ms);
}

void ServerCheck::set_wish(Wish wish, std::uint64_t now_ms) {
  const auto before = static_cast<Wish>(state_.agent.load(std::memory_order_relaxed));
  if (wish == before) return;
  state_.agent.store(static_cast<std::uint8_t>(wish), std::memory_order_relaxed);
  state_.wishes[static_cast<std::size_t>(wish)].add();
  if (wish != Wish::none) return say("asks for " + std::string(health::to_string(wish)));
  say("asks for requests again");
  // After a drain it is still warm.
  if (before > Wish::drain && history_.active.state() != Active::State::down)
    begin_slow_start(now_ms);
}

// Each part by itself: a load that is not said any more is no load. A word is no measure but an
// order, which stands until another comes, as with other readers of these words; only of a server
// that reports nothing at all any more nobody knows that it still means it.
void ServerCheck::age_report(std::uint64_t now_ms) {
  const std::uint64_t most_ms =
      kReportIntervals * static_cast<std::uint64_t>(given_.check.interval.count());
  const auto is_old = [&](std::uint64_t at_ms) { return now_ms - at_ms >= most_ms; };
  if (is_old(reported_.any_ms)) return forget_report();
  if (is_old(reported_.load_ms)) state_.report_at_ms.store(0, std::memory_order_release);
  if (is_old(reported_.percent_ms)) state_.agent_percent.store(100, std::memory_order_relaxed);
  if (is_old(reported_.maxconn_ms)) state_.agent_limit.store(0, std::memory_order_relaxed);
}

void ServerCheck::forget_report() {
  state_.report_at_ms.store(0, std::memory_order_release);
  state_.agent_percent.store(100, std::memory_order_relaxed);
  state_.agent_limit.store(0, std::memory_order_relaxed);
  const auto wish = static_cast<Wish>(state_.agent.exchange(0, std::memory_order_relaxed));
  if (wish == Wish::none) return;
  state_.wishes[static_cast<std::size_t>(Wish::none)].add();
  say("asks no longer for " + std::string(health::to_string(wish)));
}

}  // namespace weir::control
