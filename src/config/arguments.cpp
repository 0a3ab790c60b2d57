#include "config/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "config/other_options.h"
#include "config/text.h"

namespace weir::config {
namespace {

constexpr OptionName kHelp = {"--help", 'h', false};

CLI::Option* add(CLI::App& app, const OptionName& option) {
  std::string names(option.name);
  if (option.short_name != 0) names += std::string(",-") + option.short_name;
  if (!option.takes_value) return app.add_flag(names)->disable_flag_override();
  return app.add_option(names)->expected(1)->take_all();
}

// The spellings of `option` among the arguments, as messages repeat them.
std::string spelling(std::span<const std::string> arguments, const OptionName& option) {
  const std::string name(option.name);
  const bool full = std::ranges::any_of(arguments, [&](const std::string& argument) {
    return argument == name || argument.starts_with(name + "=");
  });
  const bool brief = std::ranges::any_of(arguments, [&](const std::string& argument) {
    const bool dash = argument.starts_with('-') && !argument.starts_with("--");
    return dash && option.short_name != 0 && argument.find(option.short_name) != std::string::npos;
  });
  if (!brief) return name;
  return std::string{'-', option.short_name} + (full ? ", " + name : "");
}

Problem unknown_option(std::string_view given, std::span<const OptionName> options) {
  const std::string_view name = given.substr(0, given.find('='));
  if (auto elsewhere = option_of_another_form(name, options)) return std::move(*elsewhere);
  Problem problem = {"unknown option " + in_backticks(name), "see weir --help"};
  std::vector<std::string_view> known = {kHelp.name};
  for (const OptionName& option : options) known.push_back(option.name);
  if (const auto meant = closest(name, known))
    problem.fix = "did you mean " + in_backticks(*meant) + "?";
  for (const OptionName& option : options) {
    const bool other_case = name.size() == 2 && option.short_name != 0 &&
                            lower(name.substr(1)) == lower(std::string(1, option.short_name));
    if (other_case) problem.fix = std::string("did you mean `-") + option.short_name + "`?";
  }
  return problem;
}

// CLI11 says "--to: 1 required TEXT missing" or "json was given a disallowed flag override"; only
// the name in front is taken from it.
Problem refused(const CLI::Error& error, std::span<const std::string> arguments,
                std::span<const OptionName> options) {
  const std::string_view text = error.what();
  const std::string_view name = text.substr(0, text.find_first_of(": "));
  for (const OptionName& option : options) {
    if (option.name != name && option.name.substr(2) != name) continue;
    return {"option " + spelling(arguments, option) +
                (option.takes_value ? " needs a value" : " takes no value"),
            "see weir --help"};
  }
  return {"these arguments cannot be understood", "see weir --help"};
}

}  // namespace

Result<Arguments, Problem> Arguments::split(std::span<const std::string> arguments,
                                            std::span<const OptionName> options) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  Arguments out;
  try {
    std::vector<std::pair<OptionName, CLI::Option*>> known = {{kHelp, add(app, kHelp)}};
    for (const OptionName& option : options) known.emplace_back(option, add(app, option));
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    for (const auto& [option, parsed] : known) {
      if (parsed->count() == 0) continue;
      out.given_.push_back(
          {std::string(option.name), parsed->results(), spelling(arguments, option)});
    }
  } catch (const CLI::Error& error) {
    return Err(refused(error, arguments, options));
  }
  bool only_words = false;
  for (const std::string& rest : app.remaining()) {
    const bool number = rest.size() > 1 && rest[1] >= '0' && rest[1] <= '9';
    if (!only_words && rest == "--") {
      only_words = true;
    } else if (!only_words && rest.size() > 1 && rest.front() == '-' && !number) {
      return Err(unknown_option(rest, options));
    } else {
      out.words_.push_back(rest);
    }
  }
  return out;
}

std::span<const std::string> Arguments::all(std::string_view name) const {
  const auto found = std::ranges::find(given_, name, &Given::name);
  return found == given_.end() ? std::span<const std::string>{}
                               : std::span<const std::string>(found->values);
}

const std::string& Arguments::typed(std::string_view name) const {
  const auto found = std::ranges::find(given_, name, &Given::name);
  CHECK(found != given_.end(), "only a given option has a spelling");
  return found->typed;
}

}  // namespace weir::config
