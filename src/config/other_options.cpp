#include "config/other_options.h"

#include <algorithm>
#include <array>
#include <string>

#include "config/text.h"

namespace weir::config {
namespace {

struct Known {
  std::string_view name;
  char short_name;
  std::string_view form;  // Empty when none has it.
  // What does the same where a file is read, and where none is.
  std::string_view with_file;
  std::string_view without_file;
};

constexpr std::string_view kClassic = "weir PORT SERVER...";
constexpr std::string_view kProxy = "weir proxy";
constexpr std::string_view kWithoutFile = "the forms without a file";
constexpr std::string_view kWriteProxy = "write weir proxy --from ADDRESS --to ADDRESS";
constexpr std::string_view kWriteRun = "write weir run -c FILE or weir validate -c FILE";
constexpr std::string_view kWriteValidate = "write weir validate -c FILE";

constexpr auto kKnown = std::to_array<Known>({
    {"--requests", 'R', kClassic, "in the file it is every_requests in [backend.NAME.health]",
     "for weir run -c FILE it is every_requests in [backend.NAME.health]"},
    {"--bind", 0, kClassic, "in the file it is bind in [listener.NAME]",
     "weir proxy has --from ADDRESS for it"},
    {"--server-limit", 0, kClassic, "in the file it is server_limit in [backend.NAME]",
     "for weir run -c FILE it is server_limit in [backend.NAME]"},
    {"--mode", 0, kProxy, "in the file it is mode in [listener.NAME]",
     "write weir proxy --mode tcp --from ADDRESS --to ADDRESS"},
    {"--from", 0, kProxy, "in the file it is bind in [listener.NAME]", kWriteProxy},
    {"--to", 0, kProxy, "in the file it is servers in [backend.NAME]", kWriteProxy},
    {"--port", 0, "weir demo", "in the file it is bind in [listener.NAME]",
     "write the port without --port, or weir proxy --from :PORT"},
    {"--workers", 'N', kWithoutFile, "in the file it is workers in [runtime]", {}},
    {"--balance", 0, kWithoutFile, "in the file it is balance in [backend.NAME]", {}},
    {"--access-log", 0, kWithoutFile, "in the file it is access in [log]", {}},
    {"--admin", 0, kWithoutFile, "in the file it is bind in [admin]", {}},
    {"--trigger", 0, kWithoutFile, "in the file it is trigger in [runtime]", {}},
    {"--config", 'c', "weir run and weir validate", {}, kWriteRun},
    {"--json", 0, "weir validate", kWriteValidate, kWriteValidate},
    {"--strict", 0, "weir validate", kWriteValidate, kWriteValidate},
    {"--accept-proxy", 0, {}, "accept_proxy = [\"10.0.0.0/8\"] in [listener.NAME]", {}},
    {"--send-proxy", 0, {}, "send_proxy = 1 in [backend.NAME]", {}},
    {"--send-proxy-v2", 0, {}, "send_proxy = 2 in [backend.NAME]", {}},
    {"--sni", 0, {}, "sni = [\"shop.example.com\"] in [[route]]", {}},
});

}  // namespace

std::optional<Problem> option_of_another_form(std::string_view name,
                                              std::span<const OptionName> options) {
  const bool brief = !name.starts_with("--") && name.size() >= 2;
  const auto* const known = std::ranges::find_if(kKnown, [&](const Known& each) {
    return each.name == name || (brief && each.short_name == name[1]);
  });
  if (known == kKnown.end()) return std::nullopt;
  const std::string given = in_backticks(brief ? name.substr(0, 2) : name);
  if (known->form.empty()) {
    return Problem{"there is no option " + given + "; it needs a configuration file",
                   "write " + std::string(known->with_file) + ", and weir run -c FILE"};
  }
  const bool reads_file =
      std::ranges::find(options, "--config", &OptionName::name) != options.end();
  return Problem{given + " is an option of " + std::string(known->form),
                 std::string(reads_file ? known->with_file : known->without_file)};
}

}  // namespace weir::config
