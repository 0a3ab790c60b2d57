// Names that one table of the file uses and another declares.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/draft.h"
#include "config/table_reader.h"

namespace weir::config {

// Reads a name that has to be among `names`; an unknown one gets a suggestion. `kind` is the
// table's: "backend". Keeps a reference to `names`.
[[nodiscard]] TableReader::Parse one_of(std::string_view kind, const Names& names);

// The names in the list `key`, each once.
[[nodiscard]] std::vector<std::string> read_references(const TableReader& table,
                                                       std::string_view key, std::string_view kind,
                                                       const Names& names);

}  // namespace weir::config
