// The router: one request among so many routes, which the last of them takes, or none.
#include <benchmark/benchmark.h>

#include <string>

#include "proxy/router.h"

namespace weir::bench {
namespace {

enum class By {
  host,
  path,
};

proxy::Router make_router(std::size_t routes, By by) {
  config::Config config;
  config.backends.emplace_back().name = "app";
  config.listeners.emplace_back().name = "web";
  for (std::size_t i = 0; i < routes; ++i) {
    config::Route& route = config.routes.emplace_back();
    route.backends = {{"app"}};
    if (by == By::host) route.hosts = {"site-" + std::to_string(i) + ".example.com"};
    if (by == By::path) route.path = "/service-" + std::to_string(i);
  }
  return {config, {"web"}};
}

// `miss`: by the part that tells the routes apart.
void match(benchmark::State& state, By by, bool miss) {
  const auto routes = static_cast<std::size_t>(state.range(0));
  const proxy::Router router = make_router(routes, by);
  const std::string last = std::to_string(miss ? routes : routes - 1);
  const std::string host = by == By::host ? "site-" + last + ".example.com" : "www.example.com";
  const std::string path = by == By::path ? "/service-" + last + "/item" : "/item";
  for (auto _ : state) {
    const proxy::Route* const route = router.match(0, host, path, "GET");
    if ((route == nullptr) != miss) state.SkipWithError("another route than expected");
  }
}

BENCHMARK_CAPTURE(match, last_by_host, By::host, false)->Arg(10)->Arg(10'000);
BENCHMARK_CAPTURE(match, none_by_host, By::host, true)->Arg(10)->Arg(10'000);
BENCHMARK_CAPTURE(match, last_by_path, By::path, false)->Arg(10)->Arg(10'000);
BENCHMARK_CAPTURE(match, none_by_path, By::path, true)->Arg(10)->Arg(10'000);

}  // namespace
}  // namespace weir::bench
