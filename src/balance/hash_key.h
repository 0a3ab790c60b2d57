// The hash that turns bytes into the key of an Attempt: XXH64 (Collet, public specification).
//
// Without a secret and the same on every machine, so that several nodes map a client to the same
// server. Who can choose keys can therefore aim at one server, as with any shared mapping; the
// load bound of the keyed policy is what protects it.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::balance {

[[nodiscard]] std::uint64_t hash_key(std::string_view bytes, std::uint64_t seed = 0);

}  // namespace weir::balance
