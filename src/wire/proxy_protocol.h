// The PROXY protocol, versions 1 and 2: what a proxy in front says about the client's connection,
// ahead of the client's first byte. The specification is doc/proxy-protocol.txt of HAProxy.
//
// Nothing here keeps state: the parser is given all bytes since the connection began, each time,
// and looks at no byte behind the header. However the bytes are cut, the answer is the same.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "wire/proxy_error.h"

namespace weir::wire {

// Longest line of version 1 with its CRLF (specification 2.1).
inline constexpr std::size_t kProxyV1BytesMax = 107;
// What follows the 16 fixed bytes of version 2: addresses and TLVs. The length field could say
// 65535; the largest values in use, a client's certificate among them, stay below this.
inline constexpr std::size_t kProxyV2BlockMax = 4096;
inline constexpr std::size_t kProxyV2BytesMax = 16 + kProxyV2BlockMax;

enum class ProxyCommand : std::uint8_t {
  local,  // The proxy's own connection, a health check: its real addresses are meant.
  proxy,
};

// One end of the client's connection; IPv4 lives in the first four bytes.
struct ProxyAddress {
  enum class Family : std::uint8_t {
    none,  // Unknown, or a unix socket.
    ipv4,
    ipv6,
  };
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;
  Family family = Family::none;

  bool operator==(const ProxyAddress&) const = default;
};

// What a header says. Without addresses those of the connection itself are meant.
struct ProxyHeader {
  ProxyCommand command = ProxyCommand::proxy;
  ProxyAddress source;       // The client.
  ProxyAddress destination;  // What it connected to; of the same family as `source`.
  std::string_view tlvs;     // Version 2: well-formed, in the bytes that were parsed.

  bool operator==(const ProxyHeader&) const = default;
};

struct ProxyParse {
  enum class Status : std::uint8_t {
    need_more,  // A header, or the beginning of what may be one.
    complete,
    error,  // A header that breaks the rules.
    none,   // No header: these bytes are the client's own.
  };
  Status status;
  ProxyError error;  // When status is error.
  std::size_t size;  // Bytes of the header when status is complete.

  bool operator==(const ProxyParse&) const = default;
};

// `data`: all bytes of the connection so far. `header` is valid when the status is complete.
[[nodiscard]] ProxyParse parse_proxy_header(std::string_view data, ProxyHeader& header);

// Whether bytes begin a header of either version, well-formed or not: for refusing one from
// somebody who may not send it.
enum class ProxyPrefix : std::uint8_t {
  no,
  open,  // All of them could, and they are too few to tell (none at all included).
  yes,
};
[[nodiscard]] ProxyPrefix proxy_prefix(std::string_view data);

// Specification 2.2: one type-length-value triple.
struct ProxyTlv {
  std::uint8_t type;
  std::string_view value;
};
inline constexpr std::uint8_t kProxyTlvChecksum = 0x03;  // CRC32C of the whole header.

// Takes the first one off `rest`. Nothing, and `rest` as it was, when it is empty or cut short.
[[nodiscard]] std::optional<ProxyTlv> next_tlv(std::string_view& rest);

// Write a header to `out` and return its size. Two ends of which one is IPv4 and the other IPv6
// are written as IPv6; an IPv4-mapped pair as IPv4, for it is one client, whatever socket took it.
// Without both addresses, or for the command local, version 1 says UNKNOWN.

// At most kProxyV1BytesMax bytes.
[[nodiscard]] std::size_t write_proxy_v1(char* out, const ProxyHeader& header);

// At most kProxyV2BytesMax bytes. `tlvs` are written as they are, with the checksum among them, if
// there is one, made anew; local has none. All are left out when they do not fit.
[[nodiscard]] std::size_t write_proxy_v2(char* out, const ProxyHeader& header);

}  // namespace weir::wire
