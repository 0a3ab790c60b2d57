#include "config/match_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::config {
namespace {

TEST(HostPatterns, AreLowerCaseNamesOrSuffixes) {
  EXPECT_EQ(parse_host_pattern("Example.COM"), "example.com");
  EXPECT_EQ(parse_host_pattern("*.Example.com"), "*.example.com");
  EXPECT_EQ(parse_host_pattern("localhost"), "localhost");
  EXPECT_EQ(parse_host_pattern("my_app-1.internal"), "my_app-1.internal");
  EXPECT_EQ(parse_host_pattern("127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(parse_host_pattern("[2001:DB8::1]"), "[2001:db8::1]");
  EXPECT_TRUE(parse_host_pattern(std::string(63, 'a') + ".b"));
}

TEST(HostPatterns, RefuseWhatNoHostFieldHas) {
  for (const char* text :
       {"",       "*",    "*.",          "*.*.a", "a.*",      "*a.com", ".a.com",
        "a.com.", "a..b", "a b",         "a:80",  "http://a", "a/b",    "\xC3\xA9.com",
        "a?b",    "[::1", "[1.2.3.4/8]", "[]",    "::1",      "a,b"}) {
    const auto host = parse_host_pattern(text);
    ASSERT_FALSE(host) << text;
    EXPECT_FALSE(host.error().fix.empty()) << text;
  }
  EXPECT_FALSE(parse_host_pattern(std::string(64, 'a') + ".b"));
  EXPECT_FALSE(parse_host_pattern(std::string(254, 'a')));
}

TEST(ServerNames, AreHostsButNoAddresses) {
  EXPECT_EQ(parse_sni_pattern("DB.Example"), "db.example");
  EXPECT_EQ(parse_sni_pattern("*.Example"), "*.example");
  EXPECT_EQ(parse_sni_pattern("my_db"), "my_db");
  for (const char* text : {"", "*", "*.", "10.0.0.1", "[::1]", "::1", "db:5432", "db.", "a b",
                           "tls://db", "10.0.0.0/8"}) {
    const auto name = parse_sni_pattern(text);
    ASSERT_FALSE(name) << text;
    EXPECT_FALSE(name.error().fix.empty()) << text;
  }
  for (const char* everything : {"*", "*."}) {
    EXPECT_NE(parse_sni_pattern(everything).error().fix.find("[listener.NAME]"), std::string::npos);
  }
}

TEST(ConnectTargets, AreOneHostAndOnePort) {
  EXPECT_EQ(parse_connect_target("DB.Example:5432"), "db.example:5432");
  EXPECT_EQ(parse_connect_target("localhost:1"), "localhost:1");
  EXPECT_EQ(parse_connect_target("10.0.0.1:65535"), "10.0.0.1:65535");
  EXPECT_EQ(parse_connect_target("[0:0::1]:22"), "[::1]:22");
  EXPECT_EQ(parse_connect_target("[2001:DB8::1]:22"), "[2001:db8::1]:22");
  EXPECT_EQ(parse_connect_target("[::ffff:10.0.0.1]:22"), "[::ffff:10.0.0.1]:22");
  EXPECT_EQ(parse_connect_target("[::FFFF:a00:1]:22"), "[::ffff:10.0.0.1]:22");
  for (const char* text :
       {"",        "db",       ":22",           "db:",         "db:0",        "db:65536",
        "db:022",  "db:ssh",   "*:443",         "*.a:443",     "[::1]",       "::1:22",
        "[::]:22", "[::g]:22", "[1.2.3.4]:22",  "0.0.0.0:22",  "http://a:80", "a:80:90",
        "a b:80",  "db.:22",   "10.0.0.0/8:80", "\xC3\xA9:22", "a/b:22",      "user@db:22"}) {
    const auto target = parse_connect_target(text);
    ASSERT_FALSE(target) << text;
    EXPECT_FALSE(target.error().fix.empty()) << text;
  }
}

TEST(Routes, ServeListenersOfTheirMode) {
  Listener web;
  web.name = "web";
  Listener db;
  db.name = "db";
  db.mode = ListenerMode::tcp;
  Route route;
  EXPECT_TRUE(route.serves(web));
  EXPECT_FALSE(route.serves(db));
  route.sni = {"db.example"};
  EXPECT_FALSE(route.serves(web));
  EXPECT_TRUE(route.serves(db));
  route.listeners = {"web"};
  EXPECT_FALSE(route.serves(web));
  EXPECT_FALSE(route.serves(db));
  route.sni.clear();
  EXPECT_TRUE(route.serves(web));
  route.listeners = {"db"};
  EXPECT_FALSE(route.serves(web));
  EXPECT_FALSE(route.serves(db));
}

TEST(PathPatterns, ArePrefixesOrExact) {
  for (const char* text : {"/", "/api", "/api/", "=/", "=/a", "/a%20b", "/a//b", "/a:b@c;d=e,f",
                           "/..a/.b", "=/*", "/a*b", "/~user"}) {
    EXPECT_EQ(parse_path_pattern(text), text) << text;
  }
  for (const char* text :
       {"",     "=",   "api",       "=api",  "/a b",  "/a?b", "/a#b",  "/a/*",
        "/a*",  "/*",  "/a/../b",   "/.",    "=/..",  "/%",   "/%2",   "/%zz",
        "~^/a", "^/a", "/\xC3\xA9", "/a\\b", "/a\"b", "/a<b", "/a\tb", "/{id}"}) {
    const auto path = parse_path_pattern(text);
    ASSERT_FALSE(path) << text;
    EXPECT_FALSE(path.error().fix.empty()) << text;
  }
  EXPECT_EQ(parse_path_pattern("/api/**").error().fix, "write \"/api\"");
  EXPECT_EQ(parse_path_pattern("/*").error().fix, "write \"/\"");
  EXPECT_EQ(parse_path_pattern("= /a").error().fix, "write \"=/a\"");
  EXPECT_TRUE(parse_path_pattern("/" + std::string(4095, 'a')));
  EXPECT_FALSE(parse_path_pattern("/" + std::string(4096, 'a')));
}

TEST(Covers, ForHosts) {
  EXPECT_TRUE(host_covers("a.com", "a.com"));
  EXPECT_TRUE(host_covers("*.a.com", "x.a.com"));
  EXPECT_TRUE(host_covers("*.a.com", "x.y.a.com"));
  EXPECT_TRUE(host_covers("*.a.com", "*.a.com"));
  EXPECT_TRUE(host_covers("*.a.com", "*.b.a.com"));
  EXPECT_FALSE(host_covers("*.a.com", "a.com"));
  EXPECT_FALSE(host_covers("*.a.com", "ba.com"));
  EXPECT_FALSE(host_covers("*.b.a.com", "*.a.com"));
  EXPECT_FALSE(host_covers("x.a.com", "*.a.com"));
}

TEST(Covers, ForPaths) {
  EXPECT_TRUE(path_covers("/", "/"));
  EXPECT_TRUE(path_covers("/", "=/x"));
  EXPECT_TRUE(path_covers("/api", "/api"));
  EXPECT_TRUE(path_covers("/api", "/api/"));
  EXPECT_TRUE(path_covers("/api", "=/api"));
  EXPECT_TRUE(path_covers("/api/", "/api/x"));
  EXPECT_TRUE(path_covers("=/api", "=/api"));
  EXPECT_FALSE(path_covers("/api", "/apis"));
  EXPECT_FALSE(path_covers("/api/", "/api"));
  EXPECT_FALSE(path_covers("=/api", "/api"));
  EXPECT_FALSE(path_covers("=/api", "=/api/"));
  EXPECT_FALSE(path_covers("/api/v1", "/api"));
}

}  // namespace
}  // namespace weir::config
