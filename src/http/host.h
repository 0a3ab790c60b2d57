// uri-host [ ":" port ] (RFC 9110 7.2, RFC 3986 3.2.2), checked byte by byte.
#pragma once

#include <optional>
#include <string_view>

namespace weir::http {

// Size of the host part, brackets included, when `authority` is a host that is not empty with an
// optional port of at most 65535; nothing otherwise. User information is refused (RFC 9110 4.2.4).
// Bytes from `floor` on may be read, too (http/scan.h).
[[nodiscard]] std::optional<std::size_t> host_size(const char* floor, std::string_view authority);

}  // namespace weir::http
