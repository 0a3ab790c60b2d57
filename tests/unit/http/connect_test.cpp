// What a CONNECT asks for, held against a list of allowed targets.
#include <gtest/gtest.h>

#include <string>

#include "http/request.h"

namespace weir::http {
namespace {

// Whether a request whose request line begins so connects to the target.
bool connects(const std::string& line, std::string_view to) {
  const std::string host = line.substr(line.find(' ') + 1);
  const std::string wire =
      line + " HTTP/1.1\r\nHost: " + (host[0] == '/' ? "a:1" : host) + "\r\n\r\n";
  HeadParser parser;
  parser.begin(HeadParser::Mode::request, HeadLimits{});
  EXPECT_EQ(parser.parse(wire.data(), wire.size()), ParseStatus::complete);
  const auto info = analyse_request(parser);
  EXPECT_TRUE(info) << line;
  return info && info->connects_to(parser, to);
}

TEST(Connect, ToTheSameHostAndPort) {
  EXPECT_TRUE(connects("CONNECT db.example:5432", "db.example:5432"));
  EXPECT_TRUE(connects("CONNECT DB.Example:5432", "db.example:5432"));
  EXPECT_TRUE(connects("CONNECT db.example.:5432", "db.example:5432"));
  EXPECT_TRUE(connects("CONNECT db.example:005432", "db.example:5432"));
  EXPECT_TRUE(connects("CONNECT 192.0.2.1:22", "192.0.2.1:22"));
  EXPECT_TRUE(connects("CONNECT [::1]:22", "[::1]:22"));
  EXPECT_TRUE(connects("CONNECT [2001:DB8::A]:65535", "[2001:db8::a]:65535"));
}

TEST(Connect, ToAnAddressInEverySpelling) {
  for (const char* spelling : {"[2001:db8::1]", "[2001:db8:0:0::1]", "[2001:DB8:0:0:0:0:0:1]",
                               "[2001:0db8:0000:0000:0000:0000:0.0.0.1]"}) {
    EXPECT_TRUE(connects("CONNECT " + std::string(spelling) + ":22", "[2001:db8::1]:22"));
  }
  for (const char* spelling : {"[::ffff:10.0.0.1]", "[::FFFF:a00:1]", "[0::ffff:0a00:0001]"}) {
    EXPECT_TRUE(connects("CONNECT " + std::string(spelling) + ":25", "[::ffff:10.0.0.1]:25"));
    EXPECT_FALSE(connects("CONNECT " + std::string(spelling) + ":25", "10.0.0.1:25"));
  }
  EXPECT_FALSE(connects("CONNECT 10.0.0.1:25", "[::ffff:10.0.0.1]:25"));
  EXPECT_TRUE(connects("CONNECT [0000:0000:0000:0000:0000:ffff:255.255.255.255]:1",
                       "[::ffff:255.255.255.255]:1"));
}

TEST(Connect, NotToAnother) {
  EXPECT_FALSE(connects("CONNECT db.example:5432", "db.example:5433"));
  EXPECT_FALSE(connects("CONNECT db.example:5432", "db.example:54320"));
  EXPECT_FALSE(connects("CONNECT db.example:5432", "b.example:5432"));
  EXPECT_FALSE(connects("CONNECT db.example:5432", "xdb.example:5432"));
  EXPECT_FALSE(connects("CONNECT db.example..:5432", "db.example:5432"));
  EXPECT_FALSE(connects("CONNECT [::1]:22", "[::2]:22"));
  EXPECT_FALSE(connects("CONNECT [::1]:22", "::1:22"));
  EXPECT_FALSE(connects("CONNECT d%62.example:5432", "db.example:5432"));
}

TEST(Connect, NotWithoutAPort) {
  EXPECT_FALSE(connects("CONNECT db.example:5432", "db.example"));
  EXPECT_FALSE(connects("CONNECT db.example:5432", "db.example:"));
  EXPECT_FALSE(connects("CONNECT db.example:5432", ""));
  EXPECT_FALSE(connects("CONNECT [::1]:1", "[::1]"));
}

TEST(Connect, OtherMethodsConnectToNothing) {
  EXPECT_FALSE(connects("GET /", "a:1"));
  EXPECT_FALSE(connects("GET /", "a:0"));
}

}  // namespace
}  // namespace weir::http
