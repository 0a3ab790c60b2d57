// The one translation of errno into IoStatus. Private to src/os.
#pragma once

#include "os/io_result.h"

namespace weir::os {

[[nodiscard]] IoStatus status_of(int error);

}  // namespace weir::os
