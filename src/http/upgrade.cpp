#include "http/upgrade.h"

#include <algorithm>

#include "http/list.h"
#include "http/scan.h"

namespace weir::http {
namespace {

constexpr std::string_view kSeparator = ", ";

// In a tunnel of HTTP/2 the requests would reach the server past every rule weir has for them.
// RFC 9113 3.1 has given up this switch.
bool is_http(std::string_view name) {
  return scan::equals_lower(name, "h2c") || scan::equals_lower(name, "h2") ||
         scan::equals_lower(name, "http");
}

// RFC 9110 7.8: protocol = name ["/" version], both tokens. A name that equals an allowed one is a
// token already.
bool is_allowed(std::string_view protocol, std::span<const std::string> allowed) {
  const std::size_t slash = std::min(protocol.find('/'), protocol.size());
  const std::string_view name = protocol.substr(0, slash);
  const std::string_view version = protocol.substr(std::min(slash + 1, protocol.size()));
  const bool versioned = slash != protocol.size();
  if (is_http(name) || versioned != !version.empty()) return false;
  if (!scan::all(scan::kToken, version)) return false;
  return std::ranges::any_of(allowed, [&](std::string_view entry) {
    return scan::equals_lower(name, entry) || scan::equals_lower(protocol, entry);
  });
}

}  // namespace

void UpgradeOffer::add(std::string_view protocol) {
  const std::string_view separator = empty() ? std::string_view() : kSeparator;
  if (protocol.size() > kBytesMax || has_element(text(), protocol)) return;
  if (size_ + separator.size() + protocol.size() > kBytesMax) return;
  char* const at = std::ranges::copy(separator, text_.data() + size_).out;
  size_ = static_cast<std::uint8_t>(std::ranges::copy(protocol, at).out - text_.data());
}

UpgradeOffer choose_upgrades(const HeadParser& head, const RequestInfo& info,
                             std::span<const std::string> allowed) {
  UpgradeOffer offer;
  if (!info.offers_upgrade || allowed.empty()) return offer;
  for (const Field& field : head.fields()) {
    if (field.id != FieldId::upgrade) continue;
    std::string_view rest = head.value(field);
    do {
      const std::string_view protocol = next_element(rest);
      if (is_allowed(protocol, allowed)) offer.add(protocol);
    } while (rest.data() != nullptr);
  }
  return offer;
}

}  // namespace weir::http
