// What of a request stands for its client or its content: for hashing to a server, for rate limits.
// Views into the head; valid as long as its bytes are.
#pragma once

#include <optional>
#include <string_view>

#include "http/head_parser.h"
#include "http/request.h"
#include "os/address.h"
#include "upstream/backend_plan.h"

namespace weir::proxy {

// The value of the first field of this name (lower case).
[[nodiscard]] std::optional<std::string_view> find_field(const http::HeadParser& head,
                                                         std::string_view lower_name);

// The value of the first parameter of this name in a query ("?a=1&b=2"); as it was sent.
[[nodiscard]] std::optional<std::string_view> find_parameter(std::string_view query,
                                                             std::string_view name);

// What the backend wants hashed, unless that is the client's address. Empty when the request does
// not have it.
[[nodiscard]] std::optional<std::string_view> hash_value(const upstream::BackendPlan& plan,
                                                         const http::HeadParser& head,
                                                         const http::RequestInfo& info);

// 4 or 16 bytes; none for clients of a unix socket.
[[nodiscard]] std::string_view address_bytes(const os::Peer& peer);

}  // namespace weir::proxy
