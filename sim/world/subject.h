// Subject: weir as it runs, without threads: the control loop and the workers are fibers of the
// simulated kernel. Everything else is the code of the product.
//
// What Program does besides (signals, the log's thread, the admin pages) the world does instead.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/prng.h"
#include "config/config.h"
#include "control/backend_watch.h"
#include "control/log_writer.h"
#include "control/name_service.h"
#include "control/prober.h"
#include "control/publisher.h"
#include "control/worker_set.h"
#include "loop/loop.h"
#include "sim/kernel/kernel.h"
#include "sim/world/memory_checks.h"
#include "sim/world/names.h"
#include "sim/world/upstream_checks.h"

namespace weir::sim {

class Subject final {
 public:
  Subject(Kernel& kernel, const config::Config& config, unsigned workers, loop::Trigger trigger,
          const proxy::WorkTuning& work, Names& names);
  ~Subject();

  // From outside: these things happen on the control thread, a little later.
  void reload(config::Config config);
  void drain();
  void stop();

  // Every worker has adopted the first snapshot.
  [[nodiscard]] bool serves() const { return serves_; }
  // Every fiber has ended.
  [[nodiscard]] bool ended() const { return control_ended_; }
  [[nodiscard]] const std::vector<proxy::Worker*>& workers() const { return workers_->workers(); }
  [[nodiscard]] const std::vector<std::unique_ptr<proxy::ListenerState>>& listeners() const {
    return workers_->listeners();
  }
  [[nodiscard]] std::size_t snapshots() const { return publisher_.snapshots(); }
  [[nodiscard]] const UpstreamChecks& upstream() const { return *checks_; }
  // Time jumps from now on, or does not any more: waits prove nothing.
  void set_late(bool late) { late_ = late; }
  [[nodiscard]] std::uint64_t turns() const;
  // Of the worker that had the fewest.
  [[nodiscard]] std::uint64_t fewest_turns() const;
  // Appends what the access log has got since, and what the control thread and the workers have
  // told the operator.
  void drain_log(std::string& lines, std::string& events);

 private:
  struct Errand final : loop::Message {
    void deliver() override;
    std::vector<std::function<void()>> actions;
  };
  // One worker's run queue at the end of a turn.
  struct Queue {
    struct Waiting {
      std::size_t place = 0;
      std::size_t turns = 0;   // Since it ran or was queued.
      std::size_t behind = 0;  // So many were before it then.
    };
    std::unordered_map<const loop::Source*, Waiting> sources;
    std::uint64_t steps = 0;  // Of all turns so far.
  };

  void act(std::function<void()> action);
  void publish(config::Config config);
  void publish_expanded();
  void run_control();
  void run_worker(std::size_t index);
  void stir(proxy::Worker& worker);
  void check_upstream();
  void check_turn(proxy::Worker& worker);
  static void check_queue(proxy::Worker& worker, Queue& queue);
  void check_deadlines(proxy::Worker& worker);
  static void check_redirections(proxy::Worker& worker, std::size_t users);

  Kernel& kernel_;
  Names& names_;
  MemoryChecks memory_;
  loop::Loop loop_;
  control::Publisher publisher_;
  std::unique_ptr<control::LogWriter> logs_;
  std::unique_ptr<control::WorkerSet> workers_;
  control::Prober prober_;
  control::BackendWatch backend_watch_;
  std::unique_ptr<control::NameService> name_service_;  // Only in runs with names.
  config::Config config_;                               // With names.
  std::optional<UpstreamChecks> checks_;
  Errand errand_;
  std::string said_;  // By the control thread.
  bool stirs_;        // Clients are handed over, and more than the work asks for.
  Prng prng_{0};
  bool late_ = false;
  bool serves_ = false;
  bool leaving_ = false;  // Nothing is published any more.
  bool all_stopped_ = false;
  bool control_ended_ = false;
};

}  // namespace weir::sim
