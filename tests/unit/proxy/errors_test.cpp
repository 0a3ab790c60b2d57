#include "proxy/errors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

namespace weir::proxy {
namespace {

std::string read_page() {
  std::ifstream file(WEIR_SOURCE_DIR "/docs/errors.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Errors, TheListIsClosedAndEveryWordIsItsOwn) {
  std::set<std::string_view> words;
  std::size_t empty = 0;
  for (std::size_t index = 0; index < kErrorWordCount; ++index) {
    const std::string_view word = error_word(index);
    if (word.empty()) {
      ++empty;
      continue;
    }
    EXPECT_TRUE(words.insert(word).second) << word << " stands for two things";
    EXPECT_LE(word.size(), 64u);
    EXPECT_TRUE(std::all_of(word.begin(), word.end(), [](char byte) {
      return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_';
    })) << word;
  }
  EXPECT_EQ(empty, 2u) << "the two `none`";
  EXPECT_EQ(words.size(), kErrorWordCount - 2);
}

TEST(Errors, EveryWordIsExplained) {
  const std::string page = read_page();
  ASSERT_FALSE(page.empty());
  for (std::size_t index = 0; index < kErrorWordCount; ++index) {
    const std::string_view word = error_word(index);
    if (word.empty()) continue;
    EXPECT_NE(page.find("| `" + std::string(word) + "` |"), std::string::npos)
        << "docs/errors.md has no row for " << word;
  }
}

TEST(Errors, RefusalsAgreeWithTheList) {
  for (std::size_t i = 1; i < kProxyErrorCount; ++i) {
    const Refusal cause = refusal(static_cast<ProxyError>(i));
    EXPECT_EQ(error_word(cause.index), cause.word);
    EXPECT_TRUE(cause.status == 0 || (cause.status >= 400 && cause.status < 600)) << cause.word;
    EXPECT_FALSE(cause.text.empty());
    EXPECT_LE(cause.text.size(), 200u) << "more than an error page takes";
    EXPECT_EQ(cause.retry_after_s, 0u);
  }
  for (std::size_t i = 1; i < http::kParseErrorCount; ++i) {
    const Refusal cause = refusal(static_cast<http::ParseError>(i));
    EXPECT_EQ(error_word(cause.index), cause.word);
    EXPECT_GE(cause.status, 400u) << cause.word;
    EXPECT_LT(cause.status, 600u) << cause.word;
  }
}

// The page's status column is what a client gets.
TEST(Errors, ThePageTellsTheStatusOfEveryWord) {
  const std::string page = read_page();
  for (std::size_t i = 1; i < kProxyErrorCount; ++i) {
    const Refusal cause = refusal(static_cast<ProxyError>(i));
    const std::string row = "| `" + std::string(cause.word) + "` | " +
                            (cause.status == 0 ? "none" : std::to_string(cause.status)) + " |";
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
}

TEST(ErrorsDeathTest, ThereIsNoWordBeyondTheList) {
  EXPECT_DEATH((void)error_word(kErrorWordCount), "CHECK failed");
}

}  // namespace
}  // namespace weir::proxy
