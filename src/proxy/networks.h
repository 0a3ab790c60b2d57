// Whether an address belongs to configured networks.
#pragma once

#include <vector>

#include "config/config.h"
#include "os/address.h"

namespace weir::proxy {

// Both are false for clients of unix sockets, which have no address.
[[nodiscard]] bool contains(const config::Network& network, const os::Peer& peer);
[[nodiscard]] inline bool contains(const std::vector<config::Network>& networks,
                                   const os::Peer& peer) {
  for (const config::Network& network : networks) {
    if (contains(network, peer)) return true;
  }
  return false;
}

}  // namespace weir::proxy
