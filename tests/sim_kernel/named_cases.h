// The cases of edge-triggered epoll, splice and reset that a load balancer lives with, by name.
#pragma once

namespace weir::sim {

void run_named_cases();

}  // namespace weir::sim
