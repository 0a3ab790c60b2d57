// RelayServer: a scripted server behind a relay. Each connection that it accepts has a payload of
// its own to send; whose payload it hears it learns from the PROXY header, the request or the
// first bytes, and every byte has to fit from then on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/world/relay_end.h"

namespace weir::sim {

// The backends that relays go to.
enum class RelayGroup : std::uint8_t {
  any,      // Of TCP without a name that says otherwise, and of CONNECT.
  below,    // Of names below below.sim.
  upgrade,  // Of requests.
  count_,
};

class RelayServer {
 public:
  RelayServer(Kernel& kernel, std::uint64_t seed, Ledger& ledger, RelayLedger& relays,
              const RelayManners& manners, RelayGroup group, std::uint32_t number,
              const os::Address& address);
  ~RelayServer();

  void listen(Listener::Answer answer);
  // Resets every connection and refuses new ones.
  void vanish();
  // From now on its ends are polite.
  void behave() { manners_ = calmed(manners_); }

 private:
  class Peer;
  // The group whose servers this client must reach; count_: none.
  [[nodiscard]] RelayGroup group_of(const RelayScript& script) const;

  Kernel& kernel_;
  std::uint64_t seed_;
  Ledger& ledger_;
  RelayLedger& relays_;
  RelayManners manners_;
  RelayGroup group_;
  std::uint32_t number_;
  os::Address address_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace weir::sim
