// The model of balance_sim.h. A request's end is known when its server accepts it, so that the
// only events are arrivals and ends.
#include "balance_sim.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <string_view>

#include "balance/peak_ewma.h"
#include "base/histogram.h"
#include "base/prng.h"
#include "health/ejection_floor.h"
#include "health/outliers.h"
#include "health/passive.h"
#include "health/silence.h"

namespace balance_sim {
namespace {

using weir::Prng;
using weir::balance::Attempt;
using weir::balance::Balancer;
using weir::health::Passive;

constexpr std::uint32_t kWorkers = 4;
constexpr std::size_t kSlots = 4;  // Requests a server works on at one time.
constexpr double kWorkUs = 10'000;
constexpr std::uint64_t kErrorUs = 1'000;
constexpr std::uint64_t kTimeoutUs = 60'000'000;
constexpr std::uint64_t kPauseUs = 500'000;
constexpr std::uint64_t kPauseEveryUs = 10'000'000;
constexpr std::uint64_t kReportEveryUs = 5'000'000;
constexpr std::uint64_t kKeys = 10'000;
constexpr weir::health::PassiveSettings kPassive;
constexpr weir::health::OutlierSettings kOutliers;
constexpr weir::health::SilenceSettings kSilence;
constexpr std::uint32_t kEjectedPercentMax = 50;
constexpr std::uint64_t kLookEveryUs = 250'000;
constexpr std::uint64_t kLooksPerWindow = 40;

double exponential(Prng& prng, double mean) {
  return -std::log((static_cast<double>(prng() >> 12) + 0.5) * 0x1p-52) * mean;
}

struct Outcome {
  std::uint64_t end_us;
  bool failed;
};

class Server {
 public:
  explicit Server(std::uint32_t number) : number_(number) {
    for (std::size_t slot = 0; slot < kSlots; ++slot) free_at_us_.push(0);
  }

  // When and how the request that arrives now ends; later ones do not change it.
  Outcome accept(std::uint64_t now_us, double work_us) {
    ++entries;
    if (number_ == kFailing) {
      ++errors;
      return {now_us + kErrorUs, true};
    }
    const std::uint64_t timeout_us = now_us + kTimeoutUs;
    const std::uint64_t start_us = std::max(now_us, free_at_us_.top());
    if (start_us >= timeout_us) return {timeout_us, true};
    if (number_ == kSlow) work_us *= 10;
    const std::uint64_t end_us = end_of_work(start_us, static_cast<std::uint64_t>(work_us) + 1);
    free_at_us_.pop();
    free_at_us_.push(end_us);
    return {std::min(end_us, timeout_us), end_us > timeout_us};
  }

  // Totals since the start, which is what it reports.
  std::uint32_t entries = 0;
  std::uint32_t errors = 0;

 private:
  // The pausing server stands still during the first part of each interval but the first.
  [[nodiscard]] std::uint64_t end_of_work(std::uint64_t at_us, std::uint64_t work_us) const {
    if (number_ != kPausing) return at_us + work_us;
    for (;;) {
      const std::uint64_t phase = at_us % kPauseEveryUs;
      if (at_us >= kPauseEveryUs && phase < kPauseUs) at_us += kPauseUs - phase;
      const std::uint64_t until_pause = kPauseEveryUs - at_us % kPauseEveryUs;
      if (work_us <= until_pause) return at_us + work_us;
      work_us -= until_pause;
      at_us += until_pause;
    }
  }

  std::uint32_t number_;
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> free_at_us_;
};

// What a server has done until some moment.
struct Counts {
  std::uint64_t requests = 0;
  std::uint64_t answers = 0;
  std::uint64_t errors = 0;
  weir::HistogramCounts latencies;
};

// What the proxy knows of a server.
struct Knowledge {
  [[nodiscard]] Counts counts() const {
    Counts now = so_far;
    now.latencies.add(latencies);
    return now;
  }

  std::uint32_t in_flight = 0;
  std::uint64_t out_until_us = 0;  // Ejection::after_timeout.
  std::atomic<std::uint64_t> passive{0};
  std::atomic<std::uint64_t> latency{0};
  std::array<weir::balance::Unfinished, kWorkers> unfinished;
  weir::balance::ReportedLoad load;

  // For the verdicts of the control thread, as control/backend_watch.h has it.
  Counts so_far;  // But for the latencies:
  weir::Histogram latencies;
  Counts window;  // When the window began,
  Counts before;  // and the one before it.
  weir::health::Silence silence;
  std::uint64_t unanswered = 0;  // Since the last answer.
  std::uint64_t answered_ms = 0;
};
using Known = std::array<Knowledge, kServers>;

struct View {
  const Known& known;
  const Contestant& contestant;
  std::uint32_t worker;
  std::uint64_t now_us;
  bool take_all;  // Nobody else is left.

  [[nodiscard]] bool usable(std::uint32_t server) const {
    const Knowledge& about = known[server];
    if (take_all) return true;
    if (contestant.server_limit != 0 && about.in_flight >= contestant.server_limit) return false;
    return about.out_until_us <= now_us &&
           weir::health::takes_requests(about.passive.load(), now_us / 1'000);
  }
  [[nodiscard]] std::uint32_t in_flight(std::uint32_t server) const {
    return known[server].in_flight;
  }
  [[nodiscard]] std::uint64_t latency_us(std::uint32_t server) const {
    const Knowledge& about = known[server];
    return std::max(weir::balance::PeakEwma::unpack(about.latency.load()).read(now_us / 1'000),
                    about.unfinished[worker].mean_age_us(now_us));
  }
  [[nodiscard]] weir::balance::ReportedLoad load(std::uint32_t server) const {
    return known[server].load;
  }
};

struct Request {
  Outcome outcome;
  std::uint64_t start_us;
  std::uint32_t server;
  std::uint32_t worker;
  bool trial;
  bool operator>(const Request& other) const { return outcome.end_us > other.outcome.end_us; }
};

class Simulation {
 public:
  Simulation(const Contestant& contestant, std::uint64_t seed)
      : contestant_(contestant), arrivals_(seed), proxy_(seed + 1) {
    const std::array<std::string_view, kServers> names{"a", "b", "c", "d", "e",
                                                       "f", "g", "h", "i", "j"};
    const std::vector<std::uint32_t> weights(kServers, 1);
    const weir::balance::Settings settings{contestant.algorithm,
                                           weir::balance::Maglev::make(names, weights), 150};
    for (std::uint32_t server = 0; server < kServers; ++server) servers_.emplace_back(server);
    for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
      balancers_.emplace_back(settings, weights, seed * kWorkers + worker);
    }
  }

  Result run(double per_us, std::uint64_t until_us) {
    for (;;) {
      now_us_ += exponential(arrivals_, 1 / per_us);
      if (now_us() >= until_us) break;
      for (; next_look_us_ <= now_us(); next_look_us_ += kLookEveryUs) {
        finish_until(next_look_us_);
        if (contestant_.ejection == Ejection::weir) look();
      }
      finish_until(now_us());
      if (now_us() >= next_report_us_) report();
      send();
    }
    finish_until(~std::uint64_t{0});
    return result();
  }

 private:
  [[nodiscard]] std::uint64_t now_us() const { return static_cast<std::uint64_t>(now_us_); }

  void send() {
    const Attempt attempt(arrivals_.bounded(kKeys) * 0x9E37'79B9'7F4A'7C15);
    const double work_us = exponential(arrivals_, kWorkUs);
    const auto worker = static_cast<std::uint32_t>(arrivals_.bounded(kWorkers));
    Request request{{}, now_us(), choose(attempt, worker), worker, false};
    Knowledge& about = known_[request.server];
    request.trial = weir::health::admit(about.passive, now_us() / 1'000, kPassive) ==
                    weir::health::Admission::trial;
    request.outcome = servers_[request.server].accept(now_us(), work_us);
    ++about.in_flight;
    ++about.load.sent_since;
    ++about.so_far.requests;
    ++about.unanswered;
    about.unfinished[worker].add(now_us());
    ++sent_[request.server];
    under_way_.push(request);
  }

  std::uint32_t choose(const Attempt& attempt, std::uint32_t worker) {
    Balancer& balancer = balancers_[worker];
    const View view{known_, contestant_, worker, now_us(), false};
    if (const auto choice = balancer.pick(view, attempt)) return *choice;
    return *balancer.pick(View{known_, contestant_, worker, now_us(), true}, attempt);
  }

  void finish_until(std::uint64_t until_us) {
    while (!under_way_.empty() && under_way_.top().outcome.end_us <= until_us) {
      finish(under_way_.top());
      under_way_.pop();
    }
  }

  void finish(const Request& request) {
    const std::uint64_t latency_us = request.outcome.end_us - request.start_us;
    const bool timed_out = request.outcome.failed && latency_us == kTimeoutUs;
    Knowledge& about = known_[request.server];
    --about.in_flight;
    about.unfinished[request.worker].remove(request.start_us);
    weir::balance::observe(about.latency, latency_us, request.outcome.failed,
                           request.outcome.end_us / 1'000);
    if (request.outcome.failed) ++errors_;
    if (!request.outcome.failed || timed_out) latencies_us_.push_back(latency_us);
    if (contestant_.ejection == Ejection::after_timeout && timed_out) {
      about.out_until_us = request.outcome.end_us + 10'000'000;
    }
    if (contestant_.ejection == Ejection::weir) judge(request, about);
  }

  void judge(const Request& request, Knowledge& about) {
    const auto event = request.outcome.failed ? Passive::Event::erred : Passive::Event::answered;
    const std::uint64_t now_ms = request.outcome.end_us / 1'000;
    const bool room = weir::health::ejection_room(server_counts(), kEjectedPercentMax) > 0;
    apply(about, event, now_ms, {.trial = request.trial, .may_eject = room});
    ++about.so_far.answers;
    about.so_far.errors += request.outcome.failed;
    about.latencies.record(request.outcome.end_us - request.start_us);
    about.unanswered = 0;
    about.answered_ms = now_ms;
  }

  void apply(Knowledge& about, Passive::Event event, std::uint64_t now_ms,
             weir::health::Reporter reporter) {
    weir::health::apply(about.passive, event, now_ms, static_cast<std::uint32_t>(proxy_()),
                        kPassive, reporter);
  }

  [[nodiscard]] weir::health::ServerCounts server_counts() const {
    const auto out = static_cast<std::uint32_t>(std::count_if(
        known_.begin(), known_.end(),
        [](const Knowledge& each) { return !weir::health::is_up(each.passive.load()); }));
    return {kServers, out, kServers - out};
  }

  // The control thread: silence at each look, the rest when a window ends.
  void look() {
    const std::uint64_t now_ms = next_look_us_ / 1'000;
    bool any = false;
    for (Knowledge& about : known_) {
      about.silence.look(std::min<std::uint64_t>(about.unanswered, about.in_flight),
                         about.answered_ms, now_ms, kSilence);
      any = any || about.silence.is_long(now_ms, kSilence);
    }
    if (any) {
      for (const auto& outlier :
           weir::health::find_silent(listened(), now_ms, server_counts(), kSilence)) {
        apply(known_[outlier.server], Passive::Event::fell_silent, now_ms, {.may_eject = true});
      }
    }
    if (++looks_ % kLooksPerWindow == 0) end_window(now_ms);
  }

  [[nodiscard]] std::vector<weir::health::Listened> listened() const {
    std::vector<weir::health::Listened> servers;
    for (const Knowledge& about : known_) {
      Counts late = about.counts();
      late.latencies.subtract(about.before.latencies);
      servers.push_back({weir::health::is_up(about.passive.load()), about.silence,
                         late.requests - about.before.requests, late.answers - about.before.answers,
                         late.latencies.count(), late.latencies.quantile_us(0.95)});
    }
    return servers;
  }

  void end_window(std::uint64_t now_ms) {
    std::vector<weir::health::ServerWindow> windows;
    for (Knowledge& about : known_) {
      const Counts now = about.counts();
      weir::HistogramCounts latencies = now.latencies;
      latencies.subtract(about.window.latencies);
      windows.push_back({weir::health::is_up(about.passive.load()),
                         now.answers - about.window.answers, now.errors - about.window.errors,
                         latencies.count(), latencies.quantile_us(0.5)});
      if (!about.silence.is_row()) about.before = about.window;
      about.window = now;
    }
    for (const auto& outlier : weir::health::find_outliers(windows, server_counts(), kOutliers)) {
      apply(known_[outlier.server], Passive::Event::ejected, now_ms, {.may_eject = true});
    }
  }

  void report() {
    next_report_us_ += kReportEveryUs;
    for (std::uint32_t server = 0; server < kServers; ++server) {
      known_[server].load = {true, servers_[server].entries, servers_[server].errors, 0};
    }
  }

  [[nodiscard]] Result result() {
    Result result;
    std::sort(latencies_us_.begin(), latencies_us_.end());
    const auto at = [&](double share) {
      const auto rank = static_cast<double>(latencies_us_.size() - 1) * share;
      return static_cast<double>(latencies_us_[static_cast<std::size_t>(rank)]) / 1'000;
    };
    std::uint64_t total = 0;
    for (const std::uint64_t sent : sent_) total += sent;
    for (std::uint32_t server = 0; server < kServers; ++server) {
      result.share[server] = static_cast<double>(sent_[server]) / static_cast<double>(total);
    }
    result.errors = static_cast<double>(errors_) / static_cast<double>(total);
    if (latencies_us_.empty()) return result;
    result.p50_ms = at(0.5);
    result.p99_ms = at(0.99);
    result.p999_ms = at(0.999);
    return result;
  }

  const Contestant& contestant_;
  Prng arrivals_;
  Prng proxy_;
  std::vector<Server> servers_;
  std::vector<Balancer> balancers_;
  Known known_;
  std::priority_queue<Request, std::vector<Request>, std::greater<>> under_way_;
  double now_us_ = 0;
  std::uint64_t next_report_us_ = 0;
  std::uint64_t next_look_us_ = kLookEveryUs;
  std::uint64_t looks_ = 0;
  std::vector<std::uint64_t> latencies_us_;
  std::array<std::uint64_t, kServers> sent_{};
  std::uint64_t errors_ = 0;
};

}  // namespace

Result simulate(const Contestant& contestant, double load, std::uint64_t seconds,
                std::uint64_t seed) {
  // Seven whole servers, one that stands still a twentieth of the time, and a tenth of one.
  const double servers = 7 + (1 - double(kPauseUs) / double(kPauseEveryUs)) + 0.1;
  const double capacity_per_us = servers * double(kSlots) / kWorkUs;
  Simulation simulation(contestant, seed);
  return simulation.run(load * capacity_per_us, seconds * 1'000'000);
}

}  // namespace balance_sim
