// What a TOML syntax error most likely means, and how to read on behind it.
//
// The library stops at the first error and speaks of parsing; an operator forgot two quotes. Each
// usual slip is recognised, explained and patched out of a copy of the text, so that one run
// reports them all.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/document.h"
#include "config/report.h"

namespace weir::config {

// The bytes a TOML text must not have: NUL and broken UTF-8 (TOML 1.0, Spec). Reports and
// returns false.
[[nodiscard]] bool check_bytes(std::string_view text, Report& report);

// The tree of `text`. Syntax errors are reported; nothing is returned when one of them leaves the
// meaning of the lines behind it open.
[[nodiscard]] std::optional<Value> read_document(std::string_view text, Report& report);

}  // namespace weir::config
