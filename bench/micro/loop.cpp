// The timer wheel with so many timers in it, and the histogram of latencies.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "base/histogram.h"
#include "base/prng.h"
#include "loop/timer_wheel.h"

namespace weir::bench {
namespace {

constexpr std::uint64_t kStartMs = 1'000'000;
constexpr std::uint64_t kPatienceMs = 60'000;
constexpr std::size_t kNoBudget = SIZE_MAX;

// Deadlines within the next minute.
void set_all(loop::TimerWheel& wheel, std::vector<loop::Timer>& timers, std::uint64_t now_ms) {
  Prng prng(1);
  for (loop::Timer& timer : timers) wheel.set(timer, now_ms + 1 + prng.bounded(kPatienceMs));
}

// What a request does to the deadline of its connection, which lies in a slot already.
void timer_moved_later(benchmark::State& state) {
  loop::TimerWheel wheel(kStartMs);
  std::vector<loop::Timer> timers(static_cast<std::size_t>(state.range(0)));
  set_all(wheel, timers, kStartMs);
  std::uint64_t deadline_ms = kStartMs + kPatienceMs;
  std::size_t next = 0;
  for (auto _ : state) {
    wheel.set(timers[next], ++deadline_ms);
    next = next + 1 < timers.size() ? next + 1 : 0;
  }
}

void timer_set_and_cancelled(benchmark::State& state) {
  loop::TimerWheel wheel(kStartMs);
  std::vector<loop::Timer> timers(static_cast<std::size_t>(state.range(0)));
  set_all(wheel, timers, kStartMs);
  loop::Timer timer;
  for (auto _ : state) {
    wheel.set(timer, kStartMs + kPatienceMs);
    wheel.cancel(timer);
  }
}

// A minute in steps of one millisecond; every timer fires once. Per timer.
void timers_fire(benchmark::State& state) {
  loop::TimerWheel wheel(kStartMs);
  std::vector<loop::Timer> timers(static_cast<std::size_t>(state.range(0)));
  std::uint64_t now_ms = kStartMs;
  std::size_t fired = 0;
  for (auto _ : state) {
    set_all(wheel, timers, now_ms);
    for (const std::uint64_t end_ms = now_ms + kPatienceMs; now_ms < end_ms;) {
      wheel.expire(++now_ms, kNoBudget, [&](loop::Timer&) { ++fired; });
    }
  }
  if (fired != state.iterations() * timers.size()) state.SkipWithError("a timer was lost");
  state.SetItemsProcessed(static_cast<std::int64_t>(fired));
}

void histogram_record(benchmark::State& state) {
  Histogram histogram;
  std::array<std::uint64_t, 1024> values_us;
  Prng prng(1);
  for (std::uint64_t& value : values_us) value = prng() >> (34 + prng.bounded(30));
  std::size_t next = 0;
  for (auto _ : state) histogram.record(values_us[next++ % values_us.size()]);
  benchmark::DoNotOptimize(histogram);
}

void histogram_read(benchmark::State& state) {
  Histogram histogram;
  Prng prng(1);
  for (int i = 0; i < 10'000; ++i) histogram.record(prng.bounded(100'000));
  for (auto _ : state) {
    HistogramCounts counts;
    counts.add(histogram);
    benchmark::DoNotOptimize(counts.quantile_us(0.99));
  }
}

BENCHMARK(timer_moved_later)->Arg(100)->Arg(100'000);
BENCHMARK(timer_set_and_cancelled)->Arg(100)->Arg(100'000);
BENCHMARK(timers_fire)->Arg(100)->Arg(100'000)->Unit(benchmark::kMillisecond);
BENCHMARK(histogram_record);
BENCHMARK(histogram_read);

}  // namespace
}  // namespace weir::bench
