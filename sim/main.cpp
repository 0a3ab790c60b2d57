// weir_sim: runs seeds of the simulation, reports what they did, and makes failures small.
// sim/README.md explains it; --help lists the arguments.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "os/process.h"
#include "sim/os_sim_child.h"
#include "sim/world/identity.h"
#include "sim/world/regressions.h"
#include "sim/world/shrink.h"

namespace weir::sim {
namespace {

constexpr const char* kHelp =
    "weir_sim [--seed S | --seeds A..B | --minutes N | --regressions | --check] [limits]\n"
    "  --seed S           one seed, twice: the two hashes must agree\n"
    "  --seeds A..B       these seeds, and what they did in all (default: 1..100)\n"
    "  --minutes N        fresh seeds until the time is over\n"
    "  --regressions      the runs of sim/regressions.txt (or of --file PATH)\n"
    "  --check            the regressions, then seeds 1..700\n"
    "  --trace            the last lines of the trace of each run\n"
    "  --no-shrink        report a failure as it is\n"
    "limits, which a shrunk failure prints:\n"
    "  --clients 1,2,3  --relays 1,2,3  --requests N  --servers N  --workers N\n"
    "  --only-faults a,b,c (or none)  --no-events\n"
    "  --steps N          break off after N steps, wherever that is\n";

constexpr std::uint64_t kCheckSeeds = 700;
constexpr std::uint64_t kFailuresMax = 5;

struct Tally {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
};

struct Arguments {
  std::optional<std::uint64_t> seed;
  std::uint64_t first = 1;
  std::uint64_t last = 100;
  double minutes = 0;
  bool regressions = false;
  bool check = false;
  bool trace = false;
  bool shrink = true;
  std::string file = "sim/regressions.txt";
  Limits limits;
};

// Sets one number; false when the text is none.
template <typename Number>
bool set_number(Number& into, std::string_view text) {
  const auto value = number_from_text(text);
  if (value) into = static_cast<Number>(*value);
  return value.has_value();
}

bool set_range(Arguments& into, std::string_view text) {
  const std::size_t dots = text.find("..");
  return dots != std::string_view::npos && set_number(into.first, text.substr(0, dots)) &&
         set_number(into.last, text.substr(dots + 2)) && into.first <= into.last;
}

bool set_list(std::optional<std::vector<std::uint32_t>>& into, std::string_view text) {
  into = numbers_from_text(text);
  return into.has_value();
}

bool set_faults(Limits& limits, std::string_view text) {
  const auto faults = faults_from_text(text);
  if (faults) limits.faults = *faults;
  return faults.has_value();
}

// An argument without a value. False when it is not one.
bool set_flag(Arguments& into, std::string_view name) {
  if (name == "--trace") return into.trace = true;
  if (name == "--regressions") return into.regressions = true;
  if (name == "--check") return into.check = true;
  if (name == "--no-shrink") return !(into.shrink = false);
  if (name == "--no-events") return !(into.limits.events = false);
  return false;
}

bool set_value(Arguments& into, std::string_view name, std::string_view value) {
  Limits& limits = into.limits;
  if (name == "--seed") return set_number(into.seed.emplace(), value);
  if (name == "--seeds") return set_range(into, value);
  if (name == "--minutes") return set_number(into.minutes, value);
  if (name == "--steps") return set_number(limits.steps.emplace(), value);
  if (name == "--workers") return set_number(limits.workers.emplace(), value) && limits.workers > 0;
  if (name == "--requests") return set_number(limits.requests_max, value);
  if (name == "--servers") return set_number(limits.servers_max, value) && limits.servers_max > 0;
  if (name == "--clients") return set_list(limits.clients, value);
  if (name == "--relays") return set_list(limits.relays, value);
  if (name == "--only-faults") return set_faults(limits, value);
  if (name == "--file") return !(into.file = value).empty();
  return false;
}

bool parse(Arguments& into, const std::vector<std::string_view>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (set_flag(into, words[i])) continue;
    if (i + 1 == words.size() || !set_value(into, words[i], words[i + 1])) {
      const std::string name(words[i]);
      const bool known = std::string_view(kHelp).find(name + " ") != std::string_view::npos;
      const std::string what =
          known ? name + " needs a valid value" : "unknown option `" + name + "`";
      std::fprintf(stderr, "weir_sim: %s; see weir_sim --help\n", what.c_str());
      return false;
    }
    ++i;
  }
  return true;
}

void say(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void report_failure(std::uint64_t seed, const Arguments& arguments, const Outcome& outcome) {
  say("seed " + std::to_string(seed) + " FAILED: " + outcome.checker + "\n" + outcome.said);
  Limits limits = arguments.limits;
  if (arguments.shrink) limits = shrink(seed, limits, outcome.checker);
  say("again: build/release/weir_sim --no-shrink --seed " + std::to_string(seed) +
      limits.arguments() + "\n");
}

// What limits take away cannot be asked for.
bool is_whole(const Arguments& arguments) { return arguments.limits.arguments().empty(); }

// False, and said so, when a whole run has done too little.
bool did_enough(std::uint64_t seed, const Arguments& arguments, const Report& report) {
  const std::string too_little = is_whole(arguments) ? run_below_floor(report) : "";
  if (too_little.empty()) return true;
  say("seed " + std::to_string(seed) + " FAILED: " + too_little + "\n");
  return false;
}

// One seed, and again: everything must be the same.
bool run_one(std::uint64_t seed, const Arguments& arguments) {
  const Outcome outcome = run_seed(seed, arguments.limits, arguments.trace);
  if (outcome.failed()) {
    report_failure(seed, arguments, outcome);
    return false;
  }
  say("seed " + std::to_string(seed) + ": " + outcome.report.text() + edges_text(outcome.report) +
      outcome.said);
  if (!did_enough(seed, arguments, outcome.report)) return false;
  const Outcome second = run_seed(seed, arguments.limits, false);
  if (second.failed()) {
    say("the second time:\n");
    report_failure(seed, arguments, second);
    return false;
  }
  if (second.report.hash == outcome.report.hash) {
    say("again: the same hash\n");
    return true;
  }
  say("seed " + std::to_string(seed) + " FAILED: a second run had another hash\n");
  return false;
}

// Adds one seed to the sum. False when it failed.
bool run_in_series(std::uint64_t seed, const Arguments& arguments, Report& sum) {
  const Outcome outcome = run_seed(seed, arguments.limits, arguments.trace);
  if (outcome.failed()) {
    report_failure(seed, arguments, outcome);
    return false;
  }
  if (arguments.trace) say("seed " + std::to_string(seed) + ":\n" + outcome.said);
  if (!did_enough(seed, arguments, outcome.report)) return false;
  sum.add(outcome.report);
  return true;
}

void report_series(const Report& sum, std::uint64_t first, double seconds) {
  say(std::to_string(sum.seeds) + " seeds from " + std::to_string(first) + " in " +
      std::to_string(static_cast<std::uint64_t>(seconds)) + " s: " + sum.text() + edges_text(sum));
}

std::string series_below_floor(const Arguments& arguments, const Report& sum) {
  const std::string too_little = below_floor(sum);
  return too_little.empty() && arguments.check ? everything_below_floor(sum) : too_little;
}

Tally run_series(const Arguments& arguments) {
  const bool timed = arguments.minutes > 0;
  const double begin = real_seconds();
  const double end = begin + arguments.minutes * 60;
  const std::uint64_t first = timed ? fresh_seed() : arguments.first;
  Tally tally;
  Report sum;
  for (std::uint64_t seed = first; timed ? real_seconds() < end : seed <= arguments.last; ++seed) {
    if (!run_in_series(seed, arguments, sum)) ++tally.failed;
    if (tally.failed == kFailuresMax) break;
  }
  report_series(sum, first, real_seconds() - begin);
  tally.passed = sum.seeds;
  const std::string too_little =
      is_whole(arguments) && tally.failed == 0 ? series_below_floor(arguments, sum) : "";
  if (too_little.empty()) return tally;
  say("FAILED: " + too_little + "\n");
  ++tally.failed;
  return tally;
}

Tally run_regressions(const Arguments& arguments) {
  const auto text = os::read_file(arguments.file);
  if (!text) {
    say("weir_sim: " + text.error() + "\n");
    return {0, 1};
  }
  const auto lines = regressions_from_text(*text);
  if (!lines) {
    say("weir_sim: " + arguments.file + ", " + lines.error() + "\n");
    return {0, 1};
  }
  Tally tally;
  for (const Regression& line : *lines) {
    say("regression " + std::string(line.name) + " (commit " + std::string(line.commit) +
        "): " + std::string(line.about) + "\n");
    std::vector<std::string_view> words = line.words;
    Arguments one;
    words.insert(words.begin(), "--seed");
    const bool passed = parse(one, words) && run_one(*one.seed, one);
    ++(passed ? tally.passed : tally.failed);
  }
  return tally;
}

Tally run_check(Arguments arguments) {
  const Tally known = run_regressions(arguments);
  arguments.first = 1;
  arguments.last = kCheckSeeds;
  const Tally fixed = run_series(arguments);
  return {known.passed + fixed.passed, known.failed + fixed.failed};
}

Tally run_chosen(const Arguments& arguments) {
  if (arguments.check) return run_check(arguments);
  if (arguments.regressions) return run_regressions(arguments);
  if (!arguments.seed) return run_series(arguments);
  return run_one(*arguments.seed, arguments) ? Tally{1, 0} : Tally{0, 1};
}

int run(const std::vector<std::string_view>& words) {
  Arguments arguments;
  if (words == std::vector<std::string_view>{"--help"}) {
    say(kHelp);
    return EXIT_SUCCESS;
  }
  if (!parse(arguments, words)) return 2;
  const Tally tally = run_chosen(arguments);
  say(std::to_string(tally.passed) + " passed, " + std::to_string(tally.failed) + " failed\n");
  return tally.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace weir::sim

int main(int argc, char** argv) {
  return weir::sim::run(std::vector<std::string_view>(argv + 1, argv + argc));
}
