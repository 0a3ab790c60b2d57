// resolver.h over the simulated kernel.
#include "os/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "echo.h"
#include "os/os.h"

namespace weir::sim::test {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

bool readable_within(const os::Fd& epoll, int timeout_ms) {
  std::array<os::Event, 1> events;
  return os::epoll_wait(epoll, events, timeout_ms) == 1;
}

Lookup found(const std::string& ip, std::uint64_t delay_ns) {
  Lookup lookup;
  lookup.answer.status = os::LookupStatus::ok;
  lookup.answer.addresses.push_back({0, 0, 0, ip, "one.sim"});
  lookup.delay_ns = delay_ns;
  return lookup;
}

TEST(SimResolver, AnAnswerTakesItsTimeAndIsGivenOnce) {
  Kernel kernel(1);
  std::vector<std::string> taken;
  kernel.on_lookup = [](const os::Question&) { return found("10.0.0.7", 3 * kSecond); };
  kernel.on_answer = [&](const os::Answer& answer) { taken.push_back(answer.question.name); };
  kernel.spawn("asker", [] {
    os::Resolver resolver;
    const os::Fd epoll = os::epoll_create();
    EXPECT_TRUE(os::epoll_add(epoll, resolver.answered(), 7, os::kReadable, os::Mode::level));
    resolver.ask({"one.sim", false, {}});
    EXPECT_FALSE(readable_within(epoll, 2'000));
    EXPECT_FALSE(resolver.next_answer().has_value());
    EXPECT_TRUE(readable_within(epoll, 2'000));
    const auto answer = resolver.next_answer();
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->addresses.at(0).ip, "10.0.0.7");
    EXPECT_TRUE(readable_within(epoll, 0));
    EXPECT_FALSE(resolver.next_answer().has_value());
    EXPECT_FALSE(readable_within(epoll, 0));
  });
  run_to_end(kernel);
  EXPECT_THAT(taken, testing::ElementsAre("one.sim"));
}

TEST(SimResolver, ItsEndGivesUpWhatIsUnderWay) {
  Kernel kernel(1);
  kernel.on_lookup = [](const os::Question&) { return found("10.0.0.7", 3 * kSecond); };
  kernel.spawn("asker", [] {
    os::Resolver resolver;
    resolver.ask({"one.sim", false, {}});
  });
  run_to_end(kernel);
  EXPECT_THAT(kernel.open_descriptors(), testing::IsEmpty());
}

}  // namespace
}  // namespace weir::sim::test
