// What weir can no longer do since it has become another user, said at the start and not at night.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace weir::control {

// One sentence, with what to do, for each of: reading the file again, opening the access log anew,
// removing the files of unix sockets. Asks the file system as this process.
[[nodiscard]] std::vector<std::string> lost_rights(const config::Config& config,
                                                   const std::string& config_path);

}  // namespace weir::control
