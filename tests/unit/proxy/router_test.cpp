#include "proxy/router.h"

#include <gtest/gtest.h>

#include <map>

namespace weir::proxy {
namespace {

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    for (const char* name : {"one", "two", "three"}) config.backends.emplace_back().name = name;
    for (const char* name : {"web", "internal"}) config.listeners.emplace_back().name = name;
    for (const char* name : {"tls", "db"}) {
      config.listeners.emplace_back().name = name;
      config.listeners.back().mode = config::ListenerMode::tcp;
    }
    config.listeners.back().backend = "three";
  }
  config::Route& route(const std::string& backend) {
    config::Route& added = config.routes.emplace_back();
    added.backends = {{backend}};
    return added;
  }
  // The name of the backend that takes the request; empty without a route.
  [[nodiscard]] std::string taken_by(std::string_view host, std::string_view path = "/",
                                     std::string_view method = "GET", std::uint32_t listener = 0) {
    const Router router(config, {"web", "internal"});
    const Route* match = router.match(listener, host, path, method);
    return match == nullptr ? "" : config.backends[match->backends.pick(0)].name;
  }

  // The same for a connection: of the TCP listener "tls", or 1: "db", which has a backend.
  [[nodiscard]] std::string connected_by(std::string_view name, std::uint32_t listener = 0) {
    const Router router(config, {"tls", "db"});
    const Route* match = router.match_name(listener, name);
    return match == nullptr ? "" : config.backends[match->backends.pick(0)].name;
  }

  config::Config config;
};

TEST_F(RouterTest, ServerNamesChooseForTcpListeners) {
  route("one").sni = {"db.example", "*.db.example"};
  route("two").sni = {"x.db.example", "other.example"};
  config.routes[1].listeners = {"db"};
  EXPECT_EQ(connected_by("db.example"), "one");
  EXPECT_EQ(connected_by("x.db.example", 1), "one") << "the first that takes it";
  EXPECT_EQ(connected_by("other.example"), "") << "not for this listener";
  EXPECT_EQ(connected_by("other.example", 1), "two");
  EXPECT_EQ(connected_by(""), "");
  EXPECT_EQ(connected_by("", 1), "three") << "no name, but a backend";
  EXPECT_EQ(connected_by("xdb.example", 1), "three");
  EXPECT_TRUE(Router(config, {"tls", "db"}).by_name(0));
}

TEST_F(RouterTest, TheTwoKindsOfListenersDoNotMix) {
  route("one");
  route("two").sni = {"a.example"};
  EXPECT_EQ(connected_by("b.example"), "");
  EXPECT_EQ(taken_by("a.example"), "one");
  EXPECT_FALSE(Router(config, {"web", "db"}).by_name(0));
}

TEST_F(RouterTest, RoutesForConnectTakeNothingElse) {
  route("one").connect = {"db.example:5432"};
  EXPECT_EQ(taken_by("db.example"), "");
  route("two");
  EXPECT_EQ(taken_by("db.example"), "two");
}

TEST_F(RouterTest, WithoutRoutesNothingMatches) { EXPECT_EQ(taken_by("a.example"), ""); }

TEST_F(RouterTest, ARouteWithoutConditionsTakesEverything) {
  route("one");
  EXPECT_EQ(taken_by("a.example"), "one");
  EXPECT_EQ(taken_by(""), "one") << "HTTP/1.0 without Host";
  EXPECT_EQ(taken_by("[::1]", "/x/y", "BREW", 1), "one");
  EXPECT_EQ(taken_by("a.example", "*", "OPTIONS"), "one");
}

TEST_F(RouterTest, ExactHostsCompareWithoutCaseAndFinalDot) {
  route("one").hosts = {"www.example.com", "example.com"};
  for (const char* host :
       {"www.example.com", "WWW.Example.COM", "www.example.com.", "EXAMPLE.com"}) {
    EXPECT_EQ(taken_by(host), "one") << host;
  }
  for (const char* host : {"example.org", "a.www.example.com", "ww.example.com", "xexample.com",
                           "example.com..", "www.example.com.evil", "", "."}) {
    EXPECT_EQ(taken_by(host), "") << host;
  }
}

TEST_F(RouterTest, SuffixesTakeWhatIsBelowThemOnly) {
  route("one").hosts = {"*.example.com"};
  for (const char* host : {"a.example.com", "a.b.example.com", "A.EXAMPLE.COM."}) {
    EXPECT_EQ(taken_by(host), "one") << host;
  }
  for (const char* host : {"example.com", ".example.com", "aexample.com", "a.example.com.org"}) {
    EXPECT_EQ(taken_by(host), "") << host;
  }
}

TEST_F(RouterTest, TheLongestHostFits) {
  const std::string longest(255, 'A');
  route("one").hosts = {std::string(255, 'a')};
  EXPECT_EQ(taken_by(longest), "one");
}

TEST_F(RouterTest, PrefixesEndAtSegmentBorders) {
  route("one").path = "/api";
  for (const char* path : {"/api", "/api/", "/api/x/y"})
    EXPECT_EQ(taken_by("", path), "one") << path;
  for (const char* path : {"/", "/ap", "/apis", "/api2/x", "/API", "/x/api", "//api", "*"}) {
    EXPECT_EQ(taken_by("", path), "") << path;
  }
}

TEST_F(RouterTest, APrefixWithAFinalSlashNeedsIt) {
  route("one").path = "/api/";
  EXPECT_EQ(taken_by("", "/api/"), "one");
  EXPECT_EQ(taken_by("", "/api/x"), "one");
  EXPECT_EQ(taken_by("", "/api"), "");
}

TEST_F(RouterTest, ExactPathsTakeThemselves) {
  route("one").path = "=/health";
  EXPECT_EQ(taken_by("", "/health"), "one");
  for (const char* path : {"/health/", "/healthy", "/Health", "/", "*"}) {
    EXPECT_EQ(taken_by("", path), "") << path;
  }
}

// The path goes to the server as it came, so it is matched as it came: reading it differently than
// the server would open a way around a route.
TEST_F(RouterTest, EscapesAndDotsAreNotInterpreted) {
  route("one").path = "/api";
  EXPECT_EQ(taken_by("", "/%61pi"), "");
  EXPECT_EQ(taken_by("", "/x/../api"), "");
  EXPECT_EQ(taken_by("", "/api%2fx"), "");
  EXPECT_EQ(taken_by("", "/api/../x"), "one");
}

TEST_F(RouterTest, TheAsteriskBelongsToTheRouteOfEverything) {
  route("one").path = "/api";
  route("two").path = "/";
  EXPECT_EQ(taken_by("", "*", "OPTIONS"), "two");
}

TEST_F(RouterTest, MethodsCompareWithCase) {
  route("one").methods = {"GET", "PURGE"};
  EXPECT_EQ(taken_by("", "/", "GET"), "one");
  EXPECT_EQ(taken_by("", "/", "PURGE"), "one");
  EXPECT_EQ(taken_by("", "/", "get"), "");
  EXPECT_EQ(taken_by("", "/", "HEAD"), "");
}

TEST_F(RouterTest, EveryConditionMustHold) {
  config::Route& all = route("one");
  all.hosts = {"a.example"};
  all.path = "/x";
  all.methods = {"GET"};
  EXPECT_EQ(taken_by("a.example", "/x", "GET"), "one");
  EXPECT_EQ(taken_by("b.example", "/x", "GET"), "");
  EXPECT_EQ(taken_by("a.example", "/y", "GET"), "");
  EXPECT_EQ(taken_by("a.example", "/x", "PUT"), "");
}

TEST_F(RouterTest, TheFirstWrittenWins) {
  route("one").path = "/a";
  route("two").hosts = {"special.example"};
  route("three");
  EXPECT_EQ(taken_by("special.example", "/a"), "one");
  EXPECT_EQ(taken_by("special.example", "/b"), "two");
  EXPECT_EQ(taken_by("other.example", "/b"), "three");
}

TEST_F(RouterTest, RoutesBelongToTheirListeners) {
  route("one").listeners = {"internal"};
  route("two").listeners = {"web", "internal"};
  EXPECT_EQ(taken_by("", "/", "GET", 0), "two");
  EXPECT_EQ(taken_by("", "/", "GET", 1), "one");
}

// A listener that the new configuration no longer has goes on until the restart, with the routes
// that name no listener.
TEST_F(RouterTest, RoutesOfListenersThatDoNotRunWait) {
  route("one").listeners = {"not-running"};
  EXPECT_EQ(taken_by("", "/", "GET", 0), "");
  route("two");
  EXPECT_EQ(taken_by("", "/", "GET", 0), "two");
}

TEST_F(RouterTest, LabelsTellWhereARouteIsWritten) {
  route("one").line = 12;
  route("one");
  config.routes[0].path = "/written";
  const Router router(config, {"web"});
  EXPECT_EQ(router.match(0, "", "/written", "GET")->label, "line 12");
  EXPECT_EQ(router.match(0, "", "/", "GET")->label, "route 2") << "made by the command line";
}

TEST_F(RouterTest, ManyRoutesKeepTheirOrder) {
  for (int i = 0; i < 1'000; ++i) route("one").path = "/" + std::to_string(i);
  route("two");
  EXPECT_EQ(taken_by("", "/999"), "one");
  EXPECT_EQ(taken_by("", "/1000"), "two");
}

TEST_F(RouterTest, LimitsMirrorAndPriorityComeWithTheRoute) {
  for (const char* name : {"few", "many"}) config.limits.emplace_back().name = name;
  config::Route& from = route("one");
  from.limits = {"many", "few"};
  from.mirror = config::Mirror{"three", 25};
  from.priority = 3;
  const Router router(config, {"web"});
  const Route* match = router.match(0, "", "/", "GET");
  ASSERT_NE(match, nullptr);
  EXPECT_EQ(match->limits, (std::vector<std::uint32_t>{1, 0}));
  EXPECT_EQ(match->mirror.backend, 2u);
  EXPECT_EQ(match->mirror.percent, 25u);
  EXPECT_EQ(match->priority, 3u);
}

constexpr std::uint32_t kRandomMax = UINT32_MAX;

TEST(Split, OneBackendTakesEverything) {
  Split split;
  split.add(4, 1);
  EXPECT_TRUE(split.single());
  for (const std::uint32_t random : {0u, 1u, kRandomMax / 2, kRandomMax}) {
    EXPECT_EQ(split.pick(random), 4u);
  }
}

TEST(Split, SharesGoByWeight) {
  Split split;
  split.add(7, 1);
  split.add(3, 2);
  split.add(5, 5);
  EXPECT_FALSE(split.single());
  constexpr int kPicks = 8'000;
  std::map<std::uint32_t, int> picks;
  for (int i = 0; i < kPicks; ++i) {
    ++picks[split.pick(static_cast<std::uint32_t>((std::uint64_t{1} << 32) * i / kPicks))];
  }
  EXPECT_EQ(picks, (std::map<std::uint32_t, int>{{7, 1'000}, {3, 2'000}, {5, 5'000}}));
}

TEST(Split, TheEdgesBelongToTheFirstAndTheLast) {
  Split split;
  split.add(0, 1);
  split.add(1, 1'000);
  EXPECT_EQ(split.pick(0), 0u);
  EXPECT_EQ(split.pick(kRandomMax), 1u);
  Split half;
  half.add(0, 1);
  half.add(1, 1);
  EXPECT_EQ(half.pick(kRandomMax / 2), 0u);
  EXPECT_EQ(half.pick(kRandomMax / 2 + 1), 1u);
}

TEST(Split, WeightZeroTakesNothing) {
  Split split;
  split.add(0, 0);
  split.add(1, 3);
  split.add(2, 0);
  EXPECT_TRUE(split.single());
  for (const std::uint32_t random : {0u, kRandomMax / 3, kRandomMax}) {
    EXPECT_EQ(split.pick(random), 1u);
  }
}

TEST(Split, ManyLargeWeightsDoNotOverflow) {
  Split split;
  for (std::uint32_t i = 0; i < 1'000; ++i) split.add(i, 1'000);
  EXPECT_EQ(split.pick(0), 0u);
  EXPECT_EQ(split.pick(kRandomMax), 999u);
  EXPECT_EQ(split.pick(kRandomMax / 2), 499u);
}

TEST(SplitDeathTest, WithoutAnyWeightItWasNotValidated) {
  Split split;
  split.add(0, 0);
  EXPECT_DEATH((void)split.pick(0), "not validated");
}

using RouterDeathTest = RouterTest;

TEST_F(RouterDeathTest, RefusesWhatTheValidatorMustHaveRefused) {
  route("unknown");
  EXPECT_DEATH(Router(config, {"web"}), "not validated");
}

}  // namespace
}  // namespace weir::proxy
