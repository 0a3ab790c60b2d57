// StickyPlan: which cookie keeps a client with its server. Immutable, part of a snapshot.
//
// The cookie's value names a server by a hash of its identity, so that it means the same on every
// weir with the same configuration and survives reloads. Whoever guesses an address can check the
// guess against the plain hash; with a secret it is an HMAC, which tells nothing and which a client
// cannot make for another server. Values are made when the configuration is read; a request costs a
// look at its cookies and one lookup.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/config.h"
#include "upstream/server_state.h"

namespace weir::upstream {

class StickyPlan {
 public:
  StickyPlan(const config::Sticky& settings, std::span<ServerState* const> servers);

  // The server that a Cookie field (RFC 6265 4.2) names, by its index. A client may send several
  // cookies of the name, for several paths: the first that names a server of this plan counts.
  [[nodiscard]] std::optional<std::uint32_t> server_of(std::string_view cookies) const;
  // The Set-Cookie line for a server, with its CRLF.
  [[nodiscard]] std::string_view set_cookie(std::uint32_t server) const {
    return set_cookies_[server];
  }

 private:
  std::string name_;
  std::vector<std::string> set_cookies_;
  std::unordered_map<std::string, std::uint32_t> by_value_;
};

// The value of the first cookie called `name` in a Cookie field, or empty. Leaves in `cookies` what
// comes after it.
[[nodiscard]] std::optional<std::string_view> take_cookie(std::string_view& cookies,
                                                          std::string_view name);

}  // namespace weir::upstream
