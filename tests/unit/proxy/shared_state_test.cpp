#include "proxy/shared_state.h"

#include <gtest/gtest.h>

namespace weir::proxy {
namespace {

config::Server server(const std::string& name, std::uint16_t port = 80) {
  config::Server made;
  made.name = name;
  made.address = {config::Endpoint::Family::ipv4, "192.0.2.1", port};
  return made;
}

config::RateLimit rate(const std::string& name, std::uint32_t count = 1) {
  config::RateLimit made;
  made.name = name;
  made.count = count;
  made.burst = 1;
  return made;
}

class SharedStateTest : public testing::Test {
 protected:
  // Every part that a snapshot with these names would use.
  SharedParts parts(const config::RateLimit& limit) {
    return {{&shared.server("app", server("s"))}, {&shared.backend("app")}, {&shared.limit(limit)}};
  }
  SharedState shared{2, 99};
};

TEST_F(SharedStateTest, ThePartsOfOneNameAreOne) {
  const SharedParts one = parts(rate("l"));
  const SharedParts two = parts(rate("l"));
  EXPECT_EQ(one.servers, two.servers);
  EXPECT_EQ(one.backends, two.backends);
  EXPECT_EQ(one.limits, two.limits);
  EXPECT_EQ(shared.server_count(), 1u);
  EXPECT_EQ(one.servers[0]->worker_count(), 2u);
}

TEST_F(SharedStateTest, OthersAreOthers) {
  EXPECT_NE(&shared.backend("app"), &shared.backend("api"));
  EXPECT_NE(&shared.server("app", server("s")), &shared.server("api", server("s")));
  EXPECT_NE(&shared.server("app", server("s")), &shared.server("app", server("t")));
  EXPECT_NE(&shared.server("app", server("s")), &shared.server("app", server("s", 81)));
  EXPECT_NE(&shared.limit(rate("l")), &shared.limit(rate("m")));
}

TEST_F(SharedStateTest, WhatTrafficHasShapedIsKept) {
  const SharedParts used = parts(rate("l"));
  EXPECT_FALSE(used.limits[0]->refuses({}, nullptr, 1'000'000'000));
  used.servers[0]->in_flight = 3;
  used.backends[0]->panic = true;
  shared.keep_only(used);
  const SharedParts later = parts(rate("l"));
  EXPECT_TRUE(later.limits[0]->refuses({}, nullptr, 1'000'000'000));
  EXPECT_EQ(later.servers[0]->in_flight.load(), 3u);
  EXPECT_TRUE(later.backends[0]->panic.load());
}

TEST_F(SharedStateTest, AChangedLimitIsANewOne) {
  RateLimiter& old_limit = shared.limit(rate("l"));
  EXPECT_FALSE(old_limit.refuses({}, nullptr, 1'000'000'000));
  RateLimiter& changed = shared.limit(rate("l", 2));
  EXPECT_NE(&changed, &old_limit);
  EXPECT_FALSE(changed.refuses({}, nullptr, 1'000'000'000));
  EXPECT_EQ(changed.settings().count, 2u);
  EXPECT_EQ(&shared.limit(rate("l")), &old_limit) << "snapshots of both live side by side";
}

TEST_F(SharedStateTest, WhatNobodyUsesIsDropped) {
  const SharedParts used = parts(rate("l"));
  upstream::ServerState& other = shared.server("app", server("other"));
  other.in_flight = 1;
  shared.backend("other").panic = true;
  EXPECT_FALSE(shared.limit(rate("other")).refuses({}, nullptr, 1'000'000'000));
  shared.keep_only(used);
  EXPECT_EQ(shared.server_count(), 1u);
  EXPECT_EQ(shared.server("app", server("other")).in_flight.load(), 0u);
  EXPECT_FALSE(shared.backend("other").panic.load());
  EXPECT_FALSE(shared.limit(rate("other")).refuses({}, nullptr, 1'000'000'000));
  shared.keep_only({});
  EXPECT_EQ(shared.server_count(), 0u);
}

TEST_F(SharedStateTest, SnapshotsInUseAddUp) {
  SharedParts used = parts(rate("l"));
  used.add({{&shared.server("app", server("two"))}, {&shared.backend("two")}, {}});
  EXPECT_EQ(used.servers.size(), 2u);
  EXPECT_EQ(used.backends.size(), 2u);
  EXPECT_EQ(used.limits.size(), 1u);
  used.backends[1]->panic = true;
  shared.keep_only(used);
  EXPECT_EQ(shared.server_count(), 2u);
  EXPECT_TRUE(shared.backend("two").panic.load());
}

}  // namespace
}  // namespace weir::proxy
