#include "wire/proxy_protocol.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "wire/crc32c.h"
#include "wire/ip_text.h"

namespace weir::wire {
namespace {

using namespace std::string_view_literals;
using enum ProxyError;
using Family = ProxyAddress::Family;
using Status = ProxyParse::Status;

constexpr std::string_view kLineBegin = "PROXY ";
constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kFixedBytes = 16;  // Signature, version and command, family, length.

constexpr ProxyParse kNeedMore = {Status::need_more, none, 0};

ProxyParse refuse(ProxyError error) { return {Status::error, error, 0}; }

// --- Version 1, specification 2.1

// Up to the next space, or all there is.
std::string_view take_word(std::string_view& rest) {
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  return word;
}

// Without leading zeros, which some would read as octal.
std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint32_t number = 0;
  for (const char byte : text) {
    if (byte < '0' || byte > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint32_t>(byte - '0');
  }
  if (number > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(number);
}

// What stands between "PROXY " and CRLF. Of UNKNOWN the rest is to be ignored.
ProxyError read_line(std::string_view line, ProxyHeader& header) {
  const std::string_view transport = take_word(line);
  if (transport == "UNKNOWN") return none;
  if (transport != "TCP4" && transport != "TCP6") return bad_transport;
  const bool ipv6 = transport == "TCP6";
  const auto parse_ip = ipv6 ? parse_ipv6 : parse_ipv4;
  const auto source = parse_ip(take_word(line));
  const auto destination = parse_ip(take_word(line));
  if (!source || !destination) return bad_address;
  const auto source_port = parse_port(take_word(line));
  const auto destination_port = parse_port(line);
  if (!source_port || !destination_port) return bad_port;
  const Family family = ipv6 ? Family::ipv6 : Family::ipv4;
  header.source = {*source, *source_port, family};
  header.destination = {*destination, *destination_port, family};
  return none;
}

ProxyParse parse_v1(std::string_view data, ProxyHeader& header) {
  const std::size_t end = data.substr(0, kProxyV1BytesMax).find_first_of("\r\n");
  if (end == std::string_view::npos) {
    return data.size() < kProxyV1BytesMax ? kNeedMore : refuse(line_too_long);
  }
  if (data[end] == '\n') return refuse(bad_line_end);
  const std::size_t size = end + 2;
  if (size > kProxyV1BytesMax) return refuse(line_too_long);
  if (size > data.size()) return kNeedMore;
  if (data[end + 1] != '\n') return refuse(bad_line_end);
  const std::string_view line = data.substr(kLineBegin.size(), end - kLineBegin.size());
  const ProxyError error = read_line(line, header);
  return error == none ? ProxyParse{Status::complete, none, size} : refuse(error);
}

// --- Version 2, specification 2.2

constexpr unsigned kFamilyIpv4 = 1;
constexpr unsigned kFamilyIpv6 = 2;
constexpr unsigned kTransportStream = 1;
// Both addresses and both ports, by family: unspecified, IPv4, IPv6, unix.
constexpr std::array<std::size_t, 4> kAddressBytes = {0, 12, 36, 216};

std::uint8_t byte_at(std::string_view data, std::size_t at) {
  return static_cast<std::uint8_t>(data[at]);
}

std::uint16_t number16_at(std::string_view data, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(data, at) << 8 | byte_at(data, at + 1));
}

std::uint32_t number32_at(std::string_view data, std::size_t at) {
  return std::uint32_t{number16_at(data, at)} << 16 | number16_at(data, at + 2);
}

// With zeros where the four bytes of the checksum at `at` are.
std::uint32_t checksum_of(std::string_view header, std::size_t at) {
  Crc32c crc;
  crc.add(header.substr(0, at));
  crc.add("\0\0\0\0"sv);
  crc.add(header.substr(at + 4));
  return crc.value();
}

// The value of the checksum among `tlvs`; its data() is null when there is none. Two of them could
// not be checked, because each covers the other.
ProxyError find_checksum(std::string_view tlvs, std::string_view& checksum) {
  while (const auto tlv = next_tlv(tlvs)) {
    if (tlv->type != kProxyTlvChecksum) continue;
    if (tlv->value.size() != 4 || checksum.data() != nullptr) return bad_tlv;
    checksum = tlv->value;
  }
  return tlvs.empty() ? none : bad_tlv;
}

// `bytes`: the whole header; `tlvs`: its end.
ProxyError check_tlvs(std::string_view bytes, std::string_view tlvs) {
  std::string_view checksum;
  const ProxyError error = find_checksum(tlvs, checksum);
  if (error != none || checksum.data() == nullptr) return error;
  const auto at = static_cast<std::size_t>(checksum.data() - bytes.data());
  return checksum_of(bytes, at) == number32_at(checksum, 0) ? none : bad_checksum;
}

void read_addresses(std::string_view block, Family family, ProxyHeader& header) {
  const std::size_t ip_bytes = family == Family::ipv4 ? 4 : 16;
  for (ProxyAddress* address : {&header.source, &header.destination}) {
    std::copy_n(block.begin(), ip_bytes, address->ip.begin());
    block.remove_prefix(ip_bytes);
    address->family = family;
  }
  header.source.port = number16_at(block, 0);
  header.destination.port = number16_at(block, 2);
}

// A whole header of the command proxy. Without a family nothing says what the block is: TLVs, as
// haproxy sends them; anything else is to be ignored.
ProxyParse read_block(std::string_view bytes, ProxyHeader& header) {
  const unsigned family = byte_at(bytes, 13) >> 4;
  const std::string_view block = bytes.substr(kFixedBytes);
  header.tlvs = block.substr(kAddressBytes[family]);
  const ProxyError error = check_tlvs(bytes, header.tlvs);
  if (error == bad_tlv && family == 0) {
    header.tlvs = {};
  } else if (error != none) {
    return refuse(error);
  }
  if ((byte_at(bytes, 13) & 0xf) == kTransportStream) {
    if (family == kFamilyIpv4) read_addresses(block, Family::ipv4, header);
    if (family == kFamilyIpv6) read_addresses(block, Family::ipv6, header);
  }
  return {Status::complete, none, bytes.size()};
}

// Each byte is judged as soon as it is there. Of a local header only the length counts; what is
// about datagrams cannot be about this connection.
ProxyParse parse_v2(std::string_view data, ProxyHeader& header) {
  if (data.size() <= 12) return kNeedMore;
  if (byte_at(data, 12) >> 4 != 2) return refuse(bad_version);
  if ((byte_at(data, 12) & 0xf) > 1) return refuse(bad_command);
  const bool local = (byte_at(data, 12) & 0xf) == 0;
  header.command = local ? ProxyCommand::local : ProxyCommand::proxy;
  if (data.size() <= 13) return kNeedMore;
  const std::size_t family = byte_at(data, 13) >> 4;
  if (!local && family >= kAddressBytes.size()) return refuse(bad_family);
  if (!local && (byte_at(data, 13) & 0xf) > kTransportStream) return refuse(bad_transport);
  if (data.size() < kFixedBytes) return kNeedMore;
  const std::size_t size = number16_at(data, 14);
  if (size > kProxyV2BlockMax) return refuse(block_too_long);
  if (!local && size < kAddressBytes[family]) return refuse(bad_address);
  if (data.size() < kFixedBytes + size) return kNeedMore;
  if (local) return {Status::complete, none, kFixedBytes + size};
  return read_block(data.substr(0, kFixedBytes + size), header);
}

// --- Writing

// The two ends as they are written: none, or both of one family.
struct Ends {
  explicit Ends(const ProxyHeader& header)
      : source(header.source.ip), destination(header.destination.ip) {
    const Family from = header.source.family;
    const Family to = header.destination.family;
    if (header.command == ProxyCommand::local || from == Family::none || to == Family::none) return;
    if (from == Family::ipv4) source = to_mapped(source);
    if (to == Family::ipv4) destination = to_mapped(destination);
    family = is_mapped(source) && is_mapped(destination) ? Family::ipv4 : Family::ipv6;
    if (family == Family::ipv6) return;
    source = from_mapped(source);
    destination = from_mapped(destination);
  }

  Family family = Family::none;
  IpBytes source;
  IpBytes destination;

 private:
  // RFC 4291 2.5.5.2.
  static constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0,    0,
                                                           0, 0, 0, 0, 0xff, 0xff};

  static bool is_mapped(const IpBytes& ip) {
    return std::equal(kMapped.begin(), kMapped.end(), ip.begin());
  }
  static IpBytes to_mapped(const IpBytes& ipv4) {
    IpBytes ip;
    std::copy_n(ipv4.begin(), 4, std::copy(kMapped.begin(), kMapped.end(), ip.begin()));
    return ip;
  }
  static IpBytes from_mapped(const IpBytes& ip) {
    IpBytes ipv4{};
    std::copy(ip.begin() + 12, ip.end(), ipv4.begin());
    return ipv4;
  }
};

char* append(char* to, std::string_view bytes) { return to + bytes.copy(to, bytes.size()); }

char* append16(char* to, std::size_t number) {
  *to++ = static_cast<char>(number >> 8 & 0xff);
  *to++ = static_cast<char>(number & 0xff);
  return to;
}

// The specification's number of the family in the first half of byte 13.
unsigned family_number(Family family) {
  switch (family) {
    case Family::none: return 0;
    case Family::ipv4: return kFamilyIpv4;
    case Family::ipv6: return kFamilyIpv6;
  }
  CHECK(false, "no such family");
}

// It covers the addresses, too, and those may have changed.
void renew_checksum(char* header, std::size_t size, std::size_t tlvs_size) {
  const std::string_view bytes(header, size);
  std::string_view checksum;
  const ProxyError error = find_checksum(bytes.substr(size - tlvs_size), checksum);
  if (error != none || checksum.data() == nullptr) return;
  const auto at = static_cast<std::size_t>(checksum.data() - header);
  const std::uint32_t value = checksum_of(bytes, at);
  append16(append16(header + at, value >> 16), value & 0xffff);
}

}  // namespace

ProxyPrefix proxy_prefix(std::string_view data) {
  for (const std::string_view begin : {kLineBegin, kSignature}) {
    const std::size_t size = std::min(data.size(), begin.size());
    if (data.substr(0, size) != begin.substr(0, size)) continue;
    return size == begin.size() ? ProxyPrefix::yes : ProxyPrefix::open;
  }
  return ProxyPrefix::no;
}

ProxyParse parse_proxy_header(std::string_view data, ProxyHeader& header) {
  header = {};
  switch (proxy_prefix(data)) {
    case ProxyPrefix::no: return {Status::none, none, 0};
    case ProxyPrefix::open: return kNeedMore;
    case ProxyPrefix::yes: break;
  }
  return data[0] == kLineBegin[0] ? parse_v1(data, header) : parse_v2(data, header);
}

std::optional<ProxyTlv> next_tlv(std::string_view& rest) {
  if (rest.size() < 3) return std::nullopt;
  const std::size_t size = number16_at(rest, 1);
  if (size > rest.size() - 3) return std::nullopt;
  const ProxyTlv tlv = {byte_at(rest, 0), rest.substr(3, size)};
  rest.remove_prefix(3 + size);
  return tlv;
}

std::size_t write_proxy_v1(char* out, const ProxyHeader& header) {
  const Ends ends(header);
  char* to = append(out, kLineBegin);
  if (ends.family == Family::none) {
    to = append(to, "UNKNOWN");
  } else {
    const auto write_ip = ends.family == Family::ipv6 ? write_ipv6 : write_ipv4;
    to = append(to, ends.family == Family::ipv6 ? "TCP6 " : "TCP4 ");
    to += write_ip(to, ends.source);
    to = append(to, " ");
    to += write_ip(to, ends.destination);
    for (const std::uint16_t port : {header.source.port, header.destination.port}) {
      to = std::to_chars(append(to, " "), out + kProxyV1BytesMax, port).ptr;
    }
  }
  return static_cast<std::size_t>(append(to, "\r\n") - out);
}

std::size_t write_proxy_v2(char* out, const ProxyHeader& header) {
  const Ends ends(header);
  const bool local = header.command == ProxyCommand::local;
  const std::size_t ip_bytes = ends.family == Family::ipv6 ? 16 : 4;
  const unsigned family = family_number(ends.family);
  std::size_t size = kAddressBytes[family];
  const bool has_tlvs = !local && header.tlvs.size() <= kProxyV2BlockMax - size;
  if (has_tlvs) size += header.tlvs.size();

  char* to = append(out, kSignature);
  *to++ = static_cast<char>(0x20 | (local ? 0 : 1));
  *to++ = static_cast<char>(family == 0 ? 0 : family << 4 | kTransportStream);
  to = append16(to, size);
  if (family != 0) {
    to = std::copy_n(ends.source.begin(), ip_bytes, to);
    to = std::copy_n(ends.destination.begin(), ip_bytes, to);
    to = append16(append16(to, header.source.port), header.destination.port);
  }
  if (has_tlvs) {
    append(to, header.tlvs);
    renew_checksum(out, kFixedBytes + size, header.tlvs.size());
  }
  return kFixedBytes + size;
}

}  // namespace weir::wire
