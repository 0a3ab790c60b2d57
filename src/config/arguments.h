// Arguments: one form's options, split by CLI11, every value still text.
//
// The only seam to CLI11: arguments.cpp is the one file that includes it. What a value means, and
// what to say when it is wrong, is decided by command_line.cpp.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/problem.h"

namespace weir::config {

struct OptionName {
  std::string_view name;    // "--workers"
  char short_name = 0;      // 'N', or 0
  bool takes_value = true;  // Else a flag.
};

class Arguments {
 public:
  // Every form takes --help and -h beside `options`.
  [[nodiscard]] static Result<Arguments, Problem> split(std::span<const std::string> arguments,
                                                        std::span<const OptionName> options);

  // What is no option, in order.
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }
  [[nodiscard]] bool has(std::string_view name) const { return !all(name).empty(); }
  // Every value given to an option, in order; a flag has one value per use.
  [[nodiscard]] std::span<const std::string> all(std::string_view name) const;
  // How a given option was typed: "-N", "--workers", or "-N, --workers" when both were.
  [[nodiscard]] const std::string& typed(std::string_view name) const;

 private:
  struct Given {
    std::string name;
    std::vector<std::string> values;
    std::string typed;
  };
  std::vector<Given> given_;
  std::vector<std::string> words_;
};

}  // namespace weir::config
