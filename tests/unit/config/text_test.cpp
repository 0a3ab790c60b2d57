#include "config/text.h"

#include <gtest/gtest.h>

#include <vector>

namespace weir::config {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kWords[] = {"bind", "max_connections", "client_idle_timeout", "via"};

TEST(Closest, ForgivesCaseHyphensAndUnderscores) {
  EXPECT_EQ(closest("Bind", kWords), "bind");
  EXPECT_EQ(closest("max-connections", kWords), "max_connections");
  EXPECT_EQ(closest("maxConnections", kWords), "max_connections");
}

TEST(Closest, ForgivesOneSlipPerThreeLetters) {
  EXPECT_EQ(closest("bnid", kWords), "bind");   // Swapped.
  EXPECT_EQ(closest("bin", kWords), "bind");    // Left out.
  EXPECT_EQ(closest("bindd", kWords), "bind");  // Too many.
  EXPECT_EQ(closest("band", kWords), "bind");   // Another.
  EXPECT_EQ(closest("band_", kWords), "bind");
  EXPECT_EQ(closest("bald", kWords), std::nullopt);  // Two in four.
  EXPECT_EQ(closest("clent_idel_timeot", kWords), "client_idle_timeout");
}

TEST(Closest, CompletesAnAbbreviationOfOneWord) {
  EXPECT_EQ(closest("maxcon", kWords), "max_connections");
  EXPECT_EQ(closest("client", kWords), "client_idle_timeout");
  constexpr std::string_view kTwo[] = {"client_idle_timeout", "client_head_timeout"};
  EXPECT_EQ(closest("client", kTwo), std::nullopt);
}

TEST(Closest, PrefersTheNearest) {
  constexpr std::string_view kNear[] = {"backend2", "backend", "backend1"};
  EXPECT_EQ(closest("backend", kNear), "backend");
  EXPECT_EQ(closest("backen", kNear), "backend");
}

TEST(Closest, HasNothingForOddWords) {
  EXPECT_EQ(closest("", kWords), std::nullopt);
  EXPECT_EQ(closest("_", kWords), std::nullopt);
  EXPECT_EQ(closest("x", kWords), std::nullopt);
  EXPECT_EQ(closest(std::string(1'000'000, 'b'), kWords), std::nullopt);
  EXPECT_EQ(closest("bind", {}), std::nullopt);
}

TEST(Names, AreShortAndPlain) {
  EXPECT_TRUE(is_name("a"));
  EXPECT_TRUE(is_name("Web_1.b-c"));
  EXPECT_TRUE(is_name(std::string(64, 'a')));
  EXPECT_FALSE(is_name(std::string(65, 'a')));
  EXPECT_FALSE(is_name(""));
  EXPECT_FALSE(is_name("a b"));
  EXPECT_FALSE(is_name("a/b"));
  EXPECT_FALSE(is_name("\xC3\xA9"));
}

TEST(Utf8, TakesWellFormedSequencesOnly) {
  EXPECT_EQ(decode_utf8("a").code, U'a');
  EXPECT_EQ(decode_utf8("\xC3\xA9x").bytes, 2u);
  EXPECT_EQ(decode_utf8("\xE2\x82\xAC").code, U'\u20AC');
  EXPECT_EQ(decode_utf8("\xF0\x9F\x98\x80").code, U'\U0001F600');
  EXPECT_EQ(decode_utf8("\xF4\x8F\xBF\xBF").code, U'\U0010FFFF');
  const std::vector<std::string_view> broken = {"\x80",
                                                "\xC0\x80",
                                                "\xC1\xBF",
                                                "\xC3",
                                                "\xC3(",
                                                "\xE0\x80\x80",
                                                "\xED\xA0\x80",
                                                "\xE2\x82",
                                                "\xF0\x80\x80\x80",
                                                "\xF4\x90\x80\x80",
                                                "\xF5\x80\x80\x80",
                                                "\xFF"};
  for (std::string_view bytes : broken) {
    EXPECT_FALSE(decode_utf8(bytes).valid);
    EXPECT_EQ(decode_utf8(bytes).bytes, 1u);
  }
}

TEST(Printable, TakesTheTeethOutOfControlBytes) {
  EXPECT_EQ(printable("a\x1B[31mb"), "a\uFFFD[31mb");
  EXPECT_EQ(printable("a\tb\nc"), "a\uFFFDb\uFFFDc");
  EXPECT_EQ(printable("a\tb\nc", true), "a\uFFFDb\nc");
  EXPECT_EQ(printable("\x7F"), "\uFFFD");
  EXPECT_EQ(printable("\xC2\x9B"), "\uFFFD");        // C1: CSI in one character.
  EXPECT_EQ(printable("\xE2\x80\xAEx"), "\uFFFDx");  // Right-to-left override.
  EXPECT_EQ(printable("\xFF\xFE"), "\uFFFD\uFFFD");
  EXPECT_EQ(printable("a\0b"sv), "a\uFFFDb");
  EXPECT_EQ(printable("größe 日本"), "größe 日本");
}

TEST(InBackticks, CutsBetweenCharacters) {
  EXPECT_EQ(in_backticks("abc"), "`abc`");
  EXPECT_EQ(in_backticks(std::string(60, 'a')), "`" + std::string(60, 'a') + "`");
  EXPECT_EQ(in_backticks(std::string(61, 'a')), "`" + std::string(60, 'a') + "…`");
  std::string wide;
  for (int i = 0; i < 61; ++i) wide += "é";
  EXPECT_EQ(in_backticks(wide), "`" + wide.substr(0, 120) + "…`");
}

TEST(Trim, TakesBlanksOffBothEnds) {
  EXPECT_EQ(trim(" \ta b\t "), "a b");
  EXPECT_EQ(trim(" \t"), "");
  EXPECT_EQ(trim(""), "");
}

}  // namespace
}  // namespace weir::config
