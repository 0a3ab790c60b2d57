// How many connections there is room for: what the limit of open files leaves for clients.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace weir::control {

// Of the process that serves.
struct Room {
  unsigned workers = 1;
  std::uint64_t descriptor_limit = 1024;
};

// The number of workers that `runtime` means on this machine.
[[nodiscard]] unsigned worker_count(const config::Runtime& runtime);

// Descriptors for proxied clients and pipes, beside `listeners` listeners.
[[nodiscard]] std::uint64_t free_descriptors(std::size_t listeners, const Room& room);

// The most connections of `listener`, one of `all`, or a sentence that says what to do.
[[nodiscard]] Result<std::uint32_t, std::string> connections_max(
    const config::Listener& listener, const std::vector<config::Listener>& all, const Room& room);

}  // namespace weir::control
