// Text vectors: wire bytes and what must come of them. The format is described in
// tests/vectors/http/README.md.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weir::http::test {

struct Case {
  std::string name;
  std::string where;  // file:line
  std::string in;
  std::map<std::string, std::string, std::less<>> options;
  std::vector<std::string> expected;  // Lines of the transcript.
  std::string out;                    // Bytes a writer must produce.

  [[nodiscard]] bool has(std::string_view option) const { return options.contains(option); }
  [[nodiscard]] std::string option(std::string_view name, std::string_view otherwise = "") const;
  // The option's words, which commas separate.
  [[nodiscard]] std::vector<std::string> list(std::string_view name) const;
  [[nodiscard]] unsigned number(std::string_view name, unsigned otherwise) const;
};

// All cases of tests/vectors/http/<file>. Aborts when the file is missing or malformed.
[[nodiscard]] std::vector<Case> read_cases(std::string_view file);

// Bytes as the vectors write them.
[[nodiscard]] std::string escape(std::string_view bytes);

}  // namespace weir::http::test
