// Request methods by number, with the two properties that decide about trying again.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::http {

enum class MethodId : std::uint8_t {
  other,
  get,
  head,
  post,
  put,
  delete_,
  options,
  trace,
  connect,
  patch,
};

// Case-sensitive (RFC 9110 9.1).
[[nodiscard]] constexpr MethodId method_id(std::string_view method) {
  switch (method.size()) {
    case 3:
      if (method == "GET") return MethodId::get;
      return method == "PUT" ? MethodId::put : MethodId::other;
    case 4:
      if (method == "POST") return MethodId::post;
      return method == "HEAD" ? MethodId::head : MethodId::other;
    case 5:
      if (method == "PATCH") return MethodId::patch;
      return method == "TRACE" ? MethodId::trace : MethodId::other;
    case 6: return method == "DELETE" ? MethodId::delete_ : MethodId::other;
    case 7:
      if (method == "OPTIONS") return MethodId::options;
      return method == "CONNECT" ? MethodId::connect : MethodId::other;
    default: return MethodId::other;
  }
}

// RFC 9110 9.2.1. An unknown method is neither safe nor idempotent.
[[nodiscard]] constexpr bool is_safe(MethodId method) {
  return method == MethodId::get || method == MethodId::head || method == MethodId::options ||
         method == MethodId::trace;
}

// RFC 9110 9.2.2.
[[nodiscard]] constexpr bool is_idempotent(MethodId method) {
  return is_safe(method) || method == MethodId::put || method == MethodId::delete_;
}

}  // namespace weir::http
