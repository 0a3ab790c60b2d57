// Prober: the active health checks of all servers: when each is due, and what follows from its
// outcome.
//
//   due (interval, jitter; or asked for after so many requests) ─► queue ─► at most 64 probes
//     ─► rise and fall (health/active.h) ─► ServerState: verdict, load report, slow start ─► a log
//        line for each change
//
// Once per process, on the control thread's loop. Servers are spread over their interval when they
// come, so that a thousand of them do not burst; the queue bounds what jitter cannot.
// Destroyed between two turns, before the loop and the states.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/intrusive_list.h"
#include "base/prng.h"
#include "base/slab.h"
#include "control/server_check.h"
#include "loop/loop.h"
#include "net/buffer.h"
#include "net/connection.h"
#include "proxy/snapshot.h"
#include "upstream/probe.h"
#include "upstream/server_state.h"

namespace weir::control {

class Prober final : public upstream::ProbeCallee,
                     private loop::Source,
                     private upstream::ProbeOwner {
 public:
  static constexpr std::size_t kProbesMax = 64;

  // `say` takes one line for the log, without "weir: ".
  Prober(loop::Loop& loop, std::function<void(const std::string&)> say, std::uint64_t seed);
  ~Prober();

  // From now on these, in any order, each state once. A server whose check did not change goes on
  // as if nothing had happened; with another check its verdict and what counts against it stand.
  // What is not named any more is forgotten: its verdict too, should the server go on without a
  // check. States of the list before must still be there.
  void watch(std::vector<CheckedServer> servers);

  // `every_requests` more have been sent to the server: checks it soon. Ignored when unknown.
  void asked(upstream::ServerState& server) override;

  // Null when the server is not checked.
  [[nodiscard]] const CheckHistory* history(const upstream::ServerState& server) const;
  // When the next one is due, by the loop's clock; nothing while one is under way, or for a server
  // that is not checked.
  [[nodiscard]] std::optional<std::uint64_t> next_check_ms(
      const upstream::ServerState& server) const;
  [[nodiscard]] std::size_t under_way() const { return flying_.size(); }
  // Checks that are due and wait because kProbesMax are under way, or for memory.
  [[nodiscard]] std::size_t waiting();
  [[nodiscard]] std::size_t servers() const { return checks_.size(); }

 private:
  friend class ServerCheck;

  void run() override;
  void expire() override { loop_.schedule(*this); }
  void probed(upstream::Probe& probe) override;

  void due(ServerCheck& check);
  [[nodiscard]] bool begin(ServerCheck& check);
  void wait(ServerCheck& check);
  void drop(ServerCheck& check);

  loop::Loop& loop_;
  std::function<void(const std::string&)> say_;
  Prng random_;
  net::BufferPool buffers_;
  net::Traffic traffic_;
  Slab<upstream::Probe, 8> probes_{kProbesMax};
  std::unordered_map<upstream::Probe*, ServerCheck*> flying_;  // Null: of a check that is gone.
  // In the order of names: nothing happens in the order of addresses.
  struct ByIdentity {
    [[nodiscard]] bool operator()(const upstream::ServerState* one,
                                  const upstream::ServerState* other) const;
  };
  std::map<const upstream::ServerState*, std::unique_ptr<ServerCheck>, ByIdentity> checks_;
  IntrusiveList<ServerCheck, DueTag> due_;  // Waiting for a probe, the longest waiting first.
};

// The servers of the configuration that are to be checked. `snapshot` was made of it.
[[nodiscard]] std::vector<CheckedServer> checked_servers(const config::Config& config,
                                                         const proxy::Snapshot& snapshot);

}  // namespace weir::control
