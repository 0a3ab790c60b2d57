#include "http/number.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

#include "http/list.h"

namespace weir::http {
namespace {

TEST(Number, DigitsOnly) {
  EXPECT_EQ(parse_decimal("0", 0), 0U);
  EXPECT_EQ(parse_decimal("0007", 7), 7U);
  EXPECT_EQ(parse_decimal("18446744073709551615", ~std::uint64_t{0}), ~std::uint64_t{0});
  for (const char* bad : {"", "+1", "-1", " 1", "1 ", "0x1", "1.0", "1e3", "a"}) {
    EXPECT_FALSE(parse_decimal(bad, 100)) << bad;
  }
}

TEST(Number, LargerThanAllowed) {
  EXPECT_FALSE(parse_decimal("18446744073709551616", ~std::uint64_t{0}));
  EXPECT_FALSE(parse_decimal("99999999999999999999", ~std::uint64_t{0}));
  EXPECT_FALSE(parse_decimal("65536", 65535));
  EXPECT_TRUE(parse_decimal("65535", 65535));
  EXPECT_FALSE(parse_decimal("5", 4));
}

TEST(Number, RoundTrip) {
  EXPECT_TRUE(rc::check("read(write(n)) == n", [](std::uint64_t number) {
    char out[kDecimalDigitsMax];
    const std::string_view text(out, write_decimal(out, number));
    RC_ASSERT(text == std::to_string(number));
    RC_ASSERT(parse_decimal(text, ~std::uint64_t{0}) == number);
  }));
}

TEST(Number, HexDigits) {
  for (unsigned value = 0; value < 16; ++value) {
    EXPECT_EQ(hex_value("0123456789abcdef"[value]), value);
    EXPECT_EQ(hex_value("0123456789ABCDEF"[value]), value);
  }
}

// RFC 9110 5.6.1.
TEST(List, Elements) {
  const auto elements = [](std::string_view rest) {
    std::string out;
    do {
      out += '[' + std::string(next_element(rest)) + ']';
    } while (rest.data() != nullptr);
    return out;
  };
  EXPECT_EQ(elements("a"), "[a]");
  EXPECT_EQ(elements(""), "[]");
  EXPECT_EQ(elements("a, b ,\tc d"), "[a][b][c d]");
  EXPECT_EQ(elements(",a,,"), "[][a][][]");
}

}  // namespace
}  // namespace weir::http
