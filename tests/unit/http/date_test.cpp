#include "http/date.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>

namespace weir::http {
namespace {

std::string text(std::uint64_t seconds) {
  const auto date = format_date(seconds);
  return {date.data(), date.size()};
}

// RFC 9110 5.6.7.
TEST(Date, KnownDays) {
  EXPECT_EQ(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(text(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(text(951782399), "Mon, 28 Feb 2000 23:59:59 GMT");
  EXPECT_EQ(text(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(text(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST(Date, AgreesWithTheLibraryOnEveryDay) {
  for (std::uint64_t day = 0; day < 2'932'896; day += 7) {
    const std::time_t seconds = static_cast<std::time_t>(day * 86'400 + day % 86'400);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char expected[64];
    std::strftime(expected, sizeof(expected), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    ASSERT_EQ(text(static_cast<std::uint64_t>(seconds)), expected);
  }
}

}  // namespace
}  // namespace weir::http
