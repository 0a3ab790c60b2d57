// Comma-separated lists (RFC 9110 5.6.1) of simple elements: no quoted strings in them.
#pragma once

#include <string_view>

#include "http/scan.h"

namespace weir::http {

// Takes the next element off `rest`, without blanks around it; it may be empty. `rest` loses its
// data pointer after the last one: loop with `while (rest.data() != nullptr)`.
[[nodiscard]] constexpr std::string_view next_element(std::string_view& rest) {
  const std::size_t comma = rest.find(',');
  const std::string_view element = scan::trim(rest.substr(0, comma));
  rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  return element;
}

// Whether the list has this element, without regard to case.
[[nodiscard]] constexpr bool has_element(std::string_view list, std::string_view element) {
  do {
    if (scan::equals_nocase(next_element(list), element)) return true;
  } while (list.data() != nullptr);
  return false;
}

}  // namespace weir::http
