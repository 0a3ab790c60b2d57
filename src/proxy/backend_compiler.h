// From a backend's configuration to the plan the workers use.
#pragma once

#include "config/config.h"
#include "proxy/shared_state.h"
#include "upstream/backend_plan.h"

namespace weir::proxy {

// `state`: the backend's, which must outlive the plan.
[[nodiscard]] upstream::BackendPlan compile_backend(const config::Backend& from,
                                                    SharedState& shared,
                                                    upstream::BackendState& state);

}  // namespace weir::proxy
