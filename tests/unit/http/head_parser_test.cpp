// What the vectors cannot say: reuse, limits, offsets, and the state between calls.
#include "http/head_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace weir::http {
namespace {

ParseStatus parse(HeadParser& parser, std::string_view bytes) {
  return parser.parse(bytes.data(), bytes.size());
}

TEST(HeadParser, IsReusedWithoutTracesOfTheMessageBefore) {
  HeadParser parser;
  parser.begin(HeadParser::Mode::request, HeadLimits{});
  ASSERT_EQ(parse(parser, "POST /x HTTP/1.0\r\nHost: a\r\nTE: b\r\n\r\n"), ParseStatus::complete);
  parser.begin(HeadParser::Mode::response, HeadLimits{});
  EXPECT_EQ(parser.status(), ParseStatus::need_more);
  ASSERT_EQ(parse(parser, "HTTP/1.1 204 \r\n\r\n"), ParseStatus::complete);
  EXPECT_TRUE(parser.fields().empty());
  EXPECT_FALSE(parser.present().contains(FieldId::te));
  EXPECT_EQ(parser.status_code(), 204);
  EXPECT_EQ(parser.minor_version(), 1U);
  parser.begin(HeadParser::Mode::request, HeadLimits{});
  ASSERT_EQ(parse(parser, "GET /y HTTP/1.1\rX"), ParseStatus::error);
  parser.begin(HeadParser::Mode::trailers, HeadLimits{});
  EXPECT_EQ(parser.error(), ParseError::none);
  EXPECT_EQ(parse(parser, "\r\n"), ParseStatus::complete);
}

TEST(HeadParser, AnswersTheSameOnceDecided) {
  HeadParser parser;
  parser.begin(HeadParser::Mode::request, HeadLimits{});
  const std::string good = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
  ASSERT_EQ(parse(parser, good), ParseStatus::complete);
  EXPECT_EQ(parse(parser, good + "more"), ParseStatus::complete);
  EXPECT_EQ(parser.head_bytes(), good.size() - 4);
  parser.begin(HeadParser::Mode::request, HeadLimits{});
  ASSERT_EQ(parse(parser, "\n"), ParseStatus::error);
  EXPECT_EQ(parse(parser, "\nGET / HTTP/1.1\r\n\r\n"), ParseStatus::error);
  EXPECT_EQ(parser.error(), ParseError::bare_lf);
}

// An end of input between messages is no truncated message (RFC 9112 8).
TEST(HeadParser, KnowsWhetherAMessageHasBegun) {
  HeadParser parser;
  parser.begin(HeadParser::Mode::request, HeadLimits{});
  EXPECT_TRUE(parser.untouched());
  std::string bytes = "\r\n\r";
  (void)parse(parser, bytes);
  EXPECT_TRUE(parser.untouched());
  bytes += "\nG";
  (void)parse(parser, bytes);
  EXPECT_FALSE(parser.untouched());
  parser.begin(HeadParser::Mode::response, HeadLimits{});
  EXPECT_TRUE(parser.untouched());
  (void)parse(parser, "H");
  EXPECT_FALSE(parser.untouched());
}

TEST(HeadParser, ViewsFollowTheBytes) {
  HeadParser parser;
  parser.begin(HeadParser::Mode::request, HeadLimits{});
  std::string first = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_EQ(parse(parser, first), ParseStatus::complete);
  const std::string second = first;
  first.assign(first.size(), '?');
  parser.rebase(second.data());
  EXPECT_EQ(parser.method(), "GET");
  EXPECT_EQ(parser.target(), "/x");
  EXPECT_EQ(parser.value(parser.fields()[0]), "a");
}

TEST(HeadParser, KnowsCanonicalLines) {
  HeadParser parser;
  parser.begin(HeadParser::Mode::request, HeadLimits{});
  const std::string bytes =
      "GET / HTTP/1.1\r\nA: b\r\nC:d\r\nE: f \r\nG:\r\nH: \r\nI:\tj\r\nK:  l\r\n\r\n";
  ASSERT_EQ(parse(parser, bytes), ParseStatus::complete);
  EXPECT_TRUE(parser.start_line_canonical());
  const bool expected[] = {true, false, false, true, false, false, false};
  ASSERT_EQ(parser.fields().size(), std::size(expected));
  for (std::size_t i = 0; i < std::size(expected); ++i) {
    EXPECT_EQ(parser.fields()[i].canonical, expected[i]) << parser.name(parser.fields()[i]);
  }
  EXPECT_EQ(bytes.substr(parser.fields()[0].line_end(), 2), "C:");
  EXPECT_EQ(bytes.substr(parser.fields()[3].line_end(), 2), "H:");
}

// Offsets are 16 bits wide and the table has 128 rows, whatever a configuration asks for.
TEST(HeadParser, LimitsAboveTheHardOnesAreCutDown) {
  HeadParser parser;
  HeadLimits limits;
  limits.head_bytes_max = 65535;
  limits.fields_max = 1000;
  parser.begin(HeadParser::Mode::trailers, limits);
  std::string fields;
  for (int i = 0; i < 128; ++i) fields += "a:b\r\n";
  EXPECT_EQ(parse(parser, fields + "\r\n"), ParseStatus::complete);
  parser.begin(HeadParser::Mode::trailers, limits);
  EXPECT_EQ(parse(parser, fields + "a"), ParseStatus::error);
  EXPECT_EQ(parser.error(), ParseError::too_many_fields);
  parser.begin(HeadParser::Mode::trailers, limits);
  EXPECT_EQ(parse(parser, "a:" + std::string(kHeadBytesMax, 'b')), ParseStatus::error);
  EXPECT_EQ(parser.error(), ParseError::trailers_too_large);
}

TEST(HeadParser, TheLargestHeadHasRightOffsets) {
  HeadParser parser;
  HeadLimits limits;
  limits.head_bytes_max = 65535;
  parser.begin(HeadParser::Mode::trailers, limits);
  const std::string bytes =
      "a: " + std::string(kHeadBytesMax - 3 - 2 - 6 - 2, 'b') + "\r\nlast:\r\n\r\n";
  ASSERT_EQ(parse(parser, bytes.substr(0, kHeadBytesMax)), ParseStatus::error);
  parser.begin(HeadParser::Mode::trailers, limits);
  const std::string fits =
      "a: " + std::string(kHeadBytesMax - 3 - 2 - 7 - 2, 'b') + "\r\nlast:\r\n\r\n";
  ASSERT_EQ(fits.size(), kHeadBytesMax);
  ASSERT_EQ(parse(parser, fits), ParseStatus::complete);
  EXPECT_EQ(parser.head_bytes(), kHeadBytesMax);
  EXPECT_EQ(parser.name(parser.fields()[1]), "last");
}

}  // namespace
}  // namespace weir::http
