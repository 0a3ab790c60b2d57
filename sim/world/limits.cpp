#include "sim/world/limits.h"

#include <algorithm>

#include "sim/world/identity.h"

namespace weir::sim {
namespace {

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    parts.push_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text.empty() ? "none" : text;
}

std::string join(const std::vector<std::uint32_t>& numbers) {
  std::vector<std::string> parts;
  for (const std::uint32_t number : numbers) parts.push_back(std::to_string(number));
  return join(parts);
}

}  // namespace

bool Limits::client_comes(std::uint32_t number) const {
  return !clients || std::find(clients->begin(), clients->end(), number) != clients->end();
}

bool Limits::relay_comes(std::uint32_t number) const {
  return !relays || std::find(relays->begin(), relays->end(), number) != relays->end();
}

std::string Limits::arguments() const {
  std::string text;
  if (clients) text += " --clients " + join(*clients);
  if (relays) text += " --relays " + join(*relays);
  if (requests_max != UINT32_MAX) text += " --requests " + std::to_string(requests_max);
  if (servers_max != UINT32_MAX) text += " --servers " + std::to_string(servers_max);
  if (workers) text += " --workers " + std::to_string(*workers);
  if (faults != all_faults()) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < kFaultCount; ++i) {
      if (faults[i]) parts.emplace_back(to_string(static_cast<Fault>(i)));
    }
    text += " --only-faults " + join(parts);
  }
  if (!events) text += " --no-events";
  if (steps) text += " --steps " + std::to_string(*steps);
  return text;
}

std::optional<std::vector<std::uint32_t>> numbers_from_text(std::string_view text) {
  std::vector<std::uint32_t> numbers;
  if (text == "none") return numbers;
  for (const std::string_view part : split(text)) {
    const auto number = number_from_text(part);
    if (!number || *number > UINT32_MAX) return std::nullopt;
    numbers.push_back(static_cast<std::uint32_t>(*number));
  }
  return numbers;
}

std::optional<std::array<bool, kFaultCount>> faults_from_text(std::string_view text) {
  std::array<bool, kFaultCount> kept{};
  if (text == "none") return kept;
  for (const std::string_view part : split(text)) {
    bool known = false;
    for (std::size_t i = 0; i < kFaultCount; ++i) {
      if (to_string(static_cast<Fault>(i)) != part) continue;
      kept[i] = known = true;
    }
    if (!known) return std::nullopt;
  }
  return kept;
}

}  // namespace weir::sim
