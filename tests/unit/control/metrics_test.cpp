#include "control/metrics.h"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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

#include "health/passive.h"
#include "os/os.h"

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
      workers_[i] = {&counters_[i], &loops_[i], &buffers_[i]};
    }
    servers_ = {{"app", "a", &a_}, {"app", "b", &b_}};
  }

  std::string render() {
    return render_metrics({.version = "1.2.3",
                           .start_unix_s = 1'700'000'000,
                           .open_files_max = 4096,
                           .config = {3, 2, 1, false, 1'700'000'100},
                           .workers = workers_,
                           .listeners = listeners_,
                           .servers = servers_,
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

  // Adds the next prime to `counter` and notes it.
  void mark(Counter& counter) {
    while (!is_prime(next_prime_)) ++next_prime_;
    counter.add(next_prime_);
    marks_.push_back(next_prime_++);
  }
  // The same for every counter of a structure that consists of counters up to `bytes`.
  void mark_all(void* structure, std::size_t bytes) {
    auto* counters = static_cast<Counter*>(structure);
    for (std::size_t i = 0; i < bytes / sizeof(Counter); ++i) mark(counters[i]);
  }

  std::array<proxy::WorkerCounters, kWorkers> counters_;
  std::array<loop::LoopCounters, kWorkers> loops_;
  std::array<net::BufferPool, kWorkers> buffers_;
  std::array<WorkerMetrics, kWorkers> workers_;
  loop::LoopCounters control_loop_;
  LocalHttpCounters admin_;
  proxy::ListenerState listener_{"web", {"0.0.0.0:80"}, 1000, kWorkers};
  std::vector<const proxy::ListenerState*> listeners_ = {&listener_};
  upstream::ServerState a_{"app", "a", *os::Address::ip("127.0.0.1", 1), "127.0.0.1:1", kWorkers};
  upstream::ServerState b_{"app", "b", *os::Address::ip("127.0.0.1", 2), "127.0.0.1:2", kWorkers};
  std::vector<ServerMetrics> servers_;
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

TEST_F(Metrics, AnAvoidedServerIsDown) {
  EXPECT_EQ(value("weir_server_up{backend=\"app\",server=\"a\"}"), "1");
  health::apply(a_.passive, health::Passive::Event::failed, 1'000, 0, {});
  EXPECT_EQ(value("weir_server_up{backend=\"app\",server=\"a\"}"), "0");
  EXPECT_EQ(value("weir_server_up{backend=\"app\",server=\"b\"}"), "1");
  health::apply(a_.passive, health::Passive::Event::succeeded, 2'000, 0, {});
  EXPECT_EQ(value("weir_server_up{backend=\"app\",server=\"a\"}"), "1");
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
  mark_all(&control_loop_, sizeof control_loop_);
  mark_all(&admin_, sizeof admin_);
  mark_all(&listener_.counters[1], sizeof(net::ListenerCounters));
  mark_all(&b_.counters(1), offsetof(upstream::ServerCounters, first_byte_us));
  const std::string page = render();
  std::size_t missing = 0;
  for (const std::uint64_t mark : marks_) {
    if (page.find(" " + std::to_string(mark) + "\n") == std::string::npos) ++missing;
  }
  EXPECT_EQ(missing, 2u) << "only the counters of the two words `none` are left out";
  // Nothing but the histograms, and padding, comes after what was walked.
  EXPECT_EQ(sizeof(proxy::WorkerCounters),
            offsetof(proxy::WorkerCounters, request_us) + sizeof(Histogram));
  EXPECT_LT(sizeof(upstream::ServerCounters) - offsetof(upstream::ServerCounters, first_byte_us) -
                sizeof(Histogram),
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
  EXPECT_EQ(promtool_says(render()), "exit 0");
}

TEST_F(Metrics, PromtoolWouldComplain) {
  EXPECT_NE(promtool_says(render() + "# TYPE weir_bad counter\nweir_bad 1\n"), "exit 0");
  EXPECT_NE(promtool_says(render() + "weir_workers two\n"), "exit 0");
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
