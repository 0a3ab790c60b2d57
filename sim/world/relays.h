// Relays: the part of a world in which weir relays bytes that it does not read: the listeners,
// routes and backends for it, the servers behind them, and the clients in front.
//
// Runs have it or have it not (RelayManners); what the rest of the world does is drawn from other
// numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "config/config.h"
#include "sim/world/ledger.h"
#include "sim/world/limits.h"
#include "sim/world/relay_client.h"
#include "sim/world/relay_ledger.h"
#include "sim/world/relay_server.h"

namespace weir::sim {

inline constexpr const char* kRelayName = "relay";    // The TCP listener.
inline constexpr const char* kTunnelName = "tunnel";  // The HTTP listener for tunnels.
// No relay is given up sooner for being silent.
inline constexpr std::uint64_t kTunnelIdleMinNs = 20 * kSecond;
// No PROXY header or server name is waited for less.
inline constexpr std::uint64_t kClientHeadMinNs = 5 * kSecond;

[[nodiscard]] os::Address relay_listener(bool tunnel);
// Where those come from who may send PROXY headers; its port is any.
[[nodiscard]] os::Peer trusted_proxy();

class Relays {
 public:
  Relays(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const Limits& limits);

  [[nodiscard]] bool any() const { return manners_.clients > 0; }
  // The same configuration with what relays need.
  [[nodiscard]] config::Config add_to(config::Config config);
  // The same, drawn anew or not.
  void redraw();
  void listen();
  void begin();
  // One of the servers does something bad for a while.
  void trouble();
  // From now on everybody is polite.
  void settle();
  // Those who come then have to be relayed.
  void probe();
  void check_probes() const;

  [[nodiscard]] bool finished() const;
  [[nodiscard]] std::string unfinished() const;
  [[nodiscard]] RelayLedger& ledger() { return relays_; }

 private:
  void draw_backends();
  [[nodiscard]] config::Backend backend(const char* name, RelayGroup group);
  void note_rules();
  void add_client(const RelayManners& manners);

  Kernel& kernel_;
  std::uint64_t seed_;
  Ledger& ledger_;
  const Limits& limits_;
  RelayManners manners_;
  Prng prng_;
  RelayLedger relays_;
  std::vector<config::Backend> backends_;
  config::Milliseconds tunnel_idle_{0};
  config::Milliseconds client_head_{0};
  std::vector<std::unique_ptr<RelayServer>> servers_;
  std::vector<std::unique_ptr<RelayClient>> clients_;
  std::size_t probes_from_ = 0;
};

}  // namespace weir::sim
