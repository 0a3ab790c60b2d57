#include "http/host.h"

#include "http/number.h"
#include "http/scan.h"

namespace weir::http {
namespace {

constexpr std::size_t kIpv6Groups = 8;

// Size of the longest reg-name at the beginning, 0 when a percent sign is not followed by two
// hexadecimal digits.
std::size_t reg_name_size(const char* floor, std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while ((at = scan::find_end<scan::kRegName>(floor, at, end)) != end && *at == '%') {
    if (end - at < 3 || !scan::all(scan::kHex, {at + 1, 2})) return 0;
    at += 3;
  }
  return static_cast<std::size_t>(at - text.data());
}

// RFC 3986 3.2.2: four decimal octets without leading zeros.
bool is_ipv4(std::string_view text) {
  for (int octet = 0; octet < 4; ++octet) {
    const std::size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (octet == 3)) return false;
    const std::string_view digits = text.substr(0, dot);
    if (digits.size() > 3 || (digits.size() > 1 && digits[0] == '0')) return false;
    if (!parse_decimal(digits, 255)) return false;
    if (octet < 3) text.remove_prefix(dot + 1);
  }
  return true;
}

// Groups of 16 bits in "a:b:c" or "a:b:1.2.3.4"; nothing when malformed. Empty text has none.
std::optional<std::size_t> ipv6_groups(std::string_view text, bool ipv4_may_end) {
  if (text.empty()) return 0;
  std::size_t groups = 0;
  for (;;) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    const bool last = colon == std::string_view::npos;
    if (last && ipv4_may_end && is_ipv4(group)) return groups + 2;
    if (group.empty() || group.size() > 4 || !scan::all(scan::kHex, group)) return std::nullopt;
    ++groups;
    if (last) return groups;
    text.remove_prefix(colon + 1);
  }
}

bool is_ipv6(std::string_view text) {
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) return ipv6_groups(text, true) == kIpv6Groups;
  const auto before = ipv6_groups(text.substr(0, gap), false);
  const auto after = ipv6_groups(text.substr(gap + 2), true);
  return before && after && *before + *after < kIpv6Groups;
}

// Zone identifiers and IPvFuture are refused: no HTTP client sends them.
[[gnu::noinline]] std::size_t ip_literal_size(std::string_view text) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos || !is_ipv6(text.substr(1, close - 1))) return 0;
  return close + 1;
}

}  // namespace

std::optional<std::size_t> host_size(const char* floor, std::string_view authority) {
  const bool bracketed = authority.starts_with('[');
  const std::size_t size = bracketed ? ip_literal_size(authority) : reg_name_size(floor, authority);
  if (size == 0) return std::nullopt;
  const std::string_view rest = authority.substr(size);
  if (rest.empty()) return size;
  // RFC 3986 3.2.3: a port may be empty, which means the default one.
  const bool port = rest[0] == ':' && (rest.size() == 1 || parse_decimal(rest.substr(1), 65535));
  return port ? std::optional(size) : std::nullopt;
}

}  // namespace weir::http
