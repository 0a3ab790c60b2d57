// tests/vectors/config: every finding of every file, and whole renderings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "cases.h"
#include "config/load.h"

namespace weir::config {
namespace {

std::vector<Diagnostic> findings(const std::string& text) {
  auto loaded = load_text(text, "weir.toml");
  return loaded ? loaded->warnings : loaded.error();
}

// "E012 3:1 6 did you mean": the last part is any piece of what is said.
void expect_finding(const Diagnostic& found, const std::string& expected) {
  std::istringstream in(expected);
  std::string code;
  std::string said;
  Span span;
  char colon = 0;
  in >> code >> span.line >> colon >> span.column >> span.length >> std::ws;
  std::getline(in, said);
  EXPECT_EQ(code_text(found.code), code);
  EXPECT_EQ(found.span, span) << found.span.line << ":" << found.span.column << " "
                              << found.span.length;
  const std::string all = found.message + "\n" + found.label + "\n" + found.help;
  EXPECT_THAT(all, testing::HasSubstr(said));
}

// findings.txt has the file as a whole and its older tables, the others the rest.
std::vector<test::Case> all_cases() {
  std::vector<test::Case> cases;
  for (const char* file : {"findings.txt", "policies.txt", "tcp.txt"}) {
    for (test::Case& one : test::read_cases(file)) cases.push_back(std::move(one));
  }
  return cases;
}

TEST(ConfigVectors, EveryFindingInOrder) {
  const auto cases = all_cases();
  ASSERT_GE(cases.size(), 185u);
  for (const test::Case& one : cases) {
    SCOPED_TRACE(one.name);
    const auto found = findings(one.text);
    EXPECT_EQ(found.size(), one.expected.size()) << render_text(found, {}) << "in\n" << one.text;
    for (std::size_t i = 0; i < std::min(found.size(), one.expected.size()); ++i) {
      SCOPED_TRACE(one.expected[i]);
      expect_finding(found[i], one.expected[i]);
    }
  }
}

TEST(ConfigVectors, EveryCodeOfTheLoaderHasACase) {
  std::set<std::string> seen;
  for (const test::Case& one : all_cases()) {
    for (const std::string& expected : one.expected) seen.insert(expected.substr(0, 4));
  }
  for (Code code : all_codes()) {
    // These three need bytes that a text file of cases cannot hold; load_test has them.
    if (code == Code::unreadable_file || code == Code::not_text || code == Code::too_many) continue;
    EXPECT_TRUE(seen.contains(code_text(code))) << code_text(code);
  }
}

TEST(ConfigVectors, NoFindingStandsWithoutAdvice) {
  for (const test::Case& one : all_cases()) {
    for (const Diagnostic& found : findings(one.text)) {
      if (found.message.find("nested too deeply") != std::string::npos) continue;
      EXPECT_FALSE(found.label.empty() && found.help.empty()) << one.name << ": " << found.message;
    }
  }
}

TEST(ConfigVectors, WholeRenderings) {
  const auto cases = test::read_cases("renderings.txt");
  ASSERT_GE(cases.size(), 8u);
  for (const test::Case& one : cases) {
    std::string expected;
    for (const std::string& line : one.expected) expected += line + "\n";
    EXPECT_EQ(render_text(findings(one.text), {}), expected) << one.name;
  }
}

}  // namespace
}  // namespace weir::config
