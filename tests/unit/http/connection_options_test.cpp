#include "http/connection_options.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::http {
namespace {

struct Read {
  HeadParser head;
  ConnectionOptions options;
  ParseError error = ParseError::none;
};

Read read(const std::string& fields) {
  Read out;
  out.head.begin(HeadParser::Mode::trailers, HeadLimits{});
  EXPECT_EQ(out.head.parse(fields.data(), fields.size()), ParseStatus::complete);
  out.error = read_connection_options(out.head, out.options);
  return out;
}

TEST(ConnectionOptions, NoneAtAll) {
  const Read out = read("A: b\r\nClose: x\r\n\r\n");
  EXPECT_FALSE(out.options.close || out.options.keep_alive || out.options.upgrade);
  EXPECT_TRUE(out.options.nominated.empty());
}

// RFC 9110 7.6.1: all lines, without case, every field of the name.
TEST(ConnectionOptions, NominatesEveryFieldOfTheName) {
  const Read out = read(
      "A: 1\r\nconnection: a, upgrade\r\nB: 2\r\na: 3\r\nAB: 4\r\nConnection: Keep-Alive ,\tB\r\n"
      "Cookie: 5\r\nConnection: cookie\r\n\r\n");
  EXPECT_TRUE(out.options.upgrade);
  EXPECT_TRUE(out.options.keep_alive);
  EXPECT_FALSE(out.options.close);
  const bool expected[] = {true, false, true, true, false, false, true, false};
  for (std::size_t i = 0; i < std::size(expected); ++i) {
    EXPECT_EQ(out.options.nominated.contains(i), expected[i]) << i;
  }
}

TEST(ConnectionOptions, ReachTheLastFieldOfTheTable) {
  std::string fields = "Connection: z\r\n";
  for (int i = 0; i < 98; ++i) fields += "A: 1\r\n";
  const Read out = read(fields + "Z: 2\r\n\r\n");
  EXPECT_TRUE(out.options.nominated.contains(99));
  EXPECT_FALSE(out.options.nominated.contains(98));
}

// Empty elements are free (RFC 9110 5.6.1), options are not.
TEST(ConnectionOptions, AreBounded) {
  std::string options;
  for (unsigned i = 0; i < kConnectionOptionsMax; ++i) options += ",x,,";
  EXPECT_EQ(read("Connection: " + options + "\r\n\r\n").error, ParseError::none);
  EXPECT_EQ(read("Connection: " + options + "\r\nConnection: y\r\n\r\n").error,
            ParseError::too_many_connection_options);
}

}  // namespace
}  // namespace weir::http
