// Random messages that are nearly right: each part is drawn from good, odd and broken spellings, so
// that every rule is met often and many messages still pass.
#pragma once

#include <rapidcheck.h>

#include <string>

namespace weir::http::test {

// `good` parts are drawn much more often than `bad` ones.
[[nodiscard]] std::string draw(const std::vector<std::string>& good,
                               const std::vector<std::string>& bad);

// A whole request or response, body included. Must be called inside a property.
[[nodiscard]] std::string random_request();
[[nodiscard]] std::string random_response();

}  // namespace weir::http::test
