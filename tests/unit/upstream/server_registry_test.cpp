#include "upstream/server_registry.h"

#include <gtest/gtest.h>

namespace weir::upstream {
namespace {

using Family = config::Endpoint::Family;

config::Server server(const std::string& name, std::uint16_t port, std::uint32_t weight = 1) {
  return {name, {Family::ipv4, "127.0.0.1", port}, {}, weight, 0, {}};
}

TEST(ServerRegistry, TheSameIdentityHasTheSameState) {
  ServerRegistry registry(2);
  ServerState& state = registry.find_or_create("app", server("a", 9001));
  EXPECT_EQ(&registry.find_or_create("app", server("a", 9001, 50)), &state)
      << "a weight is not part of who a server is";
  EXPECT_EQ(registry.size(), 1u);
  EXPECT_EQ(state.backend(), "app");
  EXPECT_EQ(state.name(), "a");
  EXPECT_EQ(state.address_text(), "127.0.0.1:9001");
  EXPECT_EQ(state.worker_count(), 2u);
  EXPECT_NE(&state.counters(0), &state.counters(1));
}

TEST(ServerRegistry, BackendNameAndAddressTellServersApart) {
  ServerRegistry registry(1);
  ServerState& state = registry.find_or_create("app", server("a", 9001));
  EXPECT_NE(&registry.find_or_create("api", server("a", 9001)), &state);
  EXPECT_NE(&registry.find_or_create("app", server("b", 9001)), &state);
  EXPECT_NE(&registry.find_or_create("app", server("a", 9002)), &state)
      << "counters and health of another address mean nothing here";
  EXPECT_EQ(registry.size(), 4u);
}

TEST(ServerRegistry, StatesStayWhereTheyAre) {
  ServerRegistry registry(1);
  ServerState& first = registry.find_or_create("app", server("a", 1));
  first.in_flight = 3;
  for (std::uint16_t port = 2; port < 500; ++port) {
    (void)registry.find_or_create("app", server("a", port));
  }
  EXPECT_EQ(&registry.find_or_create("app", server("a", 1)), &first);
  EXPECT_EQ(first.in_flight, 3u);
}

TEST(ServerRegistry, DropsWhatNobodyUses) {
  ServerRegistry registry(1);
  ServerState& kept = registry.find_or_create("app", server("a", 1));
  (void)registry.find_or_create("app", server("b", 2));
  kept.passive = 77;
  registry.keep_only({&kept, &kept});
  EXPECT_EQ(registry.size(), 1u);
  EXPECT_EQ(registry.find_or_create("app", server("a", 1)).passive, 77u);
  registry.keep_only({});
  EXPECT_EQ(registry.size(), 0u);
  EXPECT_EQ(registry.find_or_create("app", server("a", 1)).passive, 0u) << "a new life";
}

TEST(ServerRegistry, EndpointsBecomeAddresses) {
  EXPECT_EQ(to_address({Family::ipv4, "127.0.0.1", 80}).any.sa_family, AF_INET);
  EXPECT_TRUE(to_address({Family::ipv6, "::1", 80}).is_ipv6());
  EXPECT_TRUE(to_address({Family::unix_path, "/run/a.sock", 0}).is_unix());
}

TEST(ServerRegistryDeathTest, RefusesWhatTheValidatorMustHaveRefused) {
  EXPECT_DEATH((void)to_address({Family::ipv4, "not an address", 80}), "not validated");
}

}  // namespace
}  // namespace weir::upstream
