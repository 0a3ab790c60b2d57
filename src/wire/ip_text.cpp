#include "wire/ip_text.h"

#include <arpa/inet.h>

#include <cstring>

namespace weir::wire {
namespace {

std::optional<IpBytes> parse(int family, std::string_view text) {
  char buffer[kIpTextMax] = {};
  // inet_pton() would take what stands before an embedded zero for the whole.
  if (text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  text.copy(buffer, text.size());
  IpBytes ip{};
  if (inet_pton(family, buffer, ip.data()) != 1) return std::nullopt;
  return ip;
}

std::size_t write(int family, char* out, const IpBytes& ip) {
  return std::strlen(inet_ntop(family, ip.data(), out, kIpTextMax));
}

}  // namespace

std::optional<IpBytes> parse_ipv4(std::string_view text) { return parse(AF_INET, text); }
std::optional<IpBytes> parse_ipv6(std::string_view text) { return parse(AF_INET6, text); }

std::size_t write_ipv4(char* out, const IpBytes& ip) { return write(AF_INET, out, ip); }
std::size_t write_ipv6(char* out, const IpBytes& ip) { return write(AF_INET6, out, ip); }

}  // namespace weir::wire
