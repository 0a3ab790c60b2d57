// Whether an address belongs to configured networks.
#pragma once

#include <vector>

#include "config/config.h"
#include "os/address.h"

namespace weir::proxy {

// False for clients of unix sockets, which have no address.
[[nodiscard]] bool contains(const std::vector<config::Network>& networks, const os::Peer& peer);

}  // namespace weir::proxy
