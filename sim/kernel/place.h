// Place: an address of the simulated network: an ip and a port, or the path of a unix socket.
#pragma once

#include <string>

#include "os/address.h"

namespace weir::sim {

struct Place {
  os::Peer ip;       // Family `none` for a path.
  std::string path;  // Empty for an ip.

  [[nodiscard]] bool is_path() const { return ip.family == os::Peer::Family::none; }
  [[nodiscard]] bool is_any() const { return ip.ip == decltype(ip.ip){}; }
  // Whether a socket bound to either would receive connections meant for the other.
  [[nodiscard]] bool overlaps(const Place& other) const {
    if (is_path() || other.is_path()) return is_path() && other.is_path() && path == other.path;
    return ip.family == other.ip.family && ip.port == other.ip.port &&
           (ip.ip == other.ip.ip || is_any() || other.is_any());
  }
  [[nodiscard]] std::string text() const;
};

// The socket address as the kernel reads it.
[[nodiscard]] Place place_of(const os::Address& address);

}  // namespace weir::sim
