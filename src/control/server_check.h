// ServerCheck: one server's health check: when it is due, its rise and fall, and what its outcomes
// change in the ServerState that the workers look at. Owned by the Prober.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/intrusive_list.h"
#include "config/config.h"
#include "health/active.h"
#include "health/load_report.h"
#include "loop/source.h"
#include "upstream/gate.h"
#include "upstream/probe.h"
#include "upstream/server_state.h"

namespace weir::control {

class Prober;
struct DueTag;

// A server with a health check.
struct CheckedServer {
  upstream::ServerState* state = nullptr;
  config::Server server;
  config::HealthCheck check;       // Its type is not none.
  upstream::Gate* gate = nullptr;  // Of its backend.
  config::Milliseconds slow_start{0};
  unsigned send_proxy = 0;  // Version of the PROXY header it expects; 0: none.
};

// What has come of one server's checks. It goes on when their settings change: a reload is no
// reason to doubt a verdict, or to begin counting anew. Control thread.
struct CheckHistory {
  health::Active active;
  std::uint32_t failed_in_row = 0;
  // For metrics and the status pages:
  std::array<std::uint64_t, upstream::kProbeResultCount> results{};  // Checks by their result.
  std::uint64_t reports_taken = 0;
  std::uint64_t reports_ignored = 0;  // Load reports that could not be read.
  std::uint64_t changes = 0;          // Of the verdict.
  std::uint64_t changed_ms = 0;       // When, by the loop's clock; 0: never.
  std::uint64_t last_ms = 0;          // When the last check ended; 0: none has.
  std::uint64_t last_latency_us = 0;
  std::string last;  // For people: "status 200", "connection refused".
};

class ServerCheck final : public loop::Source, public ListLink<DueTag> {
 public:
  // One of `count` that begin together. `history`: of the check before this one, or nothing.
  ServerCheck(Prober& prober, CheckedServer given, CheckHistory history, std::uint64_t now_ms,
              std::uint32_t index, std::uint32_t count);

  // Whether a server that is configured like this may go on with this check.
  [[nodiscard]] bool serves(const CheckedServer& given) const;
  void follow(const CheckedServer& given);

  // The server is to be checked soon.
  void hurry(std::uint64_t now_ms) { timer_.hurry(now_ms); }
  // When the next probe is due; nothing while one is under way.
  [[nodiscard]] std::optional<std::uint64_t> next_ms() const { return timer_.next_probe_ms(); }

  void begin(upstream::Probe& probe, std::uint64_t now_ms);
  // The probe is over: everything that follows from it. `random`: any 32 random bits.
  void end(const upstream::ProbeOutcome& outcome, std::uint64_t now_ms, std::uint32_t random);
  // Nobody checks the server any more: nothing is held against it.
  void forget();

  // Under way, or null.
  [[nodiscard]] upstream::Probe* probe() const { return probe_; }
  [[nodiscard]] const upstream::ProbePlan& plan() const { return plan_; }
  [[nodiscard]] const CheckHistory& history() const { return history_; }

  void run() override {}
  void expire() override;

 private:
  void judge(const upstream::ProbeOutcome& outcome, std::uint64_t now_ms);
  void tell_verdict(health::Active::State before, std::uint64_t now_ms);
  void speak_for_ejected(bool passed, std::uint64_t now_ms);
  void read_report(const upstream::ProbeOutcome& outcome, std::uint64_t now_ms);
  void take_report(const health::LoadReport& report, std::uint64_t now_ms);
  void age_report(std::uint64_t now_ms);
  void forget_report();
  void set_wish(health::Wish wish, std::uint64_t now_ms);
  void begin_slow_start(std::uint64_t now_ms);
  void say(const std::string& what) const;

  Prober& prober_;
  CheckedServer given_;
  upstream::ServerState& state_;
  upstream::ProbePlan plan_;
  health::ActiveSettings settings_;
  health::ProbeTimer timer_;
  upstream::Probe* probe_ = nullptr;
  std::uint32_t sent_before_ = 0;     // Of state_.sent_since_report, when the probe began.
  std::uint64_t ejected_until_ = 0;   // Of state_.passive, when the probe began; 0: not ejected.
  std::uint32_t passed_in_wait_ = 0;  // In a row, all begun after this ejection.
  // When each part of a report came last; before the first: the beginning.
  struct Reported {
    std::uint64_t any_ms;
    std::uint64_t load_ms = any_ms;
    std::uint64_t percent_ms = any_ms;
    std::uint64_t maxconn_ms = any_ms;
  };
  Reported reported_;
  CheckHistory history_;
};

}  // namespace weir::control
