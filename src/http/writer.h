// The canonical writer: new messages from parsed ones. Nothing reaches the other side that the
// parser has not understood.
//
// Connection-specific fields go (RFC 9110 7.6.1), the ones Connection names too; framing fields are
// written from the decision, not copied; all other fields keep their order, their spelling and
// their bytes. Neighbouring lines that already are canonical are copied in one piece.
//
// Every function writes at most `room` bytes and returns how many, or 0 when there is not enough
// room. The size of the parsed head plus kWriteExtraMax is always enough.
#pragma once

#include <cstdint>
#include <string_view>

#include "http/head_parser.h"
#include "http/request.h"
#include "http/response.h"

namespace weir::http {

// What weir adds to the requests it forwards.
struct ForwardOptions {
  bool x_forwarded = true;  // X-Forwarded-For, -Proto, -Host.
  bool forwarded = false;   // Forwarded (RFC 7239).
  bool via = false;         // Via (RFC 9110 7.6.3).
  // The client may speak about earlier hops: its own Forwarded, X-Forwarded-* and X-Real-IP are
  // kept, and appended to. From everybody else they are dropped, whatever is generated.
  bool trusted = false;
  std::string_view client_ip;  // No port, no brackets; empty for unix sockets.
  // Host of a request that has none (RFC 9112 3.2: HTTP/1.0 only): the address it came to. An empty
  // one makes an empty Host.
  std::string_view default_host;
  std::string_view proto = "http";  // What the client spoke to weir.
  std::string_view upgrade;         // The protocols of an UpgradeOffer of this head; or empty.
};

// The request for the server, in HTTP/1.1 and origin form.
[[nodiscard]] std::size_t write_request_head(char* out, std::size_t room, const HeadParser& head,
                                             const RequestInfo& info,
                                             const ForwardOptions& options);

struct ResponseOptions {
  bool chunked = false;     // The body goes to the client in chunks.
  bool close = false;       // This is the connection's last answer.
  bool keep_alive = false;  // Say so: for HTTP/1.0 clients that asked.
  bool via = false;
  std::string_view set_cookie;  // A whole line of at most kSetCookieMax bytes, CRLF included.
  std::string_view
      date;  // IMF-fixdate, added when the server sent none (RFC 9110 6.6.1); or empty.
};

// The response for the client, in HTTP/1.1. Also for interim ones, which take no options, and for a
// switch of protocols, which takes Via and Set-Cookie.
[[nodiscard]] std::size_t write_response_head(char* out, std::size_t room, const HeadParser& head,
                                              const ResponseInfo& info,
                                              const ResponseOptions& options);

// The fields of a trailer section that may be forwarded (RFC 9110 6.5.1), and the CRLF that ends
// the message. Goes after kLastChunkLine.
[[nodiscard]] std::size_t write_trailers(char* out, std::size_t room, const HeadParser& trailers);

inline constexpr std::size_t kSetCookieMax = 384;

// More than a head can grow: one blank per field line (128), the authority twice again (2 x 261),
// the names of the lines weir adds (under 200), and the option strings (an address of at most 45
// bytes twice, proto twice, a date).
inline constexpr std::size_t kWriteExtraMax = 1024;

}  // namespace weir::http
