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

std::string host_of(std::size_t number) {
  return "site-" + std::to_string(number) + ".example.com";
}
std::string path_of(std::size_t number) { return "/service-" + std::to_string(number); }

config::Config make_config(std::size_t routes) {
  config::Config config;
  config.backends.emplace_back().name = "app";
  config.listeners.emplace_back().name = "web";
  config.routes.resize(routes);
  for (config::Route& route : config.routes) route.backends = {{"app"}};
  return config;
}

config::Config make_flat(std::size_t routes, By by) {
  config::Config config = make_config(routes);
  for (std::size_t i = 0; i < routes; ++i) {
    config::Route& route = config.routes[i];
    if (by == By::host) route.hosts = {host_of(i)};
    if (by == By::path) route.path = path_of(i);
  }
  return config;
}

// `miss`: by the part that tells the routes apart.
void match(benchmark::State& state, By by, bool miss) {
  const auto routes = static_cast<std::size_t>(state.range(0));
  const proxy::Router router(make_flat(routes, by), {"web"});
  const std::size_t last = miss ? routes : routes - 1;
  const std::string host = by == By::host ? host_of(last) : "www.example.com";
  const std::string path = by == By::path ? path_of(last) + "/item" : "/item";
  for (auto _ : state) {
    const proxy::Route* const route = router.match(0, host, path, "GET");
    if ((route == nullptr) != miss) state.SkipWithError("another route than expected");
  }
}

BENCHMARK_CAPTURE(match, last_by_host, By::host, false)->Arg(10)->Arg(1'000)->Arg(10'000);
BENCHMARK_CAPTURE(match, none_by_host, By::host, true)->Arg(10)->Arg(1'000)->Arg(10'000);
BENCHMARK_CAPTURE(match, last_by_path, By::path, false)->Arg(10)->Arg(1'000)->Arg(10'000);
BENCHMARK_CAPTURE(match, none_by_path, By::path, true)->Arg(10)->Arg(1'000)->Arg(10'000);

// Among 1,000 routes of one segment: a path of nothing but slashes, as long as a head may be.
void match_slashes(benchmark::State& state) {
  const proxy::Router router(make_flat(1'000, By::path), {"web"});
  const std::string path(8'000, '/');
  for (auto _ : state) benchmark::DoNotOptimize(router.match(0, "a.example", path, "GET"));
}
BENCHMARK(match_slashes);

// Every route begins with the path of the one written after it, and all but the last are for
// another method: nothing can be left out.
void match_nested(benchmark::State& state) {
  const auto routes = static_cast<std::size_t>(state.range(0));
  config::Config config = make_config(routes);
  for (std::size_t i = 0; i < routes; ++i) {
    config.routes[i].path = std::string(routes - i, '/');
    if (i + 1 < routes) config.routes[i].methods = {"PURGE"};
  }
  const proxy::Router router(config, {"web"});
  const std::string path(8'000, '/');
  for (auto _ : state) {
    if (router.match(0, "a.example", path, "GET") == nullptr) state.SkipWithError("no route");
  }
}
BENCHMARK(match_nested)->Arg(10)->Arg(4'096);

// What a reload costs.
void compile(benchmark::State& state) {
  const config::Config config = make_flat(static_cast<std::size_t>(state.range(0)), By::path);
  for (auto _ : state) benchmark::DoNotOptimize(proxy::Router(config, {"web"}));
}
BENCHMARK(compile)->Arg(10)->Arg(10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace weir::bench
