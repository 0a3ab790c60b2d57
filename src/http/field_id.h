// FieldId: the field names weir acts on, and sets of them.
//
// A set is one 64-bit word, so that "is this field hop-by-hop" is a shift and a mask.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

enum class FieldId : std::uint8_t {
  other,

  // Routing and framing: written anew, never copied.
  host,
  content_length,
  transfer_encoding,

  // For one connection only (RFC 9110 7.6.1).
  connection,
  keep_alive,
  proxy_connection,
  te,
  upgrade,
  http2_settings,
  proxy_authenticate,
  proxy_authentication_info,
  proxy_authorization,

  // Read or written by the proxy.
  trailer,
  expect,
  max_forwards,
  via,
  date,
  server,
  forwarded,
  x_forwarded_for,
  x_forwarded_proto,
  x_forwarded_host,
  x_forwarded_other,  // Any other X-Forwarded-*, and spellings of the family with '_'.
  x_real_ip,

  // Known because they must not appear as trailers (RFC 9110 6.5.1).
  age,
  authorization,
  cache_control,
  content_encoding,
  content_range,
  content_type,
  cookie,
  expires,
  if_match,
  if_modified_since,
  if_none_match,
  if_range,
  if_unmodified_since,
  location,
  pragma,
  range,
  retry_after,
  set_cookie,
  vary,
  warning,
  www_authenticate,
};

inline constexpr std::size_t kFieldIdCount =
    static_cast<std::size_t>(FieldId::www_authenticate) + 1;
static_assert(kFieldIdCount <= 64, "FieldSet is one 64-bit word");

class FieldSet {
 public:
  constexpr FieldSet() = default;
  template <typename... Ids>
  constexpr explicit FieldSet(Ids... ids) : bits_((bit(ids) | ...)) {}

  constexpr void insert(FieldId id) { bits_ |= bit(id); }
  [[nodiscard]] constexpr bool contains(FieldId id) const { return (bits_ & bit(id)) != 0; }
  [[nodiscard]] constexpr bool intersects(FieldSet set) const { return (bits_ & set.bits_) != 0; }
  [[nodiscard]] constexpr FieldSet operator|(FieldSet set) const {
    set.bits_ |= bits_;
    return set;
  }
  constexpr void clear() { bits_ = 0; }

 private:
  static constexpr std::uint64_t bit(FieldId id) {
    return std::uint64_t{1} << static_cast<unsigned>(id);
  }
  std::uint64_t bits_ = 0;
};

// The name's id, without regard to case; `other` when it is none of ours. The name must come from a
// parsed head or a field value: no control bytes in it.
[[nodiscard]] FieldId field_id(std::string_view name);

// The name in its usual spelling; empty for `other` and `x_forwarded_other`.
[[nodiscard]] std::string_view field_name(FieldId id);

}  // namespace weir::http
