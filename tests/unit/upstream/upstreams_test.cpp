#include "upstream/upstreams.h"

#include <gtest/gtest.h>

#include "world.h"

namespace weir::upstream {
namespace {

class UpstreamsTest : public testing::Test {
 protected:
  ~UpstreamsTest() override {
    upstreams.retire_all();
    world.loop.reap_retired();
  }
  test::World world;
  std::unique_ptr<ServerState> one = world.server("one");
  std::unique_ptr<ServerState> two = world.server("two");
  Upstreams upstreams{world.loop, world.buffers, world.traffic, 0};
};

TEST_F(UpstreamsTest, AServerHasOnePool) {
  ServerPool& pool = upstreams.pool(*one);
  EXPECT_EQ(&upstreams.pool(*one), &pool);
  EXPECT_NE(&upstreams.pool(*two), &pool);
  EXPECT_EQ(&pool.state(), one.get());
}

TEST_F(UpstreamsTest, UnnamedServersLoseTheirIdleConnectionsAndLaterTheirPool) {
  const auto ones = world.idle(upstreams.pool(*one), 2);
  const auto twos = world.idle(upstreams.pool(*two), 2);
  upstreams.keep_only({two.get()}, false);
  EXPECT_EQ(one->counters(0).connections_idle.read(), 0u);
  EXPECT_EQ(two->counters(0).connections_idle.read(), 2u);
  EXPECT_FALSE(upstreams.only_kept({two.get()})) << "an older snapshot may need it";
  world.loop.turn_now();
  upstreams.keep_only({two.get()}, true);
  EXPECT_TRUE(upstreams.only_kept({two.get()}));
}

TEST_F(UpstreamsTest, APoolInUseIsNotForgotten) {
  ServerPool& pool = upstreams.pool(*one);
  const test::World::Link link = world.connect(pool);
  upstreams.keep_only({}, true);
  EXPECT_FALSE(upstreams.only_kept({}));
  pool.put_back(*link.near, 60'000);
  upstreams.keep_only({}, true);
  EXPECT_FALSE(upstreams.only_kept({})) << "closed, but not reaped";
  world.loop.turn_now();
  upstreams.keep_only({}, true);
  EXPECT_TRUE(upstreams.only_kept({}));
}

TEST_F(UpstreamsTest, NamingAServerAgainRevivesItsPool) {
  ServerPool& pool = upstreams.pool(*one);
  upstreams.keep_only({}, false);
  EXPECT_EQ(&upstreams.pool(*one), &pool);
  const auto links = world.idle(pool, 1);
  EXPECT_EQ(one->counters(0).connections_idle.read(), 1u);
}

TEST_F(UpstreamsTest, LeavingClosesEveryIdleConnection) {
  const auto ones = world.idle(upstreams.pool(*one), 3);
  const auto twos = world.idle(upstreams.pool(*two), 1);
  upstreams.retire_all();
  EXPECT_EQ(one->counters(0).connections_idle.read(), 0u);
  EXPECT_EQ(two->counters(0).connections_idle.read(), 0u);
}

}  // namespace
}  // namespace weir::upstream
