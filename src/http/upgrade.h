// Upgrade (RFC 9110 7.8): to which other protocols a client may switch through weir.
//
// What a client offers is never passed on as it is. The protocols that somebody allowed are picked
// out of it and written anew, and the server may switch to nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "http/head_parser.h"
#include "http/request.h"

namespace weir::http {

// The protocols a server is offered: a list in the client's order and spelling, each one once. It
// outlives the request's bytes, because the answer is held against it.
class UpgradeOffer {
 public:
  static constexpr std::size_t kBytesMax = 63;

  [[nodiscard]] std::string_view text() const { return {text_.data(), size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // Appends the protocol, unless it is there or does not fit.
  void add(std::string_view protocol);

 private:
  std::array<char, kBytesMax> text_{};
  std::uint8_t size_ = 0;
};

// What of the client's offer may be passed on. An allowed "name" stands for all of its versions, a
// "name/version" for this one; they are in lower case and compared without case. HTTP itself is
// never passed on, allowed or not.
[[nodiscard]] UpgradeOffer choose_upgrades(const HeadParser& head, const RequestInfo& info,
                                           std::span<const std::string> allowed);

}  // namespace weir::http
