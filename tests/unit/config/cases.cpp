// Reads the case files; cases.h describes their format.
#include "cases.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

namespace weir::config::test {
namespace {

// Cuts " +word" off the end of `line` and adds what it stands for to `tail`.
bool take_addition(std::string& line, const std::string& word, const std::string& text,
                   std::string& tail) {
  const std::size_t at = line.find(" +" + word);
  if (at == std::string::npos) return false;
  line.erase(at, word.size() + 2);
  tail += text;
  return true;
}

}  // namespace

std::vector<Case> read_cases(const std::string& file) {
  std::ifstream in(std::string(WEIR_TEST_VECTORS) + "/config/" + file);
  std::vector<Case> cases;
  std::string tail;
  bool in_text = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("=== ")) {
      line.erase(0, 4);
      tail.clear();
      take_addition(line, "listener", "[listener.web]\nbind = \"8080\"\n", tail);
      take_addition(line, "route", "[[route]]\nbackend = \"app\"\n", tail);
      take_addition(line, "backend", "[backend.app]\nservers = [\"9001\"]\n", tail);
      cases.push_back({line, "", {}});
      in_text = true;
    } else if (cases.empty()) {
      continue;
    } else if (in_text && line == "---") {
      cases.back().text += tail;
      in_text = false;
    } else if (in_text) {
      cases.back().text += line + "\n";
    } else {
      cases.back().expected.push_back(line);
    }
  }
  for (Case& one : cases) {
    if (!one.expected.empty() && one.expected.back().empty()) one.expected.pop_back();
  }
  return cases;
}

std::string read_file(const std::string& path) {
  std::ifstream in(std::string(WEIR_TEST_VECTORS) + "/../../" + path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Config must_load(const std::string& text) {
  auto loaded = load_text(text, "weir.toml");
  EXPECT_TRUE(loaded) << render_text(loaded ? loaded->warnings : loaded.error(), {}) << text;
  if (!loaded) return {};
  EXPECT_THAT(loaded->warnings, testing::IsEmpty()) << render_text(loaded->warnings, {}) << text;
  return loaded->config;
}

}  // namespace weir::config::test
