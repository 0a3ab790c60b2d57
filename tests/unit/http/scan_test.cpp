#include "http/scan.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <memory>
#include <string>

namespace weir::http::scan {
namespace {

// The scan and its scalar twin agree on this text, with no bytes before it and with as many as
// there are.
template <ByteClass wanted>
void expect_twins_agree(const char* floor, const char* begin, const char* end) {
  const char* const expected = find_end_scalar<wanted>(begin, end);
  const char* const alone = find_end<wanted>(begin, begin, end);
  const char* const amid = find_end<wanted>(floor, begin, end);
  if (alone == expected && amid == expected) return;  // Millions of times: cheaper than the macros.
  ASSERT_EQ(alone - begin, expected - begin);
  ASSERT_EQ(amid - begin, expected - begin);
}

// Each byte value at each place of texts of every length up to two registers and more, at 16
// alignments.
template <ByteClass wanted>
void compare_everywhere(char inside) {
  constexpr std::size_t kLengthMax = 34;
  for (std::size_t align = 0; align < 16; ++align) {
    const auto block = std::make_unique<char[]>(align + kLengthMax);
    for (std::size_t size = 0; size <= kLengthMax; ++size) {
      // The text ends where the block does, so that a read outside is seen by the sanitizer.
      char* const end = block.get() + align + kLengthMax;
      char* const begin = end - size;
      std::fill(block.get(), end, inside);
      expect_twins_agree<wanted>(block.get(), begin, end);
      for (std::size_t at = 0; at < size; ++at) {
        for (int byte = 0; byte < 256; ++byte) {
          begin[at] = static_cast<char>(byte);
          expect_twins_agree<wanted>(block.get(), begin, end);
        }
        begin[at] = inside;
      }
    }
  }
}

TEST(Scan, TokenTwins) { compare_everywhere<kToken>('a'); }
TEST(Scan, TokenTwinsAmongRareTokenBytes) { compare_everywhere<kToken>('_'); }
TEST(Scan, TargetTwins) { compare_everywhere<kTarget>('/'); }
TEST(Scan, ValueTwins) { compare_everywhere<kValue>(' '); }
TEST(Scan, RegNameTwins) { compare_everywhere<kRegName>('a'); }
TEST(Scan, RegNameTwinsAmongRareBytes) { compare_everywhere<kRegName>('~'); }
TEST(Scan, NotColonTwins) { compare_everywhere<kNotColon>('a'); }

TEST(Scan, RandomTextsAgree) {
  EXPECT_TRUE(rc::check("scan twins", [](const std::string& text) {
    const char* const end = text.data() + text.size();
    for (const char* begin = text.data(); begin != end; ++begin) {
      expect_twins_agree<kToken>(text.data(), begin, end);
      expect_twins_agree<kTarget>(text.data(), begin, end);
      expect_twins_agree<kValue>(text.data(), begin, end);
      expect_twins_agree<kRegName>(text.data(), begin, end);
    }
  }));
}

// RFC 9110 5.6.2, written out.
TEST(Scan, TokenBytes) {
  const std::string_view tokens =
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    EXPECT_EQ(is(kToken, c), tokens.find(c) != std::string_view::npos) << byte;
  }
}

// RFC 3986 2.3 and 2.2, written out.
TEST(Scan, RegNameBytes) {
  const std::string_view bytes =
      "-._~!$&'()*+,;=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    EXPECT_EQ(is(kRegName, c), bytes.find(c) != std::string_view::npos) << byte;
  }
}

// RFC 9110 5.5: SP, HTAB, visible ASCII, and everything above 0x7f.
TEST(Scan, ValueBytes) {
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(is(kValue, static_cast<char>(byte)), byte == 9 || (byte >= 32 && byte != 127));
  }
}

TEST(Scan, TargetBytes) {
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(is(kTarget, static_cast<char>(byte)), byte > 32 && byte < 127 && byte != '#');
  }
}

TEST(Scan, NotColonBytes) {
  for (int byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(is(kNotColon, static_cast<char>(byte)), byte != ':');
  }
}

TEST(Scan, Trim) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim("\xa0"), "\xa0");
}

TEST(Scan, CompareWithoutCase) {
  EXPECT_TRUE(equals_lower("ChunKed", "chunked"));
  EXPECT_FALSE(equals_lower("chunke", "chunked"));
  EXPECT_FALSE(equals_lower("@", "`"));
  EXPECT_TRUE(equals_nocase("x-ABC", "X-abc"));
  EXPECT_FALSE(equals_nocase("[", "{"));
}

}  // namespace
}  // namespace weir::http::scan
