// The balancing policies: one pick among so many servers, all usable and differently busy.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "balance/balancer.h"
#include "base/prng.h"

namespace weir::bench {
namespace {

// What the upstream layer answers from its tables.
class View {
 public:
  explicit View(std::size_t servers) {
    Prng prng(1);
    for (std::size_t i = 0; i < servers; ++i) {
      in_flight_.push_back(static_cast<std::uint32_t>(prng.bounded(20)));
      latency_us_.push_back(500 + prng.bounded(1000));
    }
  }
  [[nodiscard]] bool usable(std::uint32_t /*server*/) const { return true; }
  [[nodiscard]] std::uint32_t in_flight(std::uint32_t server) const { return in_flight_[server]; }
  [[nodiscard]] std::uint64_t latency_us(std::uint32_t server) const { return latency_us_[server]; }
  [[nodiscard]] balance::ReportedLoad load(std::uint32_t server) const {
    return {.known = true, .entries = in_flight_[server]};
  }

 private:
  std::vector<std::uint32_t> in_flight_;
  std::vector<std::uint64_t> latency_us_;
};

balance::SharedMaglev make_maglev(const std::vector<std::uint32_t>& weights) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < weights.size(); ++i) names.push_back("app/" + std::to_string(i));
  const std::vector<std::string_view> views(names.begin(), names.end());
  return balance::Maglev::make(views, weights);
}

void pick(benchmark::State& state, balance::Algorithm algorithm) {
  const auto servers = static_cast<std::size_t>(state.range(0));
  const std::vector<std::uint32_t> weights(servers, 1);
  balance::Settings settings{.algorithm = algorithm, .maglev = nullptr};
  if (algorithm == balance::Algorithm::maglev) settings.maglev = make_maglev(weights);
  balance::Balancer balancer(settings, weights, 1);
  const View view(servers);
  std::uint64_t key = 0;
  for (auto _ : state) benchmark::DoNotOptimize(balancer.pick(view, balance::Attempt(++key)));
}

using enum balance::Algorithm;
BENCHMARK_CAPTURE(pick, round_robin, round_robin)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, least_connections, least_connections)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, p2c, p2c)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, ewma, ewma)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, least_load, least_load)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, random, random)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, first, first)->Arg(10)->Arg(1000);
BENCHMARK_CAPTURE(pick, maglev, maglev)->Arg(10)->Arg(1000);

}  // namespace
}  // namespace weir::bench
