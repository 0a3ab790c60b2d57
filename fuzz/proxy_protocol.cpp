// PROXY headers: one answer however the bytes are cut, nothing looked at behind the header, and
// what is written means what was meant, in either version.
#include "wire/proxy_protocol.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "input.h"

namespace {

using namespace weir;
using wire::ProxyAddress;
using wire::ProxyCommand;
using wire::ProxyHeader;
using wire::ProxyParse;
using wire::ProxyPrefix;
using Family = ProxyAddress::Family;
using Status = ProxyParse::Status;

bool is_well_formed(std::string_view tlvs) {
  while (wire::next_tlv(tlvs)) {
  }
  return tlvs.empty();
}

void check_header(std::string_view bytes, const ProxyParse& parse, const ProxyHeader& header) {
  CHECK(parse.size <= bytes.size() && parse.size <= wire::kProxyV2BytesMax);
  CHECK(header.source.family == header.destination.family);
  CHECK(header.command == ProxyCommand::proxy ||
        (header.source.family == Family::none && header.tlvs.empty()));
  CHECK(is_well_formed(header.tlvs));
  CHECK(header.tlvs.empty() || header.tlvs.end() == bytes.begin() + parse.size);
  CHECK(bytes[0] != 'P' || (bytes.substr(parse.size - 2, 2) == "\r\n" && header.tlvs.empty()));
}

// The answer to each beginning is "need more" up to the one that decides, and then stays.
void check_pieces(std::string_view bytes, const fuzz::PieceSizes& sizes) {
  ProxyHeader header;
  const ProxyParse whole = parse_proxy_header(bytes, header);
  if (whole.status == Status::complete) check_header(bytes, whole, header);
  const ProxyPrefix prefix = wire::proxy_prefix(bytes);
  CHECK((prefix == ProxyPrefix::no) == (whole.status == Status::none));
  CHECK(prefix != ProxyPrefix::open || whole.status == Status::need_more);

  std::size_t size = 0;
  bool decided = false;
  fuzz::feed_in_pieces(bytes, sizes, [&](std::string_view piece) {
    size += piece.size();
    const auto block = fuzz::exact_block(bytes.substr(0, size));
    ProxyHeader part;
    const ProxyParse parse = parse_proxy_header({block.get(), size}, part);
    decided = decided || parse.status != Status::need_more;
    CHECK(!decided || parse == whole);
    CHECK(parse.status != Status::complete || part == header);
  });
  CHECK(decided || whole.status == Status::need_more);
  if (whole.status != Status::complete) return;
  const auto block = fuzz::exact_block(bytes.substr(0, whole.size));
  CHECK(parse_proxy_header({block.get(), whole.size}, header) == whole);
  CHECK(parse_proxy_header({block.get(), whole.size - 1}, header).status == Status::need_more);
}

// As IPv6 would have it: IPv4 is the same client mapped and not.
ProxyAddress mapped(ProxyAddress address) {
  if (address.family == Family::ipv4) {
    std::copy_n(address.ip.begin(), 4, address.ip.begin() + 12);
    std::fill_n(address.ip.begin(), 10, std::uint8_t{0});
    std::fill_n(address.ip.begin() + 10, 2, std::uint8_t{0xff});
    address.family = Family::ipv6;
  }
  return address;
}

// `values` is the most that can be expected of the header's own.
void check_read_again(std::string_view written, const ProxyHeader& header) {
  ProxyHeader again;
  const auto block = fuzz::exact_block(written);
  const ProxyParse parse = parse_proxy_header({block.get(), written.size()}, again);
  CHECK(parse.status == Status::complete && parse.size == written.size());
  check_header({block.get(), written.size()}, parse, again);
  const bool known = header.command == ProxyCommand::proxy &&
                     header.source.family != Family::none &&
                     header.destination.family != Family::none;
  CHECK(mapped(again.source) == (known ? mapped(header.source) : ProxyAddress{}));
  CHECK(mapped(again.destination) == (known ? mapped(header.destination) : ProxyAddress{}));
  if (written[0] == 'P') return;
  CHECK(again.command == header.command);
  // All values or none; of a checksum the four bytes may differ.
  CHECK(again.tlvs.empty() || again.tlvs.size() == header.tlvs.size());
  std::string_view rest = again.tlvs;
  std::string_view original = header.tlvs;
  while (const auto tlv = wire::next_tlv(rest)) {
    const auto wanted = wire::next_tlv(original);
    CHECK(wanted && tlv->type == wanted->type);
    CHECK(tlv->type == wire::kProxyTlvChecksum || tlv->value == wanted->value);
  }
}

void check_written(const ProxyHeader& header) {
  const auto v1 = std::make_unique<char[]>(wire::kProxyV1BytesMax);
  check_read_again({v1.get(), write_proxy_v1(v1.get(), header)}, header);
  const auto v2 = std::make_unique<char[]>(wire::kProxyV2BytesMax);
  check_read_again({v2.get(), write_proxy_v2(v2.get(), header)}, header);
}

ProxyAddress take_address(fuzz::Input& input) {
  ProxyAddress address;
  address.family = static_cast<Family>(input.byte() % 3);
  address.port = static_cast<std::uint16_t>(input.number());
  const std::size_t bytes = address.family == Family::ipv6 ? 16 : 4;
  if (address.family == Family::none) return {};
  for (std::size_t i = 0; i < bytes; ++i) address.ip[i] = input.byte();
  return address;
}

// At most one checksum of the right size: with others nothing was ever read.
bool has_good_checksum(std::string_view tlvs) {
  int seen = 0;
  while (const auto tlv = wire::next_tlv(tlvs)) {
    if (tlv->type != wire::kProxyTlvChecksum) continue;
    if (tlv->value.size() != 4 || ++seen > 1) return false;
  }
  return true;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto sizes = fuzz::take_piece_sizes(input);
  ProxyHeader made;
  made.command = input.flag() ? ProxyCommand::local : ProxyCommand::proxy;
  made.source = take_address(input);
  made.destination = take_address(input);
  const std::string_view bytes = input.rest();

  check_pieces(bytes, sizes);
  check_pieces(bytes, {1});

  ProxyHeader header;
  if (parse_proxy_header(bytes, header).status == Status::complete) {
    check_written(header);
    made.tlvs = header.tlvs;
  } else if (is_well_formed(bytes) && has_good_checksum(bytes)) {
    made.tlvs = bytes;
  }
  check_written(made);
  return 0;
}
