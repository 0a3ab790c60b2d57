#include "control/machine_check.h"

#include <algorithm>
#include <utility>

#include "config/text.h"
#include "os/process.h"

namespace weir::control {
namespace {

using config::Diagnostic;

// What a process without privileges may use: weir gives its own up.
constexpr const char* kAllowed = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

Diagnostic not_allowed(const std::string& table, const std::string& name, const std::string& file,
                       const std::vector<std::string>& allowed) {
  std::string list;
  for (const std::string& each : allowed) list += (list.empty() ? "" : " ") + each;
  Diagnostic out;
  out.code = config::Code::unknown_value;
  out.file = file;
  out.message = table + " congestion: this machine does not allow " + config::in_backticks(name);
  out.help = "it allows: " + list +
             "\nif the kernel has it: sysctl net.ipv4.tcp_allowed_congestion_control=\"" + list +
             " " + name + "\"";
  return out;
}

}  // namespace

std::vector<Diagnostic> check_congestion(const config::Config& config, const std::string& file,
                                         std::string_view congestion_controls) {
  const std::vector<std::string> allowed = words_of(congestion_controls);
  std::vector<Diagnostic> found;
  const auto look = [&](const char* kind, const auto& each) {
    const bool known = std::ranges::find(allowed, each.congestion) != allowed.end();
    if (each.congestion.empty() || allowed.empty() || known) return;
    found.push_back(not_allowed(kind + each.name + "]", each.congestion, file, allowed));
  };
  for (const config::Listener& listener : config.listeners) look("[listener.", listener);
  for (const config::Backend& backend : config.backends) look("[backend.", backend);
  return found;
}

std::vector<Diagnostic> check_room(const config::Config& config, const std::string& file,
                                   const Room& room) {
  for (const config::Listener& listener : config.listeners) {
    auto most = connections_max(listener, config.listeners, room);
    if (most) continue;
    Diagnostic out;
    out.code = config::Code::doubtful;
    out.file = file;
    out.message = std::move(most.error());
    out.help = "weir run does not start so on this machine; one with a higher limit may be meant";
    return {std::move(out)};
  }
  return {};
}

std::vector<Diagnostic> check_machine(const config::Config& config, const std::string& file) {
  const auto asks = [](const auto& each) { return !each.congestion.empty(); };
  if (std::ranges::none_of(config.listeners, asks) && std::ranges::none_of(config.backends, asks)) {
    return {};
  }
  const Result<std::string, std::string> allowed = os::read_file(kAllowed);
  return check_congestion(config, file, allowed ? std::string_view(*allowed) : "");
}

}  // namespace weir::control
