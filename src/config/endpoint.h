// Addresses as people write them -> config::Endpoint and config::Network.
//
// Literals only, names are server_address.h's; no system call is made. Every result is canonical,
// so two spellings of one address compare equal ("[::1]:80" and "[0:0:0:0:0:0:0:1]:80",
// "localhost:80" and "127.0.0.1:80", "[::ffff:127.0.0.1]:80" and "127.0.0.1:80").
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "config/config.h"
#include "config/problem.h"

namespace weir::config {

// What an address is for decides what a bare port means and what is refused.
enum class Use : std::uint8_t {
  listen,  // "8080", ":8080", "*:8080" are every IPv4 address.
  server,  // "8080" and ":8080" are 127.0.0.1; "http://" in front is accepted; no wildcard.
  admin,   // "8080" is 127.0.0.1; ":8080" and "*:8080" are every IPv4 address.
};

// Forms: PORT, :PORT, *:PORT, IPV4:PORT, [IPV6]:PORT, localhost:PORT (RFC 6761 6.3),
// unix:/absolute/path (at most 107 bytes, what sockaddr_un holds).
[[nodiscard]] Result<Endpoint, Problem> parse_endpoint(std::string_view text, Use use);

// A server's address without "http://" and a final slash; the port is then 80 unless given.
[[nodiscard]] Result<std::string, Problem> without_scheme(std::string_view text, Use use);

// "8080" -> 8080, 1..65535.
[[nodiscard]] Result<std::uint16_t, Problem> parse_port(std::string_view text);

// An IPv4 or IPv6 literal without a port, brackets optional, to listen on: "0.0.0.0", "::1", "*".
[[nodiscard]] Result<Endpoint, Problem> parse_bind_ip(std::string_view text, std::uint16_t port);

// "10.0.0.0/8", "fd00::/8", or one address. Bits behind the prefix must be zero.
[[nodiscard]] Result<Network, Problem> parse_network(std::string_view text);

// True when two sockets listening on these addresses would compete for a connection. A wildcard
// covers its own family only: [::] listens with IPV6_V6ONLY.
[[nodiscard]] bool overlaps(const Endpoint& a, const Endpoint& b);

// True when connecting to `server` reaches a socket that listens on `listen`.
[[nodiscard]] bool reaches(const Endpoint& server, const Endpoint& listen);

}  // namespace weir::config
