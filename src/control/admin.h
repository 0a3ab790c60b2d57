// The admin pages: /healthz, /readyz, /metrics, and an index. Read-only.
//
// Nothing here changes anything and nothing is secret, so any Host is served; a page that changes
// something needs a rule about Host and Origin, and a token.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "control/local_http.h"

namespace weir::control {

// How far the program is, as /readyz tells it.
enum class Phase : std::uint8_t {
  starting,  // Workers do not run yet: 503.
  serving,   // 200, also while every server is down: that is seen from the outside as 503 with a
             // reason, while a balancer in front that takes all weirs away has nobody to ask.
  draining,  // No new connections: 503, so that a balancer in front sends its clients elsewhere.
};

struct AdminSources {
  std::function<Phase()> phase;
  std::function<std::string()> metrics;  // The page of control/metrics.h.
};

// The handler for a LocalHttpServer.
[[nodiscard]] LocalHttpServer::Handler admin_pages(AdminSources sources);

}  // namespace weir::control
