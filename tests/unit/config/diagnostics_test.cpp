#include "config/diagnostics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "cases.h"
#include "config/schema.h"

namespace weir::config {
namespace {

using testing::HasSubstr;
using testing::Not;

Diagnostic sample() {
  Diagnostic out;
  out.code = Code::unknown_key;
  out.message = "unknown key `maxcon` in [listener.web]";
  out.file = "/etc/weir/weir.toml";
  out.span = {4, 1, 6};
  out.source = "maxcon = 10";
  out.label = "did you mean `max_connections`?";
  out.help = "first\nsecond";
  return out;
}

TEST(Codes, AreUniqueAndFallOnTheirSide) {
  std::set<std::string> texts;
  for (Code code : all_codes()) {
    EXPECT_TRUE(texts.insert(code_text(code)).second) << code_text(code);
    EXPECT_EQ(severity_of(code) == Severity::error, code_text(code).starts_with('E'));
  }
  EXPECT_EQ(code_text(Code::unknown_key), "E012");
  EXPECT_EQ(code_text(Code::unreachable_route), "W001");
}

TEST(Codes, AreAllDocumented) {
  const std::string manual = test::read_file("docs/configuration.md");
  for (Code code : all_codes()) EXPECT_THAT(manual, HasSubstr("| " + code_text(code) + " |"));
}

// In a row of their table, in an example, or in the heading of a table of their own.
TEST(Keys, AreAllDocumented) {
  const std::string manual = test::read_file("docs/configuration.md");
  for (int kind = static_cast<int>(TableKind::runtime); kind <= static_cast<int>(TableKind::log);
       ++kind) {
    for (std::string_view key : schema_of(static_cast<TableKind>(kind)).keys) {
      const std::string name(key);
      EXPECT_THAT(manual, testing::AnyOf(HasSubstr("| `" + name + "` |"), HasSubstr(name + " = "),
                                         HasSubstr("." + name + "]")));
    }
  }
}

TEST(RenderText, LooksLikeRustc) {
  const std::vector<Diagnostic> found = {sample()};
  EXPECT_EQ(render_text(found, {.colour = false, .outcome = "configuration NOT applied"}),
            "error[E012]: unknown key `maxcon` in [listener.web]\n"
            "  --> /etc/weir/weir.toml:4:1\n"
            "   |\n"
            " 4 | maxcon = 10\n"
            "   | ^^^^^^ did you mean `max_connections`?\n"
            "   = help: first\n"
            "           second\n"
            "1 error, 0 warnings - configuration NOT applied\n");
}

TEST(RenderText, CountsInWords) {
  EXPECT_EQ(render_text({}, {}), "0 errors, 0 warnings\n");
  Diagnostic warning = sample();
  warning.code = Code::unused_backend;
  const std::vector<Diagnostic> found = {sample(), sample(), warning};
  EXPECT_THAT(render_text(found, {}), HasSubstr("\n2 errors, 1 warning\n"));
  EXPECT_THAT(render_text(found, {}), HasSubstr("warning[W002]"));
}

TEST(RenderText, IsColouredOnlyWhenAsked) {
  const std::vector<Diagnostic> found = {sample()};
  EXPECT_THAT(render_text(found, {}), Not(HasSubstr("\x1B")));
  EXPECT_THAT(render_text(found, {.colour = true, .outcome = ""}), HasSubstr("\x1B[1;31merror"));
}

TEST(RenderText, NeverDrivesTheTerminal) {
  Diagnostic hostile = sample();
  const std::string attack = "\x1B[2J\x07\xC2\x9B\xE2\x80\xAE\xFF";
  hostile.message = hostile.file = hostile.source = hostile.label = hostile.help = attack;
  const std::string text = render_text(std::vector{hostile}, {});
  for (const char* bad : {"\x1B", "\x07", "\xC2\x9B", "\xE2\x80\xAE", "\xFF"}) {
    EXPECT_THAT(text, Not(HasSubstr(bad)));
  }
}

TEST(RenderText, SurvivesSpansOutsideTheLine) {
  for (const Span& span : {Span{1, 500, 10}, Span{1, 0, 0}, Span{1, 1, 4'000'000'000},
                           Span{4'000'000'000, 4'000'000'000, 4'000'000'000}}) {
    Diagnostic odd = sample();
    odd.span = span;
    EXPECT_THAT(render_text(std::vector{odd}, {}), HasSubstr("^ did you mean"));
    odd.source_column = 300;
    EXPECT_THAT(render_text(std::vector{odd}, {}), HasSubstr("^ did you mean"));
  }
}

TEST(RenderJson, HasEveryFieldInOrder) {
  EXPECT_EQ(render_json({}), "[]\n");
  EXPECT_EQ(render_json(std::vector{sample()}), R"([
  {
    "severity": "error",
    "code": "E012",
    "message": "unknown key `maxcon` in [listener.web]",
    "file": "/etc/weir/weir.toml",
    "line": 4,
    "column": 1,
    "length": 6,
    "source": "maxcon = 10",
    "label": "did you mean `max_connections`?",
    "help": "first\nsecond"
  }
]
)");
}

TEST(RenderJson, IsJsonForAnyBytes) {
  Diagnostic odd = sample();
  odd.source = "\xFF\xFE \"quoted\" \x01\t";
  const auto parsed = nlohmann::json::parse(render_json(std::vector{odd}), nullptr, false);
  ASSERT_FALSE(parsed.is_discarded());
  EXPECT_EQ(parsed[0]["source"], "\uFFFD\uFFFD \"quoted\" \x01\t");
}

// A terminal acts on some characters above ASCII as well.
TEST(RenderJson, HasNothingATerminalActsOn) {
  Diagnostic odd = sample();
  odd.source =
      "\x7F \xC2\x9B"
      "2J \u202E \x1B[2J";
  const std::string text = render_json(std::vector{odd});
  for (const char byte : text) EXPECT_TRUE(byte == '\n' || (byte >= ' ' && byte < 0x7F)) << text;
}

TEST(UnreadableFile, NamesTheFile) {
  const auto found = unreadable_file("weir.toml", "cannot read weir.toml: it is a directory");
  EXPECT_EQ(render_text(std::vector{found}, {}),
            "error[E001]: cannot read weir.toml: it is a directory\n"
            "  --> weir.toml\n"
            "1 error, 0 warnings\n");
}

}  // namespace
}  // namespace weir::config
