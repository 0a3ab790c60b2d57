// Which keys each table of the file has: the one list behind "unknown key" and its suggestions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "config/document.h"
#include "config/report.h"

namespace weir::config {

enum class TableKind : std::uint8_t {
  root,
  runtime,
  listener,
  route,
  backend,
  server,
  route_backend,
  mirror,
  health,
  ejection,
  retry,
  queue,
  sticky,
  limit,
  admin,
  log,
};

struct TableSchema {
  std::string_view title;  // "[listener.NAME]"
  std::span<const std::string_view> keys;
};

[[nodiscard]] const TableSchema& schema_of(TableKind kind);

// True when the unknown key `word` was probably meant to be `key`, misspelt or in the words of
// another program.
[[nodiscard]] bool stands_for(std::string_view word, std::string_view key);

// Reports every member of `table` the schema does not know. `title` is the table as the file has
// it: "[listener.web]".
void check_keys(const Value& table, TableKind kind, std::string_view title, Report& report);

}  // namespace weir::config
