// What a complete request head means: method, target, host, body length, persistence, expectation.
//
// Slices are offsets into the head; they stay valid when its bytes move.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "http/connection_options.h"
#include "http/framing.h"
#include "http/head_parser.h"
#include "http/method.h"

namespace weir::http {

// RFC 9112 3.2.
enum class TargetForm : std::uint8_t {
  origin,
  absolute,
  authority,  // CONNECT, and nothing else.
  asterisk,
};

inline constexpr std::size_t kHostBytesMax = 255;

struct RequestInfo {
  static constexpr std::int64_t kNoMaxForwards = -1;

  MethodId method = MethodId::other;
  TargetForm form = TargetForm::origin;
  bool http10 = false;
  bool keep_alive = false;        // The client wants to go on after this exchange.
  bool expects_continue = false;  // Expect: 100-continue with a body, from an HTTP/1.1 client.
  // The client would switch to another protocol (RFC 9110 7.8); see choose_upgrades(). Without that
  // the offer is dropped and the request served.
  bool offers_upgrade = false;
  bool https = false;        // The absolute form names a resource of https.
  bool slash_first = false;  // "/" goes in front of `target`: absolute form without a path.
  BodyFraming body;
  std::uint16_t port = 0;  // Of a CONNECT, never 0 then.
  // host[":"port] from the target, else from Host; empty for HTTP/1.0 without Host.
  Slice authority;
  Slice host;    // `authority` without the port, brackets included; compare without case.
  Slice target;  // Path and query, as received; see slash_first. The authority of a CONNECT.
  // Value of Max-Forwards in TRACE and OPTIONS (RFC 9110 7.6.2): at 0 the request must be answered
  // here and not be forwarded; write_request_head() writes one less. kNoMaxForwards when absent.
  std::int64_t max_forwards = kNoMaxForwards;
  FieldIndexSet nominated;  // Fields that Connection names.

  // The path without the query: begins with "/", or is "*". A CONNECT has its target instead.
  [[nodiscard]] std::string_view path(const HeadParser& head) const;
  // The query with its "?", or empty.
  [[nodiscard]] std::string_view query(const HeadParser& head) const;
  // Whether this is a CONNECT to "host:port", written in lower case; brackets around IPv6.
  [[nodiscard]] bool connects_to(const HeadParser& head, std::string_view host_and_port) const;
};

[[nodiscard]] Result<RequestInfo, ParseError> analyse_request(const HeadParser& head);

}  // namespace weir::http
