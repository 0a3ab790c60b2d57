// balance_sim: the balancing policies against the defaults of other proxies, as a table and a
// plot. See balance_sim.h for the model.
//
//   balance_sim [--seconds N] [--seed N] [--svg FILE] [--markdown]
//
// --markdown, from the root of the tree, replaces what stands between the two marks of
// docs/balancing.md; without it the tables go to standard output. Ends with 1 when weir's default
// has a worse tail or more errors than the default of any other proxy.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string_view>

#include "balance_sim.h"

namespace balance_sim {
namespace {

using weir::balance::Algorithm;

constexpr std::array kLoads = {0.3, 0.6, 0.9};
constexpr const char* kPage = "docs/balancing.md";
constexpr std::string_view kBegin = "<!-- bench balance: begin -->\n";
constexpr std::string_view kEnd = "<!-- bench balance: end -->";

const std::vector<Contestant>& contestants() {
  static const std::vector<Contestant> all = {
      {"weir p2c (default)", Algorithm::p2c, Ejection::weir},
      {"weir ewma", Algorithm::ewma, Ejection::weir},
      {"weir least_connections", Algorithm::least_connections, Ejection::weir},
      {"weir least_load", Algorithm::least_load, Ejection::weir},
      {"weir round_robin", Algorithm::round_robin, Ejection::weir},
      {"weir random", Algorithm::random, Ejection::weir},
      {"weir maglev, 10,000 keys", Algorithm::maglev, Ejection::weir},
      {"weir first, server_limit 8", Algorithm::first, Ejection::weir, false, 8},
      {"nginx default: round robin", Algorithm::round_robin, Ejection::after_timeout, true},
      {"HAProxy, Traefik default: round robin", Algorithm::round_robin, Ejection::none, true},
      {"Caddy default: random", Algorithm::random, Ejection::none, true},
      {"least connections, no ejection", Algorithm::least_connections, Ejection::none},
      {"random two, no ejection", Algorithm::p2c, Ejection::none},
  };
  return all;
}

using Row = std::array<Result, kLoads.size()>;

std::string format(const char* pattern, double value) {
  char text[32];
  std::snprintf(text, sizeof(text), pattern, value);
  return text;
}

std::string percent(double share) { return format("%.2f %%", share * 100); }

// Three digits are all that a simulation is good for.
std::string milliseconds(double value) { return format(value < 100 ? "%.1f" : "%.0f", value); }

std::string others(const Result& result) {
  double least = 1;
  double most = 0;
  for (std::uint32_t server = 0; server < kServers; ++server) {
    if (server == kSlow || server == kFailing || server == kPausing) continue;
    least = std::min(least, result.share[server]);
    most = std::max(most, result.share[server]);
  }
  return format("%.1f", least * 100) + " to " + format("%.1f %%", most * 100);
}

std::string tables(const std::vector<Row>& rows) {
  std::ostringstream text;
  for (std::size_t load = 0; load < kLoads.size(); ++load) {
    text << "At " << kLoads[load] * 100 << " % load:\n\n"
         << "| policy | p50 ms | p99 ms | p99.9 ms | errors | to the slow one | to the failing one "
            "| to the pausing one | to each other |\n"
         << "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Result& result = rows[i][load];
      text << "| " << contestants()[i].name << " | " << milliseconds(result.p50_ms) << " | "
           << milliseconds(result.p99_ms) << " | " << milliseconds(result.p999_ms) << " | "
           << percent(result.errors) << " | " << percent(result.share[kSlow]) << " | "
           << percent(result.share[kFailing]) << " | " << percent(result.share[kPausing]) << " | "
           << others(result) << " |\n";
    }
    text << '\n';
  }
  return text.str();
}

// Horizontal bars of the 99th percentile on a logarithmic scale, one per load.
std::string plot(const std::vector<Row>& rows) {
  constexpr int kLeft = 270, kWidth = 480, kBar = 9, kTop = 46;
  constexpr std::array kColours = {"#9ecae1", "#4292c6", "#08519c"};
  const auto length = [](double ms) { return std::log10(std::max(ms, 10.0) / 10) / 4 * kWidth; };
  const int group = kBar * static_cast<int>(kLoads.size()) + 9;
  const int bottom = kTop + group * static_cast<int>(rows.size());
  std::ostringstream svg;
  svg << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"" << bottom + 30
      << "\" font-family=\"sans-serif\" font-size=\"12\">\n"
      << "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      << "<text x=\"10\" y=\"18\" font-size=\"14\">99th percentile of latency, by load</text>\n";
  for (std::size_t load = 0; load < kLoads.size(); ++load) {
    const int x = kLeft + static_cast<int>(load) * 90;
    svg << "<rect x=\"" << x << "\" y=\"8\" width=\"12\" height=\"12\" fill=\"" << kColours[load]
        << "\"/><text x=\"" << x + 17 << "\" y=\"18\">" << kLoads[load] * 100 << " %</text>\n";
  }
  for (const auto& [ms, label] :
       {std::pair{10.0, "10 ms"}, {100.0, "100 ms"}, {1e3, "1 s"}, {1e4, "10 s"}, {1e5, "100 s"}}) {
    const double x = kLeft + length(ms);
    svg << "<line x1=\"" << x << "\" y1=\"" << kTop - 6 << "\" x2=\"" << x << "\" y2=\"" << bottom
        << "\" stroke=\"#ccc\"/><text x=\"" << x << "\" y=\"" << bottom + 18
        << "\" text-anchor=\"middle\">" << label << "</text>\n";
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const int y = kTop + group * static_cast<int>(i);
    svg << "<text x=\"" << kLeft - 8 << "\" y=\"" << y + 18 << "\" text-anchor=\"end\">"
        << contestants()[i].name << "</text>\n";
    for (std::size_t load = 0; load < kLoads.size(); ++load) {
      svg << "<rect x=\"" << kLeft << "\" y=\"" << y + static_cast<int>(load) * kBar
          << "\" width=\"" << length(rows[i][load].p99_ms) << "\" height=\"" << kBar - 1
          << "\" fill=\"" << kColours[load] << "\"/>\n";
    }
  }
  svg << "</svg>\n";
  return svg.str();
}

bool replace_section(const std::string& text) {
  std::stringstream buffer;
  buffer << std::ifstream(kPage).rdbuf();
  std::string content = buffer.str();
  const std::size_t begin = content.find(kBegin);
  const std::size_t end = content.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos || end < begin) return false;
  content.replace(begin + kBegin.size(), end - begin - kBegin.size(), text);
  std::ofstream(kPage) << content;
  return true;
}

struct Options {
  std::uint64_t seconds = 300;
  std::uint64_t seed = 1;
  std::string svg;
  bool markdown = false;
};

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--markdown") {
      options.markdown = true;
    } else if (i + 1 == argc) {
      return false;
    } else if (option == "--seconds") {
      options.seconds = std::strtoull(argv[++i], nullptr, 10);
    } else if (option == "--seed") {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (option == "--svg") {
      options.svg = argv[++i];
    } else {
      return false;
    }
  }
  return options.seconds != 0;
}

std::vector<Row> simulate_all(const Options& options) {
  std::vector<Row> rows;
  for (const Contestant& contestant : contestants()) {
    Row& row = rows.emplace_back();
    for (std::size_t load = 0; load < kLoads.size(); ++load) {
      row[load] = simulate(contestant, kLoads[load], options.seconds, options.seed);
    }
  }
  return rows;
}

// The first row is weir's default.
bool default_is_best(const std::vector<Row>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!contestants()[i].peer_default) continue;
    for (std::size_t load = 0; load < kLoads.size(); ++load) {
      const Result& ours = rows.front()[load];
      const Result& theirs = rows[i][load];
      if (ours.p99_ms > theirs.p99_ms || ours.p999_ms > theirs.p999_ms) return false;
      if (ours.errors > theirs.errors) return false;
    }
  }
  return true;
}

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::cerr << "balance_sim [--seconds N] [--seed N] [--svg FILE] [--markdown]\n";
    return 2;
  }
  const std::vector<Row> rows = simulate_all(options);
  if (!options.svg.empty()) std::ofstream(options.svg) << plot(rows);
  const std::string text = "`balance_sim --seconds " + std::to_string(options.seconds) +
                           " --seed " + std::to_string(options.seed) + "`.\n\n" + tables(rows);
  if (!options.markdown) {
    std::cout << text;
  } else if (!replace_section(text)) {
    std::cerr << "balance_sim: no marks in " << kPage << '\n';
    return 1;
  }
  if (default_is_best(rows)) return 0;
  std::cerr << "balance_sim: the default is worse than another proxy's\n";
  return 1;
}

}  // namespace
}  // namespace balance_sim

int main(int argc, char** argv) { return balance_sim::main(argc, argv); }
