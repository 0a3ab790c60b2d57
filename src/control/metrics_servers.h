// What the metrics page says about each server: its state, its requests, its health checks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "control/server_check.h"
#include "upstream/server_state.h"

namespace weir::control {

struct ServerMetrics {
  std::string_view backend;
  std::string_view name;
  const upstream::ServerState* state = nullptr;
  std::uint32_t requests_max = 0;        // 0: no limit.
  const CheckHistory* checks = nullptr;  // Null when the server is not checked.
  bool reports_load = false;             // Its check asks how loaded it is.
};

void render_servers(std::string& out, std::span<const ServerMetrics> input);

}  // namespace weir::control
