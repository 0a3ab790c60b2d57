// tidy: long because one fixture, which has every counter of the program, serves all of it.

#include "control/metrics.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <vector>

#include "health/active.h"
#include "health/passive.h"
#include "health/state.h"
#include "os/os.h"
#include "upstream/backend_state.h"
#include "upstream/probe_outcome.h"

namespace weir::control {
namespace {

using testing::HasSubstr;
using testing::Not;

bool is_prime(std::uint64_t number) {
  for (std::uint64_t i = 2; i * i <= number; ++i) {
    if (number % i == 0) return false;
  }
  return true;
}

// A small program, every number of which can be set.
class Metrics : public testing::Test {
 protected:
  static constexpr unsigned kWorkers = 2;

  Metrics() {
    for (unsigned i = 0; i < kWorkers; ++i) {
      workers_[i] = {&counters_[i], &loops_[i], &buffers_[i], &pipes_[i]};
    }
    servers_ = {{"app", "a", &a_}, {"app", "b", &b_, 12, &checks_, true}};
    backends_[0].name = "app";
    backends_[0].state = &app_;
    backends_[0].gate.servers = {{.state = &a_}, {.state = &b_}};
  }

  std::string render() {
    return render_metrics({.version = "1.2.3",
                           .start_unix_s = 1'700'000'000,
                           .open_files_max = 4096,
                           .config = {3, 2, 1, false, 1'700'000'100},
                           .workers = workers_,
                           .listeners = listeners_,
                           .servers = servers_,
                           .backends = backends_,
                           .limits = limits_,
                           .now_ms = 1'000,
                           .checks_under_way = 3,
                           .checks_waiting = 5,
                           .watch = watch_,
                           .names = names_,
                           .control_loop = &control_loop_,
                           .admin = &admin_});
  }

  // The value of a series, or "" when it is not there.
  std::string value(const std::string& series) {
    const std::string page = "\n" + render();
    const std::size_t at = page.find("\n" + series + " ");
    if (at == std::string::npos) return "";
    const std::size_t from = at + series.size() + 2;
    return page.substr(from, page.find('\n', from) - from);
  }

  // A prime that no other series has, noted.
  std::uint64_t mark() {
    while (!is_prime(next_prime_)) ++next_prime_;
    marks_.push_back(next_prime_);
    return next_prime_++;
  }
  void mark(Counter& counter) { counter.add(mark()); }
  // The same for every counter of a structure that consists of counters up to `bytes`.
  void mark_all(void* structure, std::size_t bytes) {
    auto* counters = static_cast<Counter*>(structure);
    for (std::size_t i = 0; i < bytes / sizeof(Counter); ++i) mark(counters[i]);
  }

  std::array<proxy::WorkerCounters, kWorkers> counters_;
  std::array<loop::LoopCounters, kWorkers> loops_;
  std::array<net::BufferPool, kWorkers> buffers_;
  std::array<net::PipeCounters, kWorkers> pipes_;
  std::array<WorkerMetrics, kWorkers> workers_;
  loop::LoopCounters control_loop_;
  LocalHttpCounters admin_;
  proxy::ListenerState listener_{"web", {"0.0.0.0:80"}, 1000, kWorkers};
  std::vector<const proxy::ListenerState*> listeners_ = {&listener_};
  upstream::ServerState a_{"app", "a", *os::Address::ip("127.0.0.1", 1), "127.0.0.1:1", kWorkers};
  upstream::ServerState b_{"app", "b", *os::Address::ip("127.0.0.1", 2), "127.0.0.1:2", kWorkers};
  CheckHistory checks_;
  std::vector<ServerMetrics> servers_;
  upstream::BackendState app_{"app"};
  std::array<upstream::BackendPlan, 1> backends_;
  proxy::RateLimiter limiter_{
      {"api", config::RateLimit::Key::client, "", 1, config::Milliseconds{1'000}, 1, 64}, 7};
  std::vector<const proxy::RateLimiter*> limits_ = {&limiter_};
  BackendWatchCounters watch_;
  NameMetrics names_;
  std::uint64_t next_prime_ = 1'000'003;
  std::vector<std::uint64_t> marks_;
};

TEST_F(Metrics, TellsWhatTheProgramIs) {
  EXPECT_EQ(value("weir_build_info{version=\"1.2.3\"}"), "1");
  EXPECT_EQ(value("process_start_time_seconds"), "1700000000");
  EXPECT_EQ(value("process_max_fds"), "4096");
  EXPECT_EQ(value("weir_workers"), "2");
  EXPECT_EQ(value("weir_config_generation"), "3");
  EXPECT_EQ(value("weir_config_reloads_total{result=\"success\"}"), "2");
  EXPECT_EQ(value("weir_config_reloads_total{result=\"failure\"}"), "1");
  EXPECT_EQ(value("weir_config_last_reload_successful"), "0");
  EXPECT_EQ(value("weir_config_last_reload_timestamp_seconds"), "1700000100");
}

TEST_F(Metrics, AddsUpTheWorkers) {
  counters_[0].responses[2].add(3);
  counters_[1].responses[2].add(4);
  counters_[1].responses[0].add(1);
  counters_[0].requests_in_flight.add(5);
  counters_[1].requests_in_flight.add(6);
  listener_.counters[0].accepted.add(7);
  listener_.counters[1].accepted.add(8);
  listener_.connections = 9;
  EXPECT_EQ(value("weir_http_requests_total{code=\"2xx\"}"), "7");
  EXPECT_EQ(value("weir_http_requests_total{code=\"none\"}"), "1");
  EXPECT_EQ(value("weir_http_requests_total{code=\"5xx\"}"), "0");
  EXPECT_EQ(value("weir_http_requests_in_flight"), "11");
  EXPECT_EQ(value("weir_listener_connections_total{listener=\"web\"}"), "15");
  EXPECT_EQ(value("weir_listener_connections_active{listener=\"web\"}"), "9");
  EXPECT_EQ(value("weir_listener_connections_max{listener=\"web\"}"), "1000");
}

TEST_F(Metrics, ShowsEachWorkerAndServer) {
  loops_[1].turns.add(12);
  control_loop_.turns.add(13);
  b_.counters(0).connections_idle.add(3);
  b_.counters(1).connections_idle.add(4);
  b_.in_flight = 5;
  EXPECT_EQ(value("weir_worker_turns_total{worker=\"1\"}"), "12");
  EXPECT_EQ(value("weir_worker_turns_total{worker=\"control\"}"), "13");
  EXPECT_EQ(value("weir_server_connections{backend=\"app\",server=\"b\",state=\"idle\"}"), "7");
  EXPECT_EQ(value("weir_server_connections{backend=\"app\",server=\"a\",state=\"idle\"}"), "0");
  EXPECT_EQ(value("weir_server_requests_in_flight{backend=\"app\",server=\"b\"}"), "5");
}

TEST_F(Metrics, AnEjectedServerIsNotUp) {
  const std::string up = "weir_server_up{backend=\"app\",server=\"a\"}";
  const std::string ejected = "weir_server_state{backend=\"app\",server=\"a\",state=\"ejected\"}";
  EXPECT_EQ(value(up), "1");
  EXPECT_EQ(value(ejected), "0");
  health::apply(a_.passive, health::Passive::Event::failed, 1'000, 0, {});
  EXPECT_EQ(value(up), "0");
  EXPECT_EQ(value(ejected), "1");
  EXPECT_EQ(value("weir_server_up{backend=\"app\",server=\"b\"}"), "1");
  health::apply(a_.passive, health::Passive::Event::succeeded, 2'000, 0, {});
  EXPECT_EQ(value(up), "1");
  EXPECT_EQ(value(ejected), "0");
}

TEST_F(Metrics, AServerIsInOneState) {
  const auto state_of_a = [this](const char* state) {
    return value("weir_server_state{backend=\"app\",server=\"a\",state=\"" + std::string(state) +
                 "\"}");
  };
  const std::array states = {"up", "down", "ejected", "draining", "maintenance"};
  const auto expect_only = [&](std::string_view expected) {
    for (const char* state : states) {
      EXPECT_EQ(state_of_a(state), state == expected ? "1" : "0") << state;
    }
  };
  expect_only("up");
  a_.active = static_cast<std::uint8_t>(health::Active::State::down);
  expect_only("down");
  a_.active = 0;
  a_.agent = static_cast<std::uint8_t>(health::Wish::drain);
  expect_only("draining");
  a_.administrative = static_cast<std::uint8_t>(health::Wish::maintenance);
  expect_only("maintenance");
  EXPECT_EQ(value("weir_server_up{backend=\"app\",server=\"a\"}"), "0");
}

TEST_F(Metrics, GaugesOfAServer) {
  a_.pending = 2;
  a_.retries = 3;
  EXPECT_EQ(value("weir_server_requests_connecting{backend=\"app\",server=\"a\"}"), "2");
  EXPECT_EQ(value("weir_server_retries_in_flight{backend=\"app\",server=\"a\"}"), "3");
  EXPECT_EQ(value("weir_server_requests_max{backend=\"app\",server=\"a\"}"), "0");
  EXPECT_EQ(value("weir_server_requests_max{backend=\"app\",server=\"b\"}"), "12");
}

TEST_F(Metrics, HealthChecksByResult) {
  const auto checks_of_b = [this](const char* result) {
    return value("weir_health_checks_total{backend=\"app\",server=\"b\",result=\"" +
                 std::string(result) + "\"}");
  };
  using upstream::ProbeResult;
  EXPECT_EQ(checks_of_b("passed"), "0");
  EXPECT_EQ(checks_of_b("refused"), "") << "a kind of failure begins with its first one";
  checks_.results[static_cast<std::size_t>(ProbeResult::passed)] = 5;
  checks_.results[static_cast<std::size_t>(ProbeResult::refused)] = 2;
  checks_.results[static_cast<std::size_t>(ProbeResult::lacks_text)] = 1;
  checks_.results[static_cast<std::size_t>(ProbeResult::no_resources)] = 7;
  EXPECT_EQ(checks_of_b("passed"), "5");
  EXPECT_EQ(checks_of_b("refused"), "2");
  EXPECT_EQ(checks_of_b("lacks_text"), "1");
  EXPECT_EQ(checks_of_b("no_resources"), "7");
  const std::string failures = "weir_health_check_failures_total{backend=\"app\",server=\"";
  EXPECT_EQ(value(failures + "b\"}"), "3") << "what weir had no means for is no failure";
  EXPECT_EQ(value(failures + "a\"}"), "") << "a is not checked";
  const std::string duration = "weir_health_check_duration_seconds{backend=\"app\",server=\"b\"}";
  EXPECT_EQ(value(duration), "") << "none has ended";
  checks_.last_ms = 1;
  checks_.last_latency_us = 1'002'003;
  EXPECT_EQ(value(duration), "1.002003");
  EXPECT_EQ(value("weir_health_checks_in_flight"), "3");
  EXPECT_EQ(value("weir_health_checks_waiting"), "5");
}

TEST_F(Metrics, LoadReports) {
  const std::string entries = "weir_server_load_entries{backend=\"app\",server=\"b\"}";
  const std::string errors = "weir_server_load_errors{backend=\"app\",server=\"b\"}";
  b_.report = std::uint64_t{7} << 32 | 8;
  EXPECT_EQ(value(entries), "") << "there is none, or it is too old";
  b_.report_at_ms = 500;
  b_.agent_percent = 75;
  EXPECT_EQ(value(entries), "7");
  EXPECT_EQ(value(errors), "8");
  EXPECT_EQ(value("weir_server_load_percent{backend=\"app\",server=\"b\"}"), "75");
  EXPECT_EQ(value("weir_server_load_percent{backend=\"app\",server=\"a\"}"), "");
  servers_[1].reports_load = false;
  EXPECT_EQ(value(entries), "");
}

TEST_F(Metrics, ServersOfABackendByState) {
  a_.active = static_cast<std::uint8_t>(health::Active::State::down);
  app_.panic = true;
  EXPECT_EQ(value("weir_backend_servers{backend=\"app\",state=\"up\"}"), "1");
  EXPECT_EQ(value("weir_backend_servers{backend=\"app\",state=\"down\"}"), "1");
  EXPECT_EQ(value("weir_backend_servers{backend=\"app\",state=\"maintenance\"}"), "0");
  EXPECT_EQ(value("weir_backend_servers_healthy{backend=\"app\"}"), "1");
  EXPECT_EQ(value("weir_backend_panic{backend=\"app\"}"), "1");
  backends_[0].gate.servers[1].weight = 0;
  EXPECT_EQ(value("weir_backend_servers_healthy{backend=\"app\"}"), "0");
  EXPECT_EQ(value("weir_backend_servers{backend=\"app\",state=\"up\"}"), "1");
}

TEST_F(Metrics, LimitsAndQueueOfABackend) {
  backends_[0].gate.limit_of_all = 9;
  backends_[0].gate.queue_size = 100;
  a_.in_flight = 2;
  b_.in_flight = 3;
  EXPECT_EQ(value("weir_backend_requests_max{backend=\"app\"}"), "9");
  EXPECT_EQ(value("weir_backend_requests_in_flight{backend=\"app\"}"), "5");
  EXPECT_EQ(value("weir_backend_queue_max{backend=\"app\"}"), "100");
  EXPECT_EQ(value("weir_backend_queue_length{backend=\"app\"}"), "0");
  auto& gate = const_cast<upstream::GateCounters&>(app_.gate.counters());
  gate.granted.add(4);
  gate.dropped_displaced.add(5);
  gate.wait_us.record(2'000);
  const std::string ended = "weir_backend_queue_ended_total{backend=\"app\",result=\"";
  EXPECT_EQ(value(ended + "granted\"}"), "4");
  EXPECT_EQ(value(ended + "displaced\"}"), "5");
  EXPECT_EQ(value(ended + "timed_out\"}"), "0");
  const std::string wait = "weir_backend_queue_duration_seconds";
  EXPECT_EQ(value(wait + "_bucket{backend=\"app\",le=\"0.001\"}"), "0");
  EXPECT_EQ(value(wait + "_bucket{backend=\"app\",le=\"0.0025\"}"), "1");
  EXPECT_EQ(value(wait + "_sum{backend=\"app\"}"), "0.002000");
}

TEST_F(Metrics, RateLimits) {
  EXPECT_EQ(value("weir_limit_refused_total{limit=\"api\"}"), "0");
  const os::Peer client;
  EXPECT_FALSE(limiter_.refuses(client, nullptr, 1'000));
  EXPECT_TRUE(limiter_.refuses(client, nullptr, 1'000));
  EXPECT_EQ(value("weir_limit_refused_total{limit=\"api\"}"), "1");
  EXPECT_EQ(value("weir_limit_keys_evicted_total{limit=\"api\"}"), "0");
}

TEST_F(Metrics, Names) {
  names_.lookups[static_cast<std::size_t>(os::LookupStatus::no_such_name)] = 2;
  names_.lookups[static_cast<std::size_t>(os::LookupStatus::timed_out)] = 3;
  names_.names = 4;
  names_.names_failing = 1;
  EXPECT_EQ(value("weir_name_lookups_total{result=\"ok\"}"), "0");
  EXPECT_EQ(value("weir_name_lookups_total{result=\"no_such_name\"}"), "2");
  EXPECT_EQ(value("weir_name_lookups_total{result=\"timed_out\"}"), "3");
  EXPECT_EQ(value("weir_names"), "4");
  EXPECT_EQ(value("weir_names_failing"), "1");
}

TEST_F(Metrics, BuffersAreCounted) {
  char* block = buffers_[1].take();
  EXPECT_EQ(value("weir_worker_buffers{worker=\"1\"}"), "1");
  buffers_[1].give_back(block);
  EXPECT_EQ(value("weir_worker_buffers{worker=\"1\"}"), "0");
  net::BufferPool none(0);
  EXPECT_EQ(none.take(), nullptr);
  workers_[0].buffers = &none;
  EXPECT_EQ(value("weir_worker_buffers_exhausted_total{worker=\"0\"}"), "1");
}

TEST_F(Metrics, PipesAreCounted) {
  pipes_[0].open.add(2);
  pipes_[1].refused.add(3);
  EXPECT_EQ(value("weir_worker_pipes{worker=\"0\"}"), "2");
  EXPECT_EQ(value("weir_worker_pipes{worker=\"1\"}"), "0");
  EXPECT_EQ(value("weir_worker_pipes_refused_total{worker=\"1\"}"), "3");
}

TEST_F(Metrics, WorkIsInSecondsAndWhoWasHandedOverByKind) {
  loops_[1].busy_ns.add(2'500'000'999);
  counters_[0].fresh_handed_over.add(3);
  counters_[1].clients_handed_over.add(4);
  EXPECT_EQ(value("weir_worker_busy_seconds_total{worker=\"0\"}"), "0.000000");
  EXPECT_EQ(value("weir_worker_busy_seconds_total{worker=\"1\"}"), "2.500000");
  const std::string moved = "weir_connections_handed_over_total";
  EXPECT_EQ(value(moved + "{worker=\"0\",client=\"new\"}"), "3");
  EXPECT_EQ(value(moved + "{worker=\"0\",client=\"served\"}"), "0");
  EXPECT_EQ(value(moved + "{worker=\"1\",client=\"served\"}"), "4");
}

TEST_F(Metrics, HistogramsAreInSecondsAndCumulative) {
  for (const std::uint64_t us : {50u, 90u, 700u, 3'000'000u, 20'000'000u}) {
    counters_[us % 200 == 0].request_us.record(us);
  }
  const std::string name = "weir_http_request_duration_seconds";
  const std::map<std::string, std::string> expected = {
      {"0.0001", "2"}, {"0.00025", "2"}, {"0.001", "3"}, {"2.5", "3"},
      {"5", "4"},      {"10", "4"},      {"+Inf", "5"}};
  for (const auto& [le, count] : expected) {
    EXPECT_EQ(value(name + "_bucket{le=\"" + le + "\"}"), count) << le;
  }
  EXPECT_EQ(value(name + "_count"), "5");
  EXPECT_EQ(value(name + "_sum"), "23.000840");
  b_.counters(1).first_byte_us.record(600);
  EXPECT_EQ(
      value("weir_server_first_byte_seconds_bucket{backend=\"app\",server=\"b\",le=\"0.001\"}"),
      "1");
  EXPECT_EQ(value("weir_server_first_byte_seconds_sum{backend=\"app\",server=\"b\"}"), "0.000600");
}

// A counter that somebody adds to one of the structures and not to the page makes this fail. The
// structures are walked as arrays of counters, so it need not be named here.
TEST_F(Metrics, EveryCounterIsOnThePage) {
  mark_all(&counters_[0], offsetof(proxy::WorkerCounters, request_us));
  mark_all(&loops_[1], sizeof(loop::LoopCounters));
  mark_all(&pipes_[1], sizeof(net::PipeCounters));
  mark_all(&control_loop_, sizeof control_loop_);
  mark_all(&admin_, offsetof(LocalHttpCounters, traffic));
  mark_all(&admin_.traffic, sizeof(net::TrafficCounters));
  mark_all(&listener_.counters[1], sizeof(net::ListenerCounters));
  mark_all(&listener_.traffic[1], sizeof(net::TrafficCounters));
  mark_all(&b_.counters(1), offsetof(upstream::ServerCounters, first_byte_us));
  mark_all(&b_.counters(1).traffic, sizeof(net::TrafficCounters));
  mark_all(const_cast<upstream::GateCounters*>(&app_.gate.counters()),
           offsetof(upstream::GateCounters, wait_us));
  for (Counter& ejections : b_.outlier_ejections) mark(ejections);
  mark(b_.returns);
  for (Counter& changes : b_.wishes) mark(changes);
  watch_ = {mark()};
  for (std::uint64_t& lookups : names_.lookups) lookups = mark();
  names_.failures = mark();
  names_.recoveries = mark();
  for (std::uint64_t& checks : checks_.results) checks = mark();
  checks_.reports_taken = mark();
  checks_.reports_ignored = mark();
  checks_.changes = mark();
  const std::string page = render();
  std::size_t missing = 0;
  for (const std::uint64_t mark : marks_) {
    if (page.find(" " + std::to_string(mark) + "\n") == std::string::npos) ++missing;
  }
  EXPECT_EQ(missing, 6u) << "only the two words `none`, the admin pages' rate limit and server "
                            "names, which they do not have, and the times of two loops, which are "
                            "in seconds, are left out";
  // Nothing but the histograms, and padding, comes after what was walked; and of a server what
  // tells of its silence.
  EXPECT_EQ(sizeof(proxy::WorkerCounters),
            offsetof(proxy::WorkerCounters, request_us) + sizeof(Histogram));
  EXPECT_EQ(sizeof(upstream::GateCounters),
            offsetof(upstream::GateCounters, wait_us) + sizeof(Histogram));
  EXPECT_LT(sizeof(upstream::ServerCounters) - offsetof(upstream::ServerCounters, first_byte_us) -
                sizeof(Histogram) - 2 * sizeof(Counter) - sizeof(net::Traffic),
            alignof(upstream::ServerCounters));
}

TEST_F(Metrics, EveryErrorWordIsThereFromTheStart) {
  const std::string page = render();
  std::size_t words = 0;
  for (std::size_t i = 0; i < proxy::kErrorWordCount; ++i) {
    const std::string_view word = proxy::error_word(i);
    if (word.empty()) continue;
    ++words;
    EXPECT_THAT(page, HasSubstr("weir_errors_total{reason=\"" + std::string(word) + "\"} 0\n"));
  }
  EXPECT_EQ(words, proxy::kErrorWordCount - 2);
  for (std::size_t i = 0; i < proxy::kCloseReasonCount; ++i) {
    const std::string reason = proxy::to_string(static_cast<proxy::CloseReason>(i));
    EXPECT_THAT(page, HasSubstr("weir_connection_closes_total{reason=\"" + reason + "\"} 0\n"));
  }
}

TEST_F(Metrics, NoSeriesOccursTwice) {
  std::istringstream lines(render());
  std::set<std::string> series;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP")) continue;
    EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
}

TEST_F(Metrics, LabelValuesAreEscaped) {
  servers_ = {{"a\"b\\c\nd", "unix:/tmp/\xff\x01\xc3\xa9", &a_}};
  EXPECT_EQ(value("weir_server_up{backend=\"a\\\"b\\\\c\\nd\","
                  "server=\"unix:/tmp/\\\\xff\\\\x01\xc3\xa9\"}"),
            "1");
}

TEST_F(Metrics, RendersWithoutWorkersAndServers) {
  const std::string page = render_metrics({.version = "1"});
  EXPECT_THAT(page, HasSubstr("weir_http_requests_total{code=\"2xx\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("weir_config_last_reload_successful 1\n"));
  EXPECT_THAT(page, Not(HasSubstr("weir_admin")));
}

// --- What others think of the page ---------------------------------------------------------------

// Runs `promtool check metrics` on a page; returns its complaints and exit code.
std::string promtool_says(const std::string& page) {
  char path[] = "/tmp/weir-metrics-XXXXXX";
  const os::Fd file(::mkstemp(path));
  EXPECT_EQ(::write(file.get(), page.data(), page.size()), static_cast<ssize_t>(page.size()));
  const std::string command = "promtool check metrics 2>&1 < " + std::string(path);
  std::string says;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  for (int byte; (byte = std::fgetc(pipe)) != EOF;) says += static_cast<char>(byte);
  const int status = ::pclose(pipe);
  ::unlink(path);
  return says + "exit " + std::to_string(WEXITSTATUS(status));
}

TEST_F(Metrics, PromtoolHasNoComplaint) {
  EXPECT_EQ(promtool_says(render()), "exit 0");
  mark_all(&counters_[0], sizeof counters_[0]);
  mark_all(&a_.counters(0), offsetof(upstream::ServerCounters, first_byte_us) + sizeof(Histogram));
  servers_.push_back({"a\"b\\c\nd", "\xff\x01\xc3\xa9", &b_});
  for (std::uint64_t& checks : checks_.results) checks = mark();
  checks_.last_ms = 1;
  b_.report_at_ms = 1;
  EXPECT_EQ(promtool_says(render()), "exit 0");
}

TEST_F(Metrics, PromtoolWouldComplain) {
  EXPECT_NE(promtool_says(render() + "# TYPE weir_bad counter\nweir_bad 1\n"), "exit 0");
  EXPECT_NE(promtool_says(render() + "weir_workers two\n"), "exit 0");
}

// --- The cost ------------------------------------------------------------------------------------

// To be run by hand: a measurement, nothing is expected of it.
TEST_F(Metrics, DISABLED_CostOfAThousandServers) {
  constexpr std::size_t kServers = 1'000;
  std::vector<std::unique_ptr<upstream::ServerState>> states;
  std::vector<std::string> names;
  servers_.clear();
  backends_[0].gate.servers.clear();
  names.reserve(kServers);
  for (std::size_t i = 0; i < kServers; ++i) {
    names.push_back("10.0.1.100:" + std::to_string(10'000 + i));
    states.push_back(std::make_unique<upstream::ServerState>(
        "app", names[i], *os::Address::ip("127.0.0.1", 1), names[i], kWorkers));
    for (std::uint64_t us = 50; us < 10'000'000; us += us / 8) {
      states[i]->counters(0).first_byte_us.record(us);
    }
    servers_.push_back({"app", names[i], states[i].get(), 12, &checks_, true});
    backends_[0].gate.servers.push_back({.state = states[i].get()});
  }
  std::uint64_t best_us = UINT64_MAX;
  std::size_t bytes = 0;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t begun_ns = os::monotonic_ns();
    bytes = render().size();
    best_us = std::min(best_us, (os::monotonic_ns() - begun_ns) / 1'000);
  }
  std::printf("%zu servers: %zu bytes in %llu us\n", kServers, bytes,
              static_cast<unsigned long long>(best_us));
}

// --- The pages for people ------------------------------------------------------------------------

std::string read_page(const std::string& name) {
  std::ifstream file(std::string(WEIR_SOURCE_DIR) + "/docs/" + name);
  EXPECT_TRUE(file.good()) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// First and second cell of every table row whose first cell is one word in backticks.
std::map<std::string, std::string> read_rows(const std::string& name) {
  std::map<std::string, std::string> rows;
  std::istringstream lines(read_page(name));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = line.find("` | ");
    if (!line.starts_with("| `") || end == std::string::npos) continue;
    const std::string rest = line.substr(end + 4);
    const auto [at, fresh] = rows.emplace(line.substr(3, end - 3), rest.substr(0, rest.find(" |")));
    EXPECT_TRUE(fresh) << at->first << " stands twice in " << name;
  }
  return rows;
}

TEST_F(Metrics, TheDocumentNamesEveryMetricWithItsType) {
  auto rows = read_rows("metrics.md");
  std::istringstream lines(render());
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("# TYPE ")) continue;
    const std::size_t space = line.rfind(' ');
    const std::string name = line.substr(7, space - 7);
    EXPECT_EQ(rows[name], line.substr(space + 1)) << name;
    rows.erase(name);
  }
  for (std::size_t i = 0; i < proxy::kCloseReasonCount; ++i) {
    EXPECT_EQ(rows.erase(proxy::to_string(static_cast<proxy::CloseReason>(i))), 1u) << i;
  }
  for (const auto& [name, type] : rows) ADD_FAILURE() << name << " is on no page";
}

TEST_F(Metrics, TheDocumentNamesEveryErrorWordWithItsStatus) {
  auto rows = read_rows("errors.md");
  const auto expect_row = [&rows](const proxy::Refusal& refusal) {
    const std::string word(refusal.word);
    EXPECT_EQ(rows[word], refusal.status == 0 ? "none" : std::to_string(refusal.status)) << word;
    rows.erase(word);
  };
  for (std::size_t i = 1; i < http::kParseErrorCount; ++i) {
    expect_row(proxy::refusal(static_cast<http::ParseError>(i)));
  }
  for (std::size_t i = 1; i < proxy::kProxyErrorCount; ++i) {
    expect_row(proxy::refusal(static_cast<proxy::ProxyError>(i)));
  }
  for (const auto& [word, status] : rows) ADD_FAILURE() << word << " is no error word";
}

}  // namespace
}  // namespace weir::control
