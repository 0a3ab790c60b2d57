// What a slot costs. Prints, and judges nothing: run it with
//   unit_upstream --gtest_also_run_disabled_tests --gtest_filter='DISABLED_GateCost.*'
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <deque>
#include <thread>
#include <vector>

#include "gate_world.h"

namespace weir::upstream {
namespace {

using test::FakeServers;

constexpr std::uint64_t kPairs = 2'000'000;

// Nanoseconds of one thread's take and release, while `threads` do the same at one server.
template <typename Pair>
double nanoseconds(unsigned threads, Pair pair) {
  std::atomic<unsigned> ready{0};
  std::atomic<std::uint64_t> total_ns{0};
  const auto work = [&] {
    ready.fetch_add(1);
    while (ready.load() < threads) std::this_thread::yield();
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < kPairs; ++i) pair();
    const auto spent = std::chrono::steady_clock::now() - begin;
    total_ns.fetch_add(static_cast<std::uint64_t>(spent.count()));
  };
  {
    std::vector<std::jthread> running;
    for (unsigned i = 0; i < threads; ++i) running.emplace_back(work);
  }
  return static_cast<double>(total_ns.load()) / static_cast<double>(kPairs * threads);
}

TEST(DISABLED_GateCost, TakeAndRelease) {
  FakeServers servers(1);
  for (const unsigned threads : {1u, 2u, 4u}) {
    std::atomic<std::uint32_t> plain{0};
    const double relaxed = nanoseconds(threads, [&] {
      plain.fetch_add(1, std::memory_order_relaxed);
      plain.fetch_sub(1, std::memory_order_relaxed);
    });
    std::printf("%u threads: add and subtract %.1f ns", threads, relaxed);
    for (const std::uint32_t limit_of_all : {0u, 1'000u}) {
      for (const std::uint32_t limit : {0u, 1'000u}) {
        Gate gate;
        GatePlan plan = servers.plan(limit);
        plan.limit_of_all = limit_of_all;
        const double ns = nanoseconds(threads, [&] {
          if (gate.take(plan, 0, 0)) gate.release(plan, 0, 0);
        });
        std::printf(", limits %u/%u %.1f ns", limit, limit_of_all, ns);
      }
    }
    std::printf("\n");
  }
}

// One thread, the slot taken, ever more waiting behind it: release, hand over, deliver, line up.
TEST(DISABLED_GateCost, HandOver) {
  for (const std::size_t count : {1u, 10u, 100u}) {
    FakeServers servers(count);
    const GatePlan plan = servers.plan(1);
    test::FakeWorker worker;
    Gate gate;
    constexpr std::size_t kWaiting = 1'000;
    std::deque<test::Request> requests;
    for (std::size_t i = 0; i < count + kWaiting; ++i) {
      requests.emplace_back(gate, plan, worker).enter(0);
    }
    constexpr std::uint64_t kRounds = 200'000;
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < kRounds; ++i) {
      test::Request& request = requests[i % requests.size()];
      request.release(0);
      worker.mailbox.deliver_all();
      request.state = test::Request::State::fresh;
      request.enter(0);
    }
    const std::chrono::nanoseconds spent = std::chrono::steady_clock::now() - begin;
    std::printf("%zu servers, %zu waiting: %.0f ns\n", count, kWaiting,
                static_cast<double>(spent.count()) / kRounds);
    for (std::size_t left = requests.size(), i = kRounds; left > 0; --left, ++i) {
      requests[i % requests.size()].release(0);
      worker.mailbox.deliver_all();
    }
  }
}

}  // namespace
}  // namespace weir::upstream
