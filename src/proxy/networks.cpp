#include "proxy/networks.h"

#include <cstring>

namespace weir::proxy {

bool contains(const config::Network& network, const os::Peer& peer) {
  const os::Peer::Family family = network.ipv6 ? os::Peer::Family::ipv6 : os::Peer::Family::ipv4;
  if (peer.family != family) return false;
  const std::size_t whole = network.prefix_bits / 8;
  if (std::memcmp(network.address, peer.ip.data(), whole) != 0) return false;
  const unsigned rest = network.prefix_bits % 8;
  if (rest == 0) return true;
  const unsigned mask = 0xffu << (8 - rest) & 0xffu;
  return (network.address[whole] & mask) == (peer.ip[whole] & mask);
}

}  // namespace weir::proxy
