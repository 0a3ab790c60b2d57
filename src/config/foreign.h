// Words of other proxies' configurations, and weir's own for the same thing.
#pragma once

#include <optional>
#include <string_view>

namespace weir::config {

struct ForeignWord {
  std::string_view word;
  // The key of ours with the same meaning, or empty when a whole line is needed.
  std::string_view key;
  // What to write, as a line of the file.
  std::string_view write;
};

// For a key or the first word of a directive, in any case. `tcp`: of a TCP listener.
[[nodiscard]] std::optional<ForeignWord> foreign_word(std::string_view word, bool tcp = false);

// "upstream" -> "[backend.NAME]"; for the first part of a table's name.
[[nodiscard]] std::optional<std::string_view> foreign_table(std::string_view word);

}  // namespace weir::config
