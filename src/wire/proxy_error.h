// ProxyError: every rule of the PROXY protocol a header can break, one entry each.
//
// One table gives each a word, for the log and the counters, and a sentence for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::wire {

enum class ProxyError : std::uint8_t {
  none,

  // Version 1.
  line_too_long,
  bad_line_end,
  bad_port,

  // Both.
  bad_transport,  // Neither a stream nor unknown.
  bad_address,    // Version 2: the block is too short for its addresses.
  truncated,      // No more came: a parser that is shown all there is does not say it.

  // Version 2.
  bad_version,
  bad_command,
  bad_family,
  block_too_long,
  bad_tlv,
  bad_checksum,
};

inline constexpr std::size_t kProxyErrorCount =
    static_cast<std::size_t>(ProxyError::bad_checksum) + 1;

struct ProxyErrorInfo {
  ProxyError error;
  std::string_view word;  // Stable, from the closed list; begins with "proxy_".
  std::string_view text;  // One sentence.
};

// Row of the table; for `none` the word is "none".
[[nodiscard]] const ProxyErrorInfo& info(ProxyError error);
[[nodiscard]] std::string_view to_string(ProxyError error);

}  // namespace weir::wire
