// A correct program over every fault: nothing is lost, nothing is left, and the same seed does the
// same again.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "echo.h"

namespace weir::sim::test {
namespace {

constexpr std::size_t kClients = 12;

struct Outcome {
  std::uint64_t hash = 0;
  std::size_t echoed = 0;
  std::size_t excused = 0;  // A fault ended the connection.
  std::array<std::uint64_t, kFaultCount> injected{};
};

Outcome run_seed(std::uint64_t seed, const Faults& faults) {
  Kernel kernel(seed, faults);
  kernel.spawn("echo", [] {
    EchoServer server(80);
    server.run(SIZE_MAX);
  });
  Outcome outcome;
  std::vector<std::unique_ptr<EchoClient>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<EchoClient>(100 << i % 8));
    kernel.after(50 * kRepairedWithinNs + i * 1'000'000,
                 [&, i] { clients[i]->connect(kernel, 80); });
  }
  run_to_end(kernel);
  for (const auto& client : clients) {
    const bool whole = client->at_end && client->came_back == client->text;
    const bool excused = kernel.killed_by_fault(client->endpoint.connection());
    EXPECT_TRUE(whole || excused) << "seed " << seed << ": " << client->came_back.size() << " of "
                                  << client->text.size() << " bytes came back";
    outcome.echoed += whole ? 1 : 0;
    outcome.excused += excused ? 1 : 0;
  }
  clients.clear();
  run_to_end(kernel);
  EXPECT_EQ(kernel.live_connections(), 0u) << "seed " << seed;
  EXPECT_EQ(kernel.open_descriptor_count(), 2u) << "seed " << seed;  // Listener and epoll.
  outcome.hash = kernel.hash();
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    outcome.injected[i] = kernel.injected(static_cast<Fault>(i));
  }
  return outcome;
}

TEST(HostileKernel, LosesNothingAndInjectsEveryKind) {
  Outcome sum;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    const Outcome outcome = run_seed(seed, Faults::swarm(seed));
    sum.echoed += outcome.echoed;
    sum.excused += outcome.excused;
    for (std::size_t i = 0; i < kFaultCount; ++i) sum.injected[i] += outcome.injected[i];
  }
  EXPECT_GT(sum.echoed, sum.excused * 4);
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    const auto fault = static_cast<Fault>(i);
    // Echo does not splice, and is alone in its process.
    if (fault == Fault::splice_short || fault == Fault::reset_in_splice) continue;
    if (fault == Fault::pipe_small || fault == Fault::race) continue;
    EXPECT_GT(sum.injected[i], 0u) << to_string(fault);
  }
}

TEST(HostileKernel, EveryKindAloneAndOften) {
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    const auto fault = static_cast<Fault>(i);
    Faults faults;
    faults.set(fault, fault == Fault::clock_jump ? 0.01 : 0.3);
    const Outcome outcome = run_seed(i + 1, faults);
    EXPECT_GE(outcome.echoed + outcome.excused, kClients) << to_string(fault);
  }
}

TEST(HostileKernel, TheSameSeedDoesTheSame) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    EXPECT_EQ(run_seed(seed, Faults::swarm(seed)).hash, run_seed(seed, Faults::swarm(seed)).hash);
  }
  EXPECT_NE(run_seed(1, Faults::swarm(1)).hash, run_seed(2, Faults::swarm(1)).hash);
  EXPECT_NE(run_seed(1, Faults::swarm(1)).hash, run_seed(1, Faults{}).hash);
}

TEST(HostileKernel, ASwarmLeavesHalfOfTheKindsOff) {
  std::size_t active = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Faults faults = Faults::swarm(seed);
    for (std::size_t i = 0; i < kFaultCount; ++i) {
      active += faults.rate(static_cast<Fault>(i)) > 0 ? 1 : 0;
    }
  }
  EXPECT_NEAR(static_cast<double>(active), 50.0 * kFaultCount, 5.0 * kFaultCount);
}

}  // namespace
}  // namespace weir::sim::test
