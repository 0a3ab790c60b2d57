// What the metrics page says about whole backends: their health, their limits, their queue; and
// about rate limits and the names of servers.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "control/backend_watch.h"
#include "control/name_watch.h"
#include "proxy/rate_limiter.h"
#include "upstream/backend_plan.h"

namespace weir::control {

// `now_ms`: by the clock of the loops.
void render_backends(std::string& out, std::span<const upstream::BackendPlan> input,
                     std::uint64_t now_ms);
void render_watch(std::string& out, const BackendWatchCounters& watch);
void render_limits(std::string& out, std::span<const proxy::RateLimiter* const> limits);
void render_names(std::string& out, const NameMetrics& names);

}  // namespace weir::control
