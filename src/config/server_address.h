// What stands for a server in the file: an address, a host name with a port, or the name of SRV
// records. Nothing is looked up here.
#pragma once

#include <string_view>

#include "base/result.h"
#include "config/config.h"
#include "config/problem.h"

namespace weir::config {

// The server with its default name, which is the canonical text of its address. Beside the forms
// of parse_endpoint(): NAME:PORT, http://NAME, srv:_SERVICE._PROTO.NAME. A name is lower case
// without a final dot afterwards; `localhost` is 127.0.0.1 (RFC 6761 6.3).
[[nodiscard]] Result<Server, Problem> parse_server(std::string_view text);

}  // namespace weir::config
