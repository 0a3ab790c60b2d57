// The gate under real threads: the limits are never exceeded and are reached, every request ends
// once, and nothing is left. A lost slot shows as a thread that waits for ever, so each run has a
// watchdog. Meant for ThreadSanitizer too.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/prng.h"
#include "gate_world.h"
#include "os/process.h"

namespace weir::upstream {
namespace {

using test::FakeServers;
using test::FakeWorker;
using Leaving = Gate::Leaving;

constexpr unsigned kThreads = 4;

// What is at a server by a count of its own, and the most there ever was.
struct Meter {
  std::atomic<std::uint32_t> inside{0};
  std::atomic<std::uint32_t> most{0};

  void enter() {
    const std::uint32_t now = inside.fetch_add(1) + 1;
    std::uint32_t seen = most.load();
    while (seen < now && !most.compare_exchange_weak(seen, now)) {
    }
  }
  void leave() { inside.fetch_sub(1); }
};

struct Load {
  std::size_t servers = 1;
  std::uint32_t limit = 3;
  std::uint32_t limit_of_all = 0;
  unsigned busy_threads = kThreads;
  std::uint32_t at_once = 16;  // Requests under way per thread.
  std::uint32_t requests = 10'000;
  std::uint32_t queue_size = 1'000;
  bool leaving = false;  // Some give up.
  bool choosy = false;   // Some have tried a server.
  limit::CodelSettings codel = {};
};

class Stress {
 public:
  explicit Stress(const Load& load)
      : load_(load), servers_(load.servers), plan_(servers_.plan(load.limit, load.queue_size)) {
    plan_.limit_of_all = load.limit_of_all;
    plan_.codel = load.codel;
    meters_ = std::vector<Meter>(load.servers);
  }

  void run() {
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < kThreads; ++i) {
        threads.emplace_back([this, i] { work(i); });
      }
    }
    for (FakeWorker& worker : workers_) {
      worker.mailbox.deliver_all();  // Tickets that were left.
      EXPECT_EQ(worker.tickets.slab.live(), 0u);
    }
    for (std::size_t i = 0; i < load_.servers; ++i) EXPECT_EQ(servers_.in_flight(i), 0u);
    EXPECT_EQ(gate.in_flight(), 0u);
    EXPECT_EQ(gate.waiting(), 0u);
    const GateCounters& counters = gate.counters();
    EXPECT_EQ(counters.queued.read(),
              counters.granted.read() + counters.timed_out.read() + counters.abandoned.read() +
                  counters.dropped_codel.read() + counters.dropped_displaced.read() +
                  counters.dropped_no_server.read());
    EXPECT_GT(counters.granted.read(), 0u) << "nobody ever waited";
    EXPECT_EQ(ended.load(), std::uint64_t{load_.requests} * load_.busy_threads);
    EXPECT_FALSE(stuck.load());
  }

  [[nodiscard]] std::uint32_t most(std::size_t server) const { return meters_[server].most.load(); }
  [[nodiscard]] std::uint32_t most_of_all() const { return all_.most.load(); }

  Gate gate;
  std::atomic<std::uint64_t> ended{0};
  std::atomic<bool> stuck{false};

 private:
  struct Request final : TicketOwner {
    enum class State {
      idle,
      waiting,
      holding
    };
    Stress* stress = nullptr;
    Ticket* ticket = nullptr;
    State state = State::idle;
    std::uint32_t server = 0;
    std::uint32_t rounds = 0;  // Until it is over.

    void hold(std::uint32_t at) {
      state = State::holding;
      server = at;
      stress->all_.enter();
      stress->meters_[at].enter();
    }
    void end() {
      state = State::idle;
      stress->ended.fetch_add(1, std::memory_order_relaxed);
    }
    void granted(std::uint32_t at, std::uint64_t) override {
      if (state != State::waiting) stress->stuck = true;
      hold(at);
    }
    void dropped(DropReason) override {
      if (state != State::waiting) stress->stuck = true;
      end();
    }
  };

  // One worker's thread: requests begin, are told, end.
  void work(unsigned index) {
    FakeWorker& worker = workers_[index];
    Prng prng(index + 1);
    std::vector<Request> requests(load_.at_once);
    for (Request& request : requests) request.stress = this;
    std::uint32_t left = index < load_.busy_threads ? load_.requests : 0;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(240);
    for (std::uint64_t turn = 1;; ++turn) {
      bool busy = false;
      for (Request& request : requests) {
        step(request, worker, prng, turn, left);
        busy = busy || request.state != Request::State::idle;
      }
      worker.mailbox.deliver_all();
      if (left == 0 && !busy) break;
      if (turn % 64 == 0) std::this_thread::yield();
      if (turn % 4'096 == 0 && std::chrono::steady_clock::now() > deadline) {
        stuck = true;  // The slabs and the gate say the rest.
        break;
      }
    }
  }

  void step(Request& request, FakeWorker& worker, Prng& prng, std::uint64_t turn,
            std::uint32_t& left) {
    switch (request.state) {
      case Request::State::idle:
        if (left > 0) {
          --left;
          begin(request, worker, prng, turn);
        }
        return;
      case Request::State::waiting:
        if (load_.leaving && prng() % 16 == 0) {
          gate.leave(*request.ticket, prng() % 2 == 0 ? Leaving::timed_out : Leaving::abandoned,
                     turn);
          request.end();
        }
        return;
      case Request::State::holding:
        if (request.rounds-- > 0) return;
        meters_[request.server].leave();
        all_.leave();
        gate.release(plan_, request.server, turn);
        return request.end();
    }
  }

  void begin(Request& request, FakeWorker& worker, Prng& prng, std::uint64_t turn) {
    request.rounds = static_cast<std::uint32_t>(prng() % 3);
    const auto wanted = static_cast<std::uint32_t>(prng() % load_.servers);
    if (gate.take(plan_, wanted, turn)) return request.hold(wanted);
    balance::Attempt tried;
    if (load_.choosy && prng() % 4 == 0) static_cast<void>(tried.exclude(wanted));
    request.state = Request::State::waiting;
    const Gate::Entry entry = gate.enter(worker.tickets, request, plan_, tried,
                                         static_cast<std::uint8_t>(prng() % 4), turn);
    request.ticket = entry.ticket;
    if (entry.admission == Gate::Admission::granted) request.hold(entry.server);
    if (entry.admission == Gate::Admission::refused) request.end();
  }

  Load load_;
  FakeServers servers_;
  GatePlan plan_;
  std::array<FakeWorker, kThreads> workers_;
  std::vector<Meter> meters_;
  Meter all_;
};

// Limit 3, four workers: the server sees three at most, and sees three.
TEST(GateStress, TheLimitIsExactAndIsReached) {
  Stress stress(Load{});
  stress.run();
  EXPECT_EQ(stress.most(0), 3u);
}

TEST(GateStress, TheLimitIsExactWithAllLoadOnOneWorker) {
  Stress stress(Load{.busy_threads = 1, .requests = 30'000});
  stress.run();
  EXPECT_EQ(stress.most(0), 3u);
}

// One slot: every request is handed over, most of them to another thread.
TEST(GateStress, OneSlotIsHandedRound) {
  Stress stress(Load{.limit = 1, .at_once = 4});
  stress.run();
  EXPECT_EQ(stress.most(0), 1u);
}

// Two servers whose slots are taken without the mutex, because nobody waits. The counts themselves
// never say more than the limit, not for an instant.
void expect_exact_without_a_queue(std::uint32_t limit, std::uint32_t limit_of_all) {
  FakeServers servers(2);
  GatePlan plan = servers.plan(limit);
  plan.limit_of_all = limit_of_all;
  Gate gate;
  std::array<std::atomic<std::uint32_t>, 2> most{};  // At a server, at both.
  const auto see = [](std::atomic<std::uint32_t>& highest, std::uint32_t now) {
    if (now > highest.load()) highest.store(now);
  };
  std::atomic<unsigned> ready{0};
  const auto work = [&](unsigned index) {
    ready.fetch_add(1);
    while (ready.load() < kThreads) std::this_thread::yield();
    for (std::uint32_t i = 0; i < 100'000; ++i) {
      const std::uint32_t server = (i / 2 + index) % 2;
      if (!gate.take(plan, server, 0)) continue;
      see(most[0], servers.in_flight(server));
      see(most[1], gate.in_flight());
      if (i % 256 == 0) std::this_thread::yield();
      gate.release(plan, server, 0);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  }
  if (limit != 0) {
    EXPECT_EQ(most[0].load(), limit);
  }
  EXPECT_EQ(most[1].load(), limit_of_all);
  EXPECT_EQ(servers.in_flight(0) + servers.in_flight(1) + gate.in_flight(), 0u);
}

TEST(GateStress, TheLimitIsExactWithoutAQueue) {
  expect_exact_without_a_queue(1, 0);
  expect_exact_without_a_queue(0, 1);
  expect_exact_without_a_queue(2, 3);
}

// Spends a few cycles per unit, so that two threads meet a little differently each time.
void pause_for(std::uint64_t units) {
  for (; units > 0; --units) {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // Or the loop would be removed.
  }
}

// The last slot is released while somebody lines up for it, at every distance of the two. When both
// calls are over the slot is the waiter's: there and then, or by a message that has been posted.
TEST(GateStress, EitherTheReleaseSeesTheWaiterOrTheWaiterTheSlot) {
  constexpr std::uint64_t kTrials = 100'000;
  FakeServers servers(1);
  const GatePlan plan = servers.plan(1);
  Gate gate;
  FakeWorker worker;
  std::atomic<std::uint64_t> begun{0};
  std::atomic<std::uint64_t> released{0};
  const std::vector<int> cpus = os::usable_cpus();  // Two of them, or there is no race to see.
  os::Thread releaser = os::start_thread("releaser", cpus.front(), [&] {
    for (std::uint64_t trial = 1; trial <= kTrials; ++trial) {
      for (int spins = 0; begun.load() != trial;) {
        if (++spins > 2'000) std::this_thread::yield();
      }
      pause_for(trial % 64 * 4);
      gate.release(plan, 0, 0);
      released.store(trial);
    }
  });
  std::uint64_t lost = 0;
  os::Thread waiter = os::start_thread("waiter", cpus.back(), [&] {
    test::Request first(gate, plan, worker);
    EXPECT_TRUE(first.take(0, 0));
    for (std::uint64_t trial = 1; trial <= kTrials; ++trial) {
      begun.store(trial);
      pause_for(trial / 64 % 64 * 4);
      test::Request request(gate, plan, worker);
      static_cast<void>(request.enter(0));
      for (int spins = 0; released.load() != trial;) {
        if (++spins > 2'000) std::this_thread::yield();
      }
      worker.mailbox.deliver_all();
      if (request.holding()) continue;
      ++lost;
      gate.poke(0);  // So that the test goes on.
      worker.mailbox.deliver_all();
    }
    gate.release(plan, 0, 0);
  });
  waiter.join();
  EXPECT_EQ(lost, 0u);
  EXPECT_EQ(servers.in_flight(0), 0u);
  EXPECT_GT(gate.counters().granted.read(), 0u) << "it never waited";
}

TEST(GateStress, ServerAndBackendLimitsHoldTogether) {
  Stress stress(Load{.servers = 3, .limit = 4, .limit_of_all = 9});
  stress.run();
  // Nine evenly over three servers never fill one of them; chance does, most of the time.
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_LE(stress.most(i), 4u);
    EXPECT_GE(stress.most(i), 3u);
  }
  EXPECT_EQ(stress.most_of_all(), 9u);
}

TEST(GateStress, LeavingRefusingAndDroppingLoseNothing) {
  Stress stress(Load{.servers = 3,
                     .limit = 2,
                     .limit_of_all = 5,
                     .queue_size = 24,
                     .leaving = true,
                     .choosy = true,
                     .codel = {.target_us = 2, .interval_us = 20}});
  stress.run();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_LE(stress.most(i), 2u);
  EXPECT_EQ(stress.most_of_all(), 5u);
  const GateCounters& counters = stress.gate.counters();
  for (const Counter* counter :
       {&counters.granted, &counters.timed_out, &counters.abandoned, &counters.dropped_codel,
        &counters.dropped_displaced, &counters.refused_full, &counters.returned}) {
    EXPECT_GT(counter->read(), 0u);
  }
}

}  // namespace
}  // namespace weir::upstream
