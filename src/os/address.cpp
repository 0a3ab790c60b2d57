#include "os/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

namespace weir::os {
namespace {

// Once per forwarded request, so not through inet_ntop(), which formats with printf.
std::string_view ipv4_text(const std::uint8_t* bytes, char* out) {
  char* at = out;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = std::to_chars(at, at + 3, unsigned{bytes[i]}).ptr;
  }
  return {out, static_cast<std::size_t>(at - out)};
}

}  // namespace

std::optional<Address> Address::ip(const std::string& literal, std::uint16_t port) {
  // inet_pton() would take what stands before an embedded zero for the whole.
  if (literal.find('\0') != std::string::npos) return std::nullopt;
  Address address;
  sockaddr_in v4{};
  if (inet_pton(AF_INET, literal.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(address.bytes.data(), &v4, sizeof v4);
    address.size = sizeof v4;
    return address;
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, literal.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(address.bytes.data(), &v6, sizeof v6);
    address.size = sizeof v6;
    return address;
  }
  return std::nullopt;
}

std::optional<Address> Address::unix_path(std::string_view path) {
  Address address;
  if (path.empty() || path.size() >= sizeof address.path.sun_path) return std::nullopt;
  if (path.find('\0') != std::string_view::npos) return std::nullopt;
  address.path.sun_family = AF_UNIX;
  std::memcpy(address.path.sun_path, path.data(), path.size());
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

std::string_view Peer::text(char* out) const {
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  switch (family) {
    case Family::none: return {};
    case Family::ipv4: return ipv4_text(ip.data(), out);
    case Family::ipv6: break;
  }
  if (std::memcmp(ip.data(), kMapped, sizeof kMapped) == 0) return ipv4_text(ip.data() + 12, out);
  const char* text = inet_ntop(AF_INET6, ip.data(), out, kTextMax);
  return text != nullptr ? std::string_view(text) : std::string_view();
}

}  // namespace weir::os
