#include "config/references.h"

#include "config/text.h"

namespace weir::config {
namespace {

// Names to look through for a suggestion; more would make a large file slow to refuse.
constexpr std::size_t kCandidatesMax = 2000;

Problem unknown_reference(std::string_view kind, std::string_view text, const Names& names) {
  std::vector<std::string_view> known;
  for (const auto& [name, span] : names) {
    if (known.size() == kCandidatesMax) break;
    known.push_back(name);
  }
  Problem problem = {"there is no " + std::string(kind) + " " + in_backticks(text), {}};
  if (const auto meant = closest(text, known)) {
    problem.fix = "did you mean " + in_backticks(*meant) + "?";
  } else if (known.empty() || known.size() > 8) {
    const std::string_view name = is_name(text) ? text : "NAME";
    problem.fix = "add a table [" + std::string(kind) + "." + std::string(name) + "]";
  } else {
    problem.fix = "known are " + joined(known);
  }
  return problem;
}

}  // namespace

TableReader::Parse one_of(std::string_view kind, const Names& names) {
  return [kind, &names](std::string_view text) -> Result<std::string, Problem> {
    if (!names.contains(text)) return Err(unknown_reference(kind, text, names));
    return std::string(text);
  };
}

std::vector<std::string> read_references(const TableReader& table, std::string_view key,
                                         std::string_view kind, const Names& names) {
  return table.parsed_list(key, Code::unknown_reference, one_of(kind, names));
}

}  // namespace weir::config
