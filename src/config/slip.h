// Slip: what one TOML syntax error most likely means.
//
// The library says where it gave up and what it expected; the line itself shows what was meant.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "config/diagnostics.h"

namespace weir::config {

// One explained syntax error. `from` and `to` are bytes of the line; with a `patch` in their
// place the rest of the file can be read.
struct Slip {
  Code code = Code::syntax;
  std::size_t from = 0;
  std::size_t to = 0;
  std::string message;
  std::string label;
  std::string help = {};
  std::optional<std::string> patch = std::nullopt;
  bool marks_brace = false;  // The `}` that ends a block of another program's file.
};

// Where the library stopped: its line, the byte in it, and its words.
struct Place {
  std::string_view line;
  std::size_t at = 0;
  std::string_view reason;

  [[nodiscard]] bool says(std::string_view fragment) const {
    return reason.find(fragment) != std::string_view::npos;
  }
  [[nodiscard]] char here() const { return at < line.size() ? line[at] : '\n'; }
  [[nodiscard]] std::size_t first() const {
    return std::min(line.find_first_not_of(" \t"), line.size());
  }
};

// Which slip it is. Always has a message; a patch only where the rest of the file keeps its
// meaning.
[[nodiscard]] Slip explain(const Place& place);

// Code points in `text`.
[[nodiscard]] std::size_t characters(std::string_view text);

}  // namespace weir::config
