// World: one run of one seed: weir, its clients and servers, what happens to them, and the end.
//
//   traffic    faults on; reloads, servers that leave and return, names that change, limits,
//   perhaps
//              a drain
//   settling   faults off; what was stalled runs into its deadlines
//   probing    polite clients, who must all be served by what is left
//   idling     nothing may be under way or kept: no exchange, no server connection, no buffer
//   draining   in bounded time every session ends, and with the workers every descriptor is gone
//
// A seed that drains or stops weir in the middle of the traffic goes to the end from there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/kernel/kernel.h"
#include "sim/world/client.h"
#include "sim/world/ledger.h"
#include "sim/world/limits.h"
#include "sim/world/names.h"
#include "sim/world/relays.h"
#include "sim/world/report.h"
#include "sim/world/server.h"
#include "sim/world/settings.h"
#include "sim/world/subject.h"

namespace weir::sim {

class World {
 public:
  World(std::uint64_t seed, const Limits& limits);
  ~World();

  // Fails the process when anything is wrong.
  [[nodiscard]] Report run();

 private:
  void faults_on();
  void live();
  void make_servers();
  void make_clients();
  void add_client(const ClientScript& script);

  // What happens beside the traffic.
  void schedule_events();
  void schedule_event();
  void reload();
  void take(const config::Config& config);
  void server_trouble();
  void descriptor_trouble();
  void leave_early();
  void stop();

  void settle();
  void probe();
  void check_idle();
  void check_nothing_kept(proxy::Worker& worker);
  void drain();
  void finish();
  void check_counters();
  void read_log();
  [[nodiscard]] static bool refused_before_its_request(std::string_view line);

  // Steps until `done`, or fails when it takes longer.
  template <typename Done>
  void run_until(Done done, std::uint64_t limit_ns, const char* checker);
  void run_for(std::uint64_t ns);
  void step();
  [[nodiscard]] bool clients_finished() const;
  [[nodiscard]] std::string unfinished_clients() const;

  std::uint64_t seed_;
  Limits limits_;
  Prng prng_;
  Manners manners_;
  Kernel kernel_;
  Ledger ledger_;
  Relays relays_;
  Names names_;
  Report report_;
  config::Config config_;  // Without what relays need.
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<Subject> subject_;
  std::uint64_t steps_ = 0;
  std::uint64_t log_lines_ = 0;
  std::uint64_t refusals_ = 0;  // Of them: connections that never had a request.
  bool settled_ = false;        // Nothing goes wrong any more.
  bool left_early_ = false;     // weir was told to leave in the middle of the traffic.
};

}  // namespace weir::sim
