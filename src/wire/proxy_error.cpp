#include "wire/proxy_error.h"

#include <array>

namespace weir::wire {
namespace {

using enum ProxyError;

constexpr std::array<ProxyErrorInfo, kProxyErrorCount> kTable = {{
    {none, "none", "No error."},

    {line_too_long, "proxy_line_too_long", "The PROXY line has no end within 107 bytes."},
    {bad_line_end, "proxy_bad_line_end", "The PROXY line does not end with CR and LF."},
    {bad_port, "proxy_bad_port", "The PROXY line does not end with two valid ports."},

    {bad_transport, "proxy_bad_transport", "The PROXY header is not about a stream."},
    {bad_address, "proxy_bad_address", "The PROXY header has no two addresses of its family."},
    {truncated, "proxy_truncated", "The PROXY header was not sent to its end."},

    {bad_version, "proxy_bad_version", "The PROXY header has an unknown version."},
    {bad_command, "proxy_bad_command", "The PROXY header has an unknown command."},
    {bad_family, "proxy_bad_family", "The PROXY header has an unknown address family."},
    {block_too_long, "proxy_block_too_long", "The PROXY header is too large."},
    {bad_tlv, "proxy_bad_tlv", "The PROXY header's additional values are malformed."},
    {bad_checksum, "proxy_bad_checksum", "The PROXY header's checksum is wrong."},
}};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].error != static_cast<ProxyError>(i)) return false;
  }
  return true;
}
static_assert(rows_are_in_order(), "one row per ProxyError, in the order of the enumeration");

}  // namespace

const ProxyErrorInfo& info(ProxyError error) { return kTable[static_cast<std::size_t>(error)]; }

std::string_view to_string(ProxyError error) { return info(error).word; }

}  // namespace weir::wire
