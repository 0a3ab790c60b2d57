#include "upstream/sticky_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

namespace weir::upstream {
namespace {

class StickyPlanTest : public testing::Test {
 protected:
  StickyPlanTest() {
    settings.cookie = "weir";
    for (const char* name : {"a", "b", "c"}) add("app", name, std::string("192.0.2.1:80") + name);
  }
  ServerState* add(const std::string& backend, const std::string& name,
                   const std::string& address) {
    states.push_back(std::make_unique<ServerState>(backend, name, os::Address{}, address, 1));
    servers.push_back(states.back().get());
    return servers.back();
  }
  [[nodiscard]] StickyPlan plan() const { return {settings, servers}; }
  // What a browser would send back for the server.
  static std::string cookie_of(const StickyPlan& plan, std::uint32_t server) {
    const std::string_view line = plan.set_cookie(server);
    const std::size_t begin = std::string_view("Set-Cookie: ").size();
    return std::string(line.substr(begin, line.find(';') - begin));
  }

  config::Sticky settings;
  std::vector<std::unique_ptr<ServerState>> states;
  std::vector<ServerState*> servers;
};

TEST_F(StickyPlanTest, EveryServerIsFoundByItsOwnCookie) {
  const StickyPlan sticky = plan();
  std::set<std::string> values;
  for (std::uint32_t i = 0; i < servers.size(); ++i) {
    EXPECT_EQ(sticky.server_of(cookie_of(sticky, i)), i);
    values.insert(cookie_of(sticky, i));
  }
  EXPECT_EQ(values.size(), servers.size());
}

TEST_F(StickyPlanTest, TheValueTellsNothingAboutTheServer) {
  const std::string cookie = cookie_of(plan(), 0);
  EXPECT_EQ(cookie.size(), std::string("weir=").size() + 16);
  EXPECT_EQ(cookie.find("192"), std::string::npos);
}

// Another process, another order, other neighbours: the same value.
TEST_F(StickyPlanTest, ValuesAreStableOverSnapshotsAndOrder) {
  const StickyPlan before = plan();
  const std::string cookie = cookie_of(before, 2);
  std::ranges::reverse(servers);
  add("app", "d", "192.0.2.9:80");
  EXPECT_EQ(plan().server_of(cookie), 0u);
  const ServerState again("app", "c", os::Address{}, "192.0.2.1:80c", 4);
  servers = {const_cast<ServerState*>(&again)};
  EXPECT_EQ(cookie_of(plan(), 0), cookie);
}

TEST_F(StickyPlanTest, EveryPartOfTheIdentityCounts) {
  const std::string cookie = cookie_of(plan(), 0);
  servers.clear();
  add("other", "a", "192.0.2.1:80a");
  add("app", "a2", "192.0.2.1:80a");
  add("app", "a", "192.0.2.2:80a");
  EXPECT_EQ(plan().server_of(cookie), std::nullopt);
}

// Nothing in it can be computed without the secret: a guessed address stays a guess.
TEST_F(StickyPlanTest, ASecretKeysTheWholeValue) {
  const std::string plain = cookie_of(plan(), 0);
  settings.secret = "correct horse";
  const StickyPlan sticky = plan();
  const std::string cookie = cookie_of(sticky, 0);
  ASSERT_EQ(cookie.size(), std::string("weir=").size() + 32);
  EXPECT_EQ(cookie.find(plain.substr(5)), std::string::npos);
  EXPECT_EQ(sticky.server_of(cookie), 0u);
  EXPECT_EQ(sticky.server_of(plain), std::nullopt);
  for (std::size_t i = 5; i < cookie.size(); ++i) {
    std::string forged = cookie;
    forged[i] = forged[i] == '0' ? '1' : '0';
    ASSERT_EQ(sticky.server_of(forged), std::nullopt) << i;
  }
  settings.secret = "correct horsf";
  EXPECT_EQ(plan().server_of(cookie), std::nullopt);
}

// HMAC-SHA-256 as `openssl dgst -sha256 -hmac` computes it over the identity's three lines.
TEST_F(StickyPlanTest, TheKeyedValueIsAnHmac) {
  settings.secret = "key";
  const std::string cookie = cookie_of(plan(), 0);
  EXPECT_EQ(cookie.substr(5), "fd46adab85a573169211b6ff565052fc");
}

TEST_F(StickyPlanTest, OddValuesNameNobody) {
  const StickyPlan sticky = plan();
  const std::string cookie = cookie_of(sticky, 0);
  for (const std::string& odd : {std::string(), std::string("weir"), std::string("weir="),
                                 cookie + "0", cookie.substr(0, cookie.size() - 1),
                                 "Weir=" + cookie.substr(5), "xweir=" + cookie.substr(5),
                                 "weir =" + cookie.substr(5), "weir=" + std::string(5'000, 'f')}) {
    EXPECT_EQ(sticky.server_of(odd), std::nullopt) << odd;
  }
}

TEST_F(StickyPlanTest, TheFirstCookieThatNamesAServerCounts) {
  const StickyPlan sticky = plan();
  const std::string a = cookie_of(sticky, 0);
  const std::string b = cookie_of(sticky, 1);
  EXPECT_EQ(sticky.server_of("x=1; " + b + "; " + a), 1u);
  EXPECT_EQ(sticky.server_of("weir=other; " + a), 0u) << "of another path, or another time";
  EXPECT_EQ(sticky.server_of("weir=other; weir=; weir"), std::nullopt);
  EXPECT_EQ(sticky.server_of("weirder=1;weirder2=2;" + a + ";weir=z"), 0u);
}

TEST_F(StickyPlanTest, QuotesAreNotPartOfTheValue) {
  const StickyPlan sticky = plan();
  const std::string quoted = "weir=\"" + cookie_of(sticky, 1).substr(5) + "\"";
  EXPECT_EQ(sticky.server_of(quoted), 1u);
  EXPECT_EQ(sticky.server_of("a=b;\t " + quoted + " ; c=d"), 1u);
}

TEST_F(StickyPlanTest, TheLineSaysWhatIsConfigured) {
  const std::string cookie = cookie_of(plan(), 0);
  const std::string common = "Set-Cookie: " + cookie + "; Path=/; HttpOnly; SameSite=Lax";
  EXPECT_EQ(plan().set_cookie(0), common + "\r\n");
  settings.secure = true;
  EXPECT_EQ(plan().set_cookie(0), common + "; Secure\r\n");
  settings.max_age = config::Milliseconds{90'000};
  EXPECT_EQ(plan().set_cookie(0), common + "; Secure; Max-Age=90\r\n");
  settings.secure = false;
  settings.max_age = config::Milliseconds{1'999};
  EXPECT_EQ(plan().set_cookie(0), common + "; Max-Age=1\r\n") << "whole seconds, RFC 6265 5.2.2";
}

TEST(TakeCookie, OddInputs) {
  const auto find = [](std::string_view cookies) { return take_cookie(cookies, "k"); };
  EXPECT_EQ(find(""), std::nullopt);
  EXPECT_EQ(find(";"), std::nullopt);
  EXPECT_EQ(find("; ;;\t;"), std::nullopt);
  EXPECT_EQ(find("k"), std::nullopt);
  EXPECT_EQ(find("=k"), std::nullopt);
  EXPECT_EQ(find("kk=1; xk=2; K=3"), std::nullopt);
  EXPECT_EQ(find("k="), "");
  EXPECT_EQ(find("k=;"), "");
  EXPECT_EQ(find("k=1"), "1");
  EXPECT_EQ(find(" \tk=1 \t"), "1");
  EXPECT_EQ(find("k=a=b"), "a=b");
  EXPECT_EQ(find("a=1;k=2;k=3"), "2");
  EXPECT_EQ(find("a=k=1; k=2"), "2") << "a value that looks like a pair";
  EXPECT_EQ(find("k=\"\""), "");
  EXPECT_EQ(find("k=\""), "\"") << "one quote is a byte like any other";
  EXPECT_EQ(find("k=\"x"), "\"x");
  EXPECT_EQ(find("k=\"x\""), "x");
  EXPECT_EQ(find("k; k=2"), "2");
}

TEST(TakeCookie, OneAfterTheOther) {
  std::string_view cookies = "a=0; k=1; b=2;k=3";
  EXPECT_EQ(take_cookie(cookies, "k"), "1");
  EXPECT_EQ(cookies, " b=2;k=3");
  EXPECT_EQ(take_cookie(cookies, "k"), "3");
  EXPECT_EQ(take_cookie(cookies, "k"), std::nullopt);
}

}  // namespace
}  // namespace weir::upstream
