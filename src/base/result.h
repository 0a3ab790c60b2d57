// Result<T, E>: a value or the reason why there is none.
//
// An alias, so that std::expected can take over the day the compiler's C++23 library is complete.
// Used for configuration and start-up; the data path returns os::IoResult instead.
#pragma once

#include <tl/expected.hpp>

namespace weir {

template <typename T, typename E>
using Result = tl::expected<T, E>;

// Makes the error side of a Result: `return Err(Problem{...});`
template <typename E>
[[nodiscard]] auto Err(E&& error) {
  return tl::make_unexpected(std::forward<E>(error));
}

}  // namespace weir
