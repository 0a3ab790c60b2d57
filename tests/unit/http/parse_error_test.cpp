#include "http/parse_error.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace weir::http {
namespace {

TEST(ParseError, EveryRowIsComplete) {
  std::set<std::string_view> words;
  for (std::size_t i = 0; i < kParseErrorCount; ++i) {
    const ParseErrorInfo& row = info(static_cast<ParseError>(i));
    EXPECT_EQ(row.error, static_cast<ParseError>(i));
    EXPECT_TRUE(words.insert(row.word).second) << row.word;
    EXPECT_EQ(row.word.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string_view::npos);
    EXPECT_EQ(row.text.back(), '.') << row.word;
    if (row.error != ParseError::none) {
      EXPECT_GE(row.status, 400) << row.word;
    }
  }
}

// RFC 9112 3 (414, 501), RFC 6585 5 (431), RFC 9110 15.6.6 (505), 9.3.6 (405), 10.1.1 (417).
TEST(ParseError, Statuses) {
  EXPECT_EQ(info(ParseError::bare_lf).status, 400);
  EXPECT_EQ(info(ParseError::target_too_long).status, 414);
  EXPECT_EQ(info(ParseError::head_too_large).status, 431);
  EXPECT_EQ(info(ParseError::too_many_fields).status, 431);
  EXPECT_EQ(info(ParseError::method_too_long).status, 501);
  EXPECT_EQ(info(ParseError::transfer_encoding_unsupported).status, 501);
  EXPECT_EQ(info(ParseError::version_unsupported).status, 505);
  EXPECT_EQ(info(ParseError::connect_not_allowed).status, 405);
  EXPECT_EQ(info(ParseError::expectation_failed).status, 417);
  EXPECT_EQ(info(ParseError::bad_status).status, 502);
  EXPECT_EQ(info(ParseError::host_mismatch).status, 400);
  EXPECT_EQ(info(ParseError::connect_with_body).status, 400);
  EXPECT_EQ(info(ParseError::upgrade_not_offered).status, 502);
  EXPECT_EQ(to_string(ParseError::bare_cr), "bare_cr");
}

}  // namespace
}  // namespace weir::http
