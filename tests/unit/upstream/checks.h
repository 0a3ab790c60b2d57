// What the tests of health checks ask for, and of whom.
#pragma once

#include <cstdint>

#include "config/config.h"

namespace weir::upstream::test {

// By HTTP, with more time than a test takes.
inline config::HealthCheck http_check() {
  config::HealthCheck check;
  check.type = config::HealthCheck::Type::http;
  check.timeout = config::Milliseconds(60'000);
  return check;
}

inline config::Server server_at(std::uint16_t port) {
  config::Server server;
  server.address = {config::Endpoint::Family::ipv4, "127.0.0.1", port};
  return server;
}

}  // namespace weir::upstream::test
