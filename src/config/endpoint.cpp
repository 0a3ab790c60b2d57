#include "config/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "config/text.h"

namespace weir::config {
namespace {

// sockaddr_un::sun_path holds 108 bytes, one of them for the terminating zero.
constexpr std::size_t kUnixPathMax = 107;
constexpr std::string_view kAnyIpv4 = "0.0.0.0";
constexpr std::string_view kAnyIpv6 = "::";

// An IP literal as bytes; IPv4 in the first four.
struct Literal {
  std::array<std::uint8_t, 16> bytes{};
  bool ipv6 = false;
};

// inet_pton is strict (four decimal parts, no leading zeros) and works on text alone.
std::optional<Literal> parse_literal(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.empty() || text.size() >= buffer.size()) return std::nullopt;
  std::ranges::copy(text, buffer.begin());
  Literal literal;
  if (inet_pton(AF_INET, buffer.data(), literal.bytes.data()) == 1) return literal;
  if (inet_pton(AF_INET6, buffer.data(), literal.bytes.data()) != 1) return std::nullopt;
  literal.ipv6 = true;
  return literal;
}

// RFC 4291 2.5.5.2: ::ffff:a.b.c.d names the IPv4 node a.b.c.d.
bool is_mapped_ipv4(const Literal& literal) {
  constexpr std::array<std::uint8_t, 12> kPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  return literal.ipv6 && std::equal(kPrefix.begin(), kPrefix.end(), literal.bytes.begin());
}

Literal unmapped(const Literal& literal) {
  if (!is_mapped_ipv4(literal)) return literal;
  Literal plain;
  std::copy_n(literal.bytes.begin() + 12, 4, plain.bytes.begin());
  return plain;
}

std::string canonical(const Literal& literal) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  inet_ntop(literal.ipv6 ? AF_INET6 : AF_INET, literal.bytes.data(), buffer.data(), buffer.size());
  return buffer.data();
}

bool is_multicast(const Literal& literal) {
  return literal.ipv6 ? literal.bytes[0] == 0xFF : literal.bytes[0] >= 224;
}

bool is_wildcard(const Endpoint& endpoint) {
  return endpoint.host == kAnyIpv4 || endpoint.host == kAnyIpv6;
}

bool is_loopback(const Endpoint& endpoint) {
  return endpoint.family == Endpoint::Family::ipv4 ? endpoint.host.starts_with("127.")
                                                   : endpoint.host == "::1";
}

Endpoint ip_endpoint(const Literal& literal, std::uint16_t port) {
  const auto family = literal.ipv6 ? Endpoint::Family::ipv6 : Endpoint::Family::ipv4;
  return {family, canonical(literal), port};
}

// The last step of every IP form: is this an address one can use so?
Result<Endpoint, Problem> checked(const Literal& literal, std::uint16_t port, Use use) {
  Endpoint endpoint = ip_endpoint(unmapped(literal), port);
  if (is_multicast(unmapped(literal))) {
    return Err(Problem{endpoint.host + " is a multicast or broadcast address",
                       "give the address of one machine"});
  }
  if (use == Use::server && is_wildcard(endpoint)) {
    endpoint.host = endpoint.family == Endpoint::Family::ipv4 ? "127.0.0.1" : "::1";
    return Err(Problem{"a server cannot be reached at a wildcard address",
                       "write " + endpoint.text() + " for this machine"});
  }
  return endpoint;
}

Result<Endpoint, Problem> parse_unix(std::string_view text) {
  std::string_view path = text.substr(5);
  if (path.empty()) return Err(Problem{"the socket path is empty", "write unix:/path/to/socket"});
  if (path.front() == '@') {
    return Err(Problem{"abstract sockets are not supported", "write unix:/path/to/socket"});
  }
  if (path.front() != '/') {
    return Err(Problem{"the socket path " + in_backticks(path) + " is not absolute",
                       "write unix:/path/to/socket"});
  }
  // Repeated slashes name the same file; one spelling lets duplicates be seen.
  std::string clean;
  for (char c : path) {
    if (c != '/' || clean.empty() || clean.back() != '/') clean.push_back(c);
  }
  if (clean.back() == '/') {
    return Err(Problem{"the socket path " + in_backticks(path) + " names a directory",
                       "write unix:/path/to/socket"});
  }
  if (clean.size() > kUnixPathMax) {
    return Err(Problem{"the socket path has " + std::to_string(clean.size()) + " bytes",
                       "sockets take at most 107; use a shorter path"});
  }
  return Endpoint{Endpoint::Family::unix_path, std::move(clean), 0};
}

// A host that is no literal: say which kind of mistake it is.
Problem bad_host(std::string_view host) {
  if (host.find_first_not_of("0123456789.") == std::string_view::npos) {
    return {in_backticks(host) + " is not an IPv4 address", "write four numbers from 0 to 255"};
  }
  if (host.find_first_not_of("0123456789abcdefABCDEFxX.-_ghijklmnopqrstuvwyzGHIJKLMNOPQRSTUVWYZ") !=
      std::string_view::npos) {
    return {in_backticks(host) + " is not an address", "write for example 127.0.0.1:8080"};
  }
  return {in_backticks(host) + " is a name; only servers may have one", "give an IP address"};
}

Result<Endpoint, Problem> parse_host_port(std::string_view host, std::string_view port_text,
                                          Use use) {
  const auto port = parse_port(port_text);
  if (!port) return Err(port.error());
  const bool any = host == "*" || (host.empty() && use != Use::server);
  if (any) return checked(Literal{}, *port, use);
  // RFC 6761 6.3: localhost is always the loopback address.
  const bool local = host.empty() || lower(host) == "localhost";
  const auto literal = parse_literal(local ? "127.0.0.1" : host);
  if (!literal) return Err(bad_host(host));
  return checked(*literal, *port, use);
}

Result<Endpoint, Problem> parse_bracketed(std::string_view text, Use use) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) {
    return Err(
        Problem{in_backticks(text) + " has no closing bracket", "write for example [::1]:8080"});
  }
  const std::string_view host = text.substr(1, close - 1);
  const std::string_view rest = text.substr(close + 1);
  if (host.find('%') != std::string_view::npos) {
    return Err(
        Problem{"interface names in addresses are not supported",
                "write the address without %" + std::string(host.substr(host.find('%') + 1))});
  }
  const auto literal = parse_literal(host);
  if (!literal) {
    return Err(
        Problem{in_backticks(host) + " is not an IPv6 address", "write for example [::1]:8080"});
  }
  if (!literal->ipv6) {
    return Err(Problem{"brackets are for IPv6 addresses only",
                       "write " + std::string(host) + std::string(rest)});
  }
  if (rest.empty()) {
    return Err(Problem{"the port is missing", "write " + std::string(text) + ":8080"});
  }
  if (rest.front() != ':') {
    return Err(Problem{"unexpected " + in_backticks(rest) + " after the bracket",
                       "write for example [::1]:8080"});
  }
  const auto port = parse_port(rest.substr(1));
  if (!port) return Err(port.error());
  return checked(*literal, *port, use);
}

// Two or more colons without brackets: where the address ends is anybody's guess.
Problem unbracketed_ipv6(std::string_view text) {
  const std::size_t last = text.rfind(':');
  if (parse_literal(text.substr(0, last)) && parse_port(text.substr(last + 1))) {
    return {"an IPv6 address needs brackets", "write [" + std::string(text.substr(0, last)) +
                                                  "]:" + std::string(text.substr(last + 1))};
  }
  if (parse_literal(text)) {
    return {"an IPv6 address needs brackets and a port", "write [" + std::string(text) + "]:8080"};
  }
  return {in_backticks(text) + " is not an address", "write 127.0.0.1:8080 or [::1]:8080"};
}

std::optional<Problem> foreign_bytes(std::string_view text) {
  if (text.empty()) return Problem{"the address is empty", "write for example 127.0.0.1:8080"};
  if (text.find_first_of(" \t") != std::string_view::npos) {
    return Problem{in_backticks(text) + " has a space in it", "write one address, without spaces"};
  }
  const bool plain = std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
  if (!plain)
    return Problem{in_backticks(text) + " is not an address", "use ASCII characters only"};
  return std::nullopt;
}

}  // namespace

std::string Endpoint::text() const {
  switch (family) {
    case Family::ipv4: return host + ":" + std::to_string(port);
    case Family::ipv6: return "[" + host + "]:" + std::to_string(port);
    case Family::unix_path: break;
  }
  return "unix:" + host;
}

Result<std::string, Problem> without_scheme(std::string_view text, Use use) {
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) return std::string(text);
  const std::string scheme = lower(text.substr(0, colon));
  if (use != Use::server) {
    return Err(Problem{"an address to listen on has no " + in_backticks(scheme + "://"),
                       "write for example 127.0.0.1:8080"});
  }
  if (scheme == "https") {
    return Err(Problem{"TLS to servers is not available yet", "give an http:// address"});
  }
  if (scheme != "http") {
    return Err(Problem{"unknown scheme " + in_backticks(scheme), "write http:// or nothing"});
  }
  std::string_view rest = text.substr(colon + 3);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@") != std::string_view::npos) {
    return Err(Problem{"a server's address is only host and port",
                       "drop the rest; the client's path is passed on unchanged"});
  }
  if (rest.empty() || rest.starts_with(':')) {
    return Err(Problem{"the host is missing in " + in_backticks(text),
                       "write for example http://127.0.0.1:8080"});
  }
  const std::size_t host_end = rest.starts_with('[') ? std::min(rest.find(']'), rest.size()) : 0;
  const bool has_port = rest.find(':', host_end) != std::string_view::npos;
  return std::string(rest) + (has_port ? "" : ":80");
}

Result<std::uint16_t, Problem> parse_port(std::string_view text) {
  if (text.empty()) return Err(Problem{"the port is missing", "use 1 to 65535"});
  if (!all_digits(text)) {
    return Err(Problem{"port " + in_backticks(text) + " is not a number", "use 1 to 65535"});
  }
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || port == 0) {
    return Err(
        Problem{"port " + std::string(text.substr(0, 20)) + " is out of range", "use 1 to 65535"});
  }
  if (text.front() == '0') {
    return Err(Problem{"port " + std::string(text.substr(0, 20)) + " has leading zeros",
                       "write " + std::to_string(port)});
  }
  return port;
}

Result<Endpoint, Problem> parse_endpoint(std::string_view text, Use use) {
  if (auto problem = foreign_bytes(text)) return Err(std::move(*problem));
  if (text.starts_with("unix:")) return parse_unix(text);
  const auto stripped = without_scheme(text, use);
  if (!stripped) return Err(stripped.error());
  text = *stripped;
  if (all_digits(text)) {
    const std::string_view host = use == Use::listen ? kAnyIpv4 : "127.0.0.1";
    return parse_host_port(host, text, use);
  }
  if (text.starts_with('[')) return parse_bracketed(text, use);
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    if (parse_literal(text) || lower(text) == "localhost") {
      return Err(Problem{"the port is missing", "write " + std::string(text) + ":8080"});
    }
    return Err(bad_host(text));
  }
  if (text.find(':', colon + 1) != std::string_view::npos) return Err(unbracketed_ipv6(text));
  return parse_host_port(text.substr(0, colon), text.substr(colon + 1), use);
}

Result<Endpoint, Problem> parse_bind_ip(std::string_view text, std::uint16_t port) {
  if (auto problem = foreign_bytes(text)) return Err(std::move(*problem));
  if (text == "*") return ip_endpoint(Literal{}, port);
  if (lower(text) == "localhost") text = "127.0.0.1";
  if (text.starts_with('[') && text.ends_with(']')) {
    text = text.substr(1, text.size() - 2);
  }
  if (const auto literal = parse_literal(text)) return checked(*literal, port, Use::listen);
  const std::size_t colon = text.find(':');
  if (colon != std::string_view::npos && parse_literal(text.substr(0, colon))) {
    return Err(Problem{in_backticks(text) + " has a port", "give the address alone"});
  }
  return Err(bad_host(text));
}

Result<Network, Problem> parse_network(std::string_view text) {
  if (auto problem = foreign_bytes(text)) return Err(std::move(*problem));
  const std::size_t slash = text.find('/');
  const auto literal = parse_literal(text.substr(0, slash));
  if (!literal) {
    return Err(Problem{in_backticks(text) + " is not a network", "write for example 10.0.0.0/8"});
  }
  int bits = literal->ipv6 ? 128 : 32;
  const int bits_max = bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    if (!all_digits(digits) || digits.size() > 3)
      bits = bits_max + 1;
    else
      std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  }
  if (bits > bits_max) {
    return Err(Problem{in_backticks(text.substr(slash)) + " is not a prefix length",
                       "use /0 to /" + std::to_string(bits_max)});
  }
  Literal masked = *literal;
  for (int i = bits; i < bits_max; ++i) {
    auto& byte = masked.bytes[static_cast<std::size_t>(i / 8)];
    byte = static_cast<std::uint8_t>(byte & ~(0x80u >> (i % 8)));
  }
  if (masked.bytes != literal->bytes) {
    return Err(Problem{in_backticks(text) + " has bits set behind its prefix",
                       "write " + canonical(masked) + "/" + std::to_string(bits)});
  }
  if (is_mapped_ipv4(masked) && bits >= 96) {
    masked = unmapped(masked);
    bits -= 96;
  }
  Network network;
  std::ranges::copy(masked.bytes, network.address);
  network.ipv6 = masked.ipv6;
  network.prefix_bits = static_cast<std::uint8_t>(bits);
  return network;
}

bool overlaps(const Endpoint& a, const Endpoint& b) {
  if (a.family != b.family || a.port != b.port) return false;
  if (a.host == b.host) return true;
  return a.family != Endpoint::Family::unix_path && (is_wildcard(a) || is_wildcard(b));
}

bool reaches(const Endpoint& server, const Endpoint& listen) {
  if (server.family != listen.family || server.port != listen.port) return false;
  if (server.host == listen.host) return true;
  return server.family != Endpoint::Family::unix_path && is_wildcard(listen) && is_loopback(server);
}

}  // namespace weir::config
