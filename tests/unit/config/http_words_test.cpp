#include "config/http_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weir::config {
namespace {

using testing::HasSubstr;

TEST(Methods, AreTokensWithCase) {
  for (const char* text : {"GET", "PROPFIND", "M-SEARCH", "x", "Get2"}) {
    EXPECT_EQ(parse_method(text), text);
  }
  for (const char* text : {"", "get", "Get", "GET POST", "GET,POST", "*", "G\xC3\x8BT", "GE\tT"}) {
    EXPECT_FALSE(parse_method(text)) << text;
  }
  EXPECT_EQ(parse_method("options").error().fix, "write \"OPTIONS\"");
}

TEST(OriginForm, IsAPathWithOrWithoutAQuery) {
  for (const char* text : {"/", "/healthz", "/a/b%20c?x=1&y=/z?", "/?", "//a", "/a:b@c;d=e,f"}) {
    EXPECT_EQ(parse_origin_form(text), text);
  }
  for (const char* text : {"", "*", "healthz", "http://a/b", "/a b", "/a#b", "/%", "/%4", "/%zz",
                           "/\xC3\xA9", "/a\r\nX: y", "/a?b c", "/a?%", "/a\"b", "/a?b#c"}) {
    EXPECT_FALSE(parse_origin_form(text)) << text;
  }
  EXPECT_EQ(parse_origin_form("healthz").error().fix, "write \"/healthz\"");
  EXPECT_THAT(parse_origin_form("http://a/b").error().fix, HasSubstr("path alone"));
  EXPECT_TRUE(parse_origin_form("/" + std::string(4095, 'a')));
  EXPECT_FALSE(parse_origin_form("/" + std::string(4096, 'a')));
}

TEST(FieldNames, AreTokens) {
  EXPECT_EQ(parse_field_name("X-User"), "X-User");
  for (const char* text : {"", "X User", "X:", "X\n", "\xC3\xA9", "X(", "a\"b"}) {
    EXPECT_FALSE(parse_field_name(text)) << text;
  }
  EXPECT_EQ(parse_field_name("X-User:").error().fix, "write it without the colon");
  EXPECT_TRUE(parse_field_name(std::string(256, 'a')));
  EXPECT_FALSE(parse_field_name(std::string(257, 'a')));
}

TEST(FieldValues, AreOneLine) {
  for (const char* text : {"", "a", "a b\tc", "\xC3\xA9"}) EXPECT_EQ(parse_field_value(text), text);
  for (const std::string text : {"a\r\nb", "a\nb", " a", "a\t", "a\x7f", "a\x01"}) {
    EXPECT_FALSE(parse_field_value(text)) << text;
  }
  EXPECT_FALSE(parse_field_value(std::string("a\0b", 3)));
  EXPECT_FALSE(parse_field_value(std::string(4097, 'a')));
}

TEST(Upgrades, AreLowerCaseProtocolsOtherThanHttp) {
  EXPECT_EQ(parse_upgrade("WebSocket"), "websocket");
  EXPECT_EQ(parse_upgrade("IRC/6.9"), "irc/6.9");
  for (const char* text : {"", "*", "h2c", "H2C", "h2", "HTTP/2.0", "http", "TLS/1.2", "a b", "a/",
                           "/1", "a/b/c", "a,b", "\xC3\xA9"}) {
    const auto protocol = parse_upgrade(text);
    ASSERT_FALSE(protocol) << text;
    EXPECT_FALSE(protocol.error().fix.empty()) << text;
  }
  EXPECT_NE(parse_upgrade("h2c").error().what.find("smuggle"), std::string::npos);
}

TEST(StatusRanges, HaveTheSmallerFirst) {
  EXPECT_EQ(parse_status_range("503"), (StatusRange{503, 503}));
  EXPECT_EQ(parse_status_range("100-599"), (StatusRange{100, 599}));
  for (const char* text : {"", "99", "600", "5xx", "504-500", "500-", "-504", "500-504-505",
                           "500 - 504", "0503", "+503"}) {
    EXPECT_FALSE(parse_status_range(text)) << text;
  }
}

TEST(CookieNames, AreTokens) {
  EXPECT_EQ(parse_cookie_name("__Host-weir"), "__Host-weir");
  for (const char* text : {"", "a=b", "a;b", "a b", "a,b", "\xC3\xA9"}) {
    EXPECT_FALSE(parse_cookie_name(text)) << text;
  }
}

TEST(QueryNames, AreAsClientsSendThem) {
  for (const char* text : {"user", "user%20id", "a.b", "a:b"}) {
    EXPECT_EQ(parse_query_name(text), text);
  }
  for (const char* text : {"", "a=b", "a&b", "a;b", "a b", "a#b", "a?b", "%"}) {
    EXPECT_FALSE(parse_query_name(text)) << text;
  }
}

}  // namespace
}  // namespace weir::config
