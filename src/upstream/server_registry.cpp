#include "upstream/server_registry.h"

#include <unordered_set>

#include "base/check.h"

namespace weir::upstream {

os::Address to_address(const config::Endpoint& endpoint) {
  const bool is_unix = endpoint.family == config::Endpoint::Family::unix_path;
  const std::optional<os::Address> address = is_unix
                                                 ? os::Address::unix_path(endpoint.host)
                                                 : os::Address::ip(endpoint.host, endpoint.port);
  CHECK(address.has_value(), "an endpoint that was not validated");
  return *address;
}

ServerState& ServerRegistry::find_or_create(const std::string& backend,
                                            const config::Server& server) {
  const std::string address = server.address.text();
  std::unique_ptr<ServerState>& state = states_[Identity{backend, server.name, address}];
  if (state == nullptr) {
    state = std::make_unique<ServerState>(backend, server.name, to_address(server.address), address,
                                          worker_count_);
  }
  return *state;
}

void ServerRegistry::keep_only(const std::vector<ServerState*>& used) {
  const std::unordered_set<const ServerState*> kept(used.begin(), used.end());
  std::erase_if(states_, [&](const auto& entry) { return !kept.contains(entry.second.get()); });
}

}  // namespace weir::upstream
