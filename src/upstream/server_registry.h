// ServerRegistry: every ServerState there is, by identity. Control thread only.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "config/config.h"
#include "upstream/server_state.h"

namespace weir::upstream {

class ServerRegistry {
 public:
  explicit ServerRegistry(unsigned worker_count) : worker_count_(worker_count) {}

  // The state of this server: the one it has had since it was first named, or a new one.
  [[nodiscard]] ServerState& find_or_create(const std::string& backend,
                                            const config::Server& server);
  // Drops every state that is not in `used`.
  void keep_only(const std::vector<ServerState*>& used);
  [[nodiscard]] std::size_t size() const { return states_.size(); }

 private:
  using Identity = std::tuple<std::string, std::string, std::string>;  // Backend, name, address.
  unsigned worker_count_;
  std::map<Identity, std::unique_ptr<ServerState>> states_;
};

// The kernel's form of a validated endpoint.
[[nodiscard]] os::Address to_address(const config::Endpoint& endpoint);

}  // namespace weir::upstream
