// The text vectors of the configuration: named cases of a file's text and what is said about it.
//
// "=== name +listener +backend" starts a case, "---" its expectation, which ends before the empty
// line that precedes the next case. The words with + add the rest of a working configuration.
#pragma once

#include <string>
#include <vector>

#include "config/load.h"

namespace weir::config::test {

struct Case {
  std::string name;
  std::string text;
  std::vector<std::string> expected;  // Lines.
};

[[nodiscard]] std::vector<Case> read_cases(const std::string& file);

// The configuration in `text`, which has to be free of errors and of warnings.
Config must_load(const std::string& text);

// The whole of a file below the repository's root.
[[nodiscard]] std::string read_file(const std::string& path);

}  // namespace weir::config::test
