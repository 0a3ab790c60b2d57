// Server: one scripted server with its connections, of a backend or of the mirror. It checks every
// request that reaches it and answers as the script of that attempt says; health checks it answers
// as its health is.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/world/ledger.h"
#include "sim/world/oracle.h"
#include "sim/world/talker.h"

namespace weir::sim {

class Server {
 public:
  Server(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const Manners& manners,
         std::uint32_t number, const os::Address& address);
  ~Server();

  // Comes up, or changes how connection attempts are answered.
  void listen(Listener::Answer answer);
  // Resets every connection and refuses new ones.
  void vanish();
  // It refuses, resets or closes by itself. What a mirror does is no excuse for anything.
  void trouble() { ledger_.weather.servers_leave = ledger_.weather.servers_leave || !mirror_; }
  // From now on every answer is complete, quick, small and polite.
  void behave() {
    manners_ = calmed(manners_);
    well_ = true;
  }
  [[nodiscard]] std::uint32_t number() const { return number_; }
  // Connections that weir has not closed.
  [[nodiscard]] std::size_t connections() const;

 private:
  class Peer;
  // A request at the server on one of its connections.
  struct Guest {
    const Peer* peer = nullptr;
    std::uint64_t serial = 0;
  };

  [[nodiscard]] std::vector<Guest> guests() const;
  void check_guests();

  Kernel& kernel_;
  std::uint64_t seed_;
  Ledger& ledger_;
  Manners manners_;
  bool well_ = false;  // Health checks pass, and it asks for all its share.
  std::uint64_t probes_ = 0;
  std::uint32_t number_;
  bool mirror_;  // Copies come here, and nothing else.
  os::Address address_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace weir::sim
