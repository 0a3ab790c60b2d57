#include "health/state.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir::health {
namespace {

constexpr std::uint64_t kNow = 1'000'000;

std::uint64_t word_after(std::initializer_list<Passive::Event> events) {
  Passive passive;
  std::uint64_t now = kNow;
  for (const Passive::Event event : events) passive.step(event, now += 10'000, 0, {}, {});
  return passive.pack();
}

const std::uint64_t kEjected = word_after({Passive::Event::failed});
const std::uint64_t kTrial = word_after({Passive::Event::failed, Passive::Event::attempted});
const std::uint64_t kSomeErrors = word_after({Passive::Event::erred});

TEST(ServerCondition, TheGravestReasonIsTheName) {
  struct Case {
    Active::State active;
    std::uint64_t word;
    Wish wish;
    ServerCondition condition;
  };
  using enum ServerCondition;
  const std::vector<Case> cases = {
      {Active::State::unknown, 0, Wish::none, up},
      {Active::State::up, 0, Wish::none, up},
      {Active::State::up, kSomeErrors, Wish::none, up},
      {Active::State::down, 0, Wish::none, down},
      {Active::State::unknown, kEjected, Wish::none, ejected},
      {Active::State::up, kTrial, Wish::none, ejected},
      {Active::State::down, kEjected, Wish::none, down},
      {Active::State::up, 0, Wish::drain, draining},
      {Active::State::up, kEjected, Wish::drain, draining},
      {Active::State::down, kEjected, Wish::drain, down},
      {Active::State::up, 0, Wish::down, down},
      {Active::State::up, 0, Wish::maintenance, maintenance},
      {Active::State::down, kEjected, Wish::maintenance, maintenance},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(to_string(condition_of(c.active, c.word, c.wish)), to_string(c.condition))
        << to_string(c.active) << ", " << c.word << ", " << to_string(c.wish);
  }
}

// What is up takes requests; what is not takes none, but for the trial of an ejected server.
TEST(ServerCondition, TakesRequestsWhenUpOrDueForItsTrial) {
  const std::uint64_t ejected_until = Passive::unpack(kEjected).until_ms();
  for (const Active::State active :
       {Active::State::unknown, Active::State::up, Active::State::down}) {
    for (const Wish wish : {Wish::none, Wish::drain, Wish::down, Wish::maintenance}) {
      for (const std::uint64_t word : {std::uint64_t{0}, kSomeErrors, kEjected}) {
        const ServerCondition condition = condition_of(active, word, wish);
        EXPECT_EQ(takes_new_requests(active, word, wish, ejected_until - 1),
                  condition == ServerCondition::up);
        EXPECT_EQ(takes_new_requests(active, word, wish, ejected_until),
                  condition == ServerCondition::up || condition == ServerCondition::ejected);
      }
    }
  }
}

TEST(ServerCondition, OfTwoWishesTheStricterHolds) {
  EXPECT_EQ(stricter(Wish::none, Wish::drain), Wish::drain);
  EXPECT_EQ(stricter(Wish::down, Wish::drain), Wish::down);
  EXPECT_EQ(stricter(Wish::down, Wish::maintenance), Wish::maintenance);
  EXPECT_EQ(stricter(Wish::none, Wish::none), Wish::none);
}

}  // namespace
}  // namespace weir::health
