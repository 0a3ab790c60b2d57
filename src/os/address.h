// Socket addresses as the kernel takes them, and the compact form a connection keeps of its peer.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::os {

// The address to listen on or to connect to.
struct Address {
  union {
    sockaddr any;
    sockaddr_un path;  // The largest of the three families.
    std::array<std::byte, sizeof(sockaddr_un)> bytes;
  };
  socklen_t size = 0;

  Address() : bytes{} {}

  // `literal`: an IPv4 or IPv6 address without brackets; empty when it is neither.
  static std::optional<Address> ip(const std::string& literal, std::uint16_t port);
  // `path`: 1 to 107 bytes without a zero among them; empty otherwise.
  static std::optional<Address> unix_path(std::string_view path);

  [[nodiscard]] bool is_unix() const { return any.sa_family == AF_UNIX; }
  [[nodiscard]] bool is_ipv6() const { return any.sa_family == AF_INET6; }
};

// Who is at the other end. IPv4 lives in the first four bytes.
struct Peer {
  enum class Family : std::uint8_t {
    none,  // A unix socket: the peer has no address.
    ipv4,
    ipv6,
  };
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;
  Family family = Family::none;

  static constexpr std::size_t kTextMax = 46;
  // Writes the address without port or brackets to `out` (kTextMax bytes); "" without an address.
  // An IPv4-mapped IPv6 address is written as IPv4: it is one client, whatever socket took it.
  [[nodiscard]] std::string_view text(char* out) const;
};

}  // namespace weir::os
