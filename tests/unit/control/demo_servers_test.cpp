#include "control/demo_servers.h"

#include <gmock/gmock.h>

#include <set>

#include "local_client.h"

namespace weir::control {
namespace {

using test::Client;
using testing::HasSubstr;

TEST(DemoServers, EachSaysWhoItIsAndCounts) {
  auto demo = DemoServers::start();
  ASSERT_TRUE(demo) << demo.error();
  std::set<std::uint16_t> ports;
  for (std::size_t i = 0; i < DemoServers::kCount; ++i) {
    const DemoServer& server = (*demo)->server(i);
    ports.insert(server.port());
    Client c(server.port());
    for (std::uint64_t request = 1; request <= 3; ++request) {
      c.get("/");
      const std::string page = c.answer().body;
      EXPECT_THAT(page, HasSubstr(std::string(server.name()) + " server"));
      EXPECT_THAT(page, HasSubstr(std::to_string(server.delay_ms()) + " ms"));
      EXPECT_THAT(page, HasSubstr("number " + std::to_string(request) + "."));
      EXPECT_EQ(server.answered(), request);
    }
  }
  EXPECT_EQ(ports.size(), DemoServers::kCount);
}

TEST(DemoServers, StopIsCleanWithClientsConnected) {
  auto demo = DemoServers::start();
  ASSERT_TRUE(demo) << demo.error();
  Client slow((*demo)->server(2).port());
  slow.get("/");
  Client idle((*demo)->server(0).port());
  idle.get("/");
  EXPECT_EQ(idle.answer().status(), 200);
  (*demo)->stop();
  (*demo)->stop();
  EXPECT_EQ(idle.end(), Client::End::closed);
  EXPECT_FALSE(Client((*demo)->server(0).port()).connected());
  EXPECT_EQ((*demo)->server(0).answered(), 1u);
}

TEST(DemoServers, SeveralCanRunAtOnce) {
  auto one = DemoServers::start();
  auto two = DemoServers::start();
  ASSERT_TRUE(one && two);
  EXPECT_NE((*one)->server(0).port(), (*two)->server(0).port());
}

}  // namespace
}  // namespace weir::control
