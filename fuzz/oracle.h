// Second opinions about where messages begin and end, and what they say: other people's parsers.
//
// One file each, because their headers do not go together. Each is told what weir does about an
// upgrade: nothing, the connection goes on in HTTP/1.1 (RFC 9110 7.8).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reader.h"

namespace weir::fuzz {

struct OracleMessage {
  std::string first;   // Method or status.
  std::string second;  // Target; empty for responses.
  std::string body;
  bool complete = false;
};

struct Opinion {
  std::string refusal;  // The oracle's word for it, empty when all bytes were accepted.
  std::vector<OracleMessage> messages;
};

// `bytes` are all there is of a connection.
[[nodiscard]] Opinion ask_llhttp(const ReaderOptions& options, std::string_view bytes);
[[nodiscard]] Opinion ask_http_parser(const ReaderOptions& options, std::string_view bytes);

}  // namespace weir::fuzz
