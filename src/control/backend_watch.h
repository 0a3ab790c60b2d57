// BackendWatch: what only shows when the workers' counts are looked at together: servers that err,
// are slow or fall silent beside the others of their backend, backends with so few healthy servers
// that all are used, and those with none that may be asked. It looks once a second; for silence
// four times, so that a server that hangs is left alone within 1.5 s.
//
// Control thread. The data path pays nothing for it: the numbers are the workers' own counters,
// taken as the difference between two looks.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/histogram.h"
#include "config/config.h"
#include "health/outliers.h"
#include "health/silence.h"
#include "loop/loop.h"
#include "proxy/snapshot.h"

namespace weir::control {

struct BackendWatchCounters {
  std::uint64_t panics = 0;  // Times a backend had too few healthy servers.
};

class BackendWatch final : private loop::Source {
 public:
  // `say` takes one line for the log.
  BackendWatch(loop::Loop& loop, std::function<void(const std::string&)> say, std::uint64_t seed);

  // From now on the backends of this snapshot, which must outlive the next call. `config`: what it
  // was made of.
  void watch(const config::Config& config, const proxy::Snapshot& snapshot);
  // Something about a server has changed.
  void look();

  [[nodiscard]] const BackendWatchCounters& counters() const { return counters_; }

 private:
  // What a server has done until some moment.
  struct Counts {
    std::uint64_t requests = 0;
    std::uint64_t answers = 0;
    std::uint64_t errors = 0;
    HistogramCounts latencies;
  };
  struct Member {
    Counts window;  // When the window began,
    Counts before;  // and the one before it; or before a row of unanswered requests.
    health::Silence silence;
  };
  struct Watched {
    const upstream::BackendPlan* plan = nullptr;
    config::Ejection ejection;
    std::uint32_t panic_percent = 0;
    std::uint64_t window_ends_ms = UINT64_MAX;
    bool nobody_left = false;  // No server may be asked, and that has been said.
    std::unordered_map<const upstream::ServerState*, Member> members;
  };

  void run() override {}
  void expire() override;
  void apply_wishes(const config::Backend& from, const upstream::BackendPlan& plan);
  void welcome(Watched& backend, bool known) const;
  void look_at(Watched& backend);
  void tell_whether_any_is_left(Watched& backend) const;
  static void count_returns(upstream::ServerState& server);
  void end_slow_start(upstream::ServerState& server, std::uint64_t lasts_ms) const;
  void look_for_outliers(Watched& backend);
  void look_for_silence(Watched& backend);
  [[nodiscard]] std::vector<health::Listened> listened(const Watched& backend) const;
  [[nodiscard]] bool is_judged(const upstream::GatePlan::Server& server) const;
  [[nodiscard]] static Counts counts_of(const upstream::ServerState& server);
  [[nodiscard]] static health::ServerWindow end_window(Member& member,
                                                       const upstream::ServerState& server);
  void eject(const Watched& backend, const health::Outlier& outlier);

  loop::Loop& loop_;
  std::function<void(const std::string&)> say_;
  Prng random_;
  std::map<std::string, Watched> backends_;
  std::uint64_t next_look_ms_ = 0;
  BackendWatchCounters counters_;
};

}  // namespace weir::control
