// What a complete response head means: body length, persistence of the server connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "http/connection_options.h"
#include "http/framing.h"
#include "http/head_parser.h"
#include "http/method.h"

namespace weir::http {

struct ResponseInfo {
  std::uint16_t status = 0;  // 100..599.
  bool interim = false;      // 1xx but 101: another head follows.
  // 101: what follows on the connection is spoken in a protocol that the server was offered.
  bool switches = false;
  bool http10 = false;
  // The server will take another request on this connection once the body has ended. Never with
  // Kind::until_close.
  bool keep_alive = false;
  bool has_content_length = false;  // Also where no body follows: HEAD and 304.
  std::uint64_t content_length = 0;
  BodyFraming body;
  // Keep-Alive: timeout=N and max=N, when the server gave them (seconds, requests).
  std::optional<std::uint32_t> keep_alive_timeout_s;
  std::optional<std::uint32_t> keep_alive_max;
  FieldIndexSet nominated;  // Fields that Connection names.
};

// `request_method` is the method of the request this answers; `upgrade_offer` is what its Upgrade
// said, empty when it had none.
[[nodiscard]] Result<ResponseInfo, ParseError> analyse_response(
    const HeadParser& head, MethodId request_method, std::string_view upgrade_offer = {});

}  // namespace weir::http
