// Options of one form of the command line that are given to another, or that only a file has.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "config/arguments.h"
#include "config/problem.h"

namespace weir::config {

// What to say of the option `name`, with its dashes, to a form that has only `options`; nothing
// when no form has it.
[[nodiscard]] std::optional<Problem> option_of_another_form(std::string_view name,
                                                            std::span<const OptionName> options);

}  // namespace weir::config
