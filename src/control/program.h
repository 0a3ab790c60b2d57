// Program: weir as it runs: the control thread with its loop, the workers, the logs, the admin
// pages, signals and reloads.
//
//   start() binds and prints what it found ─► run() turns the control loop
//   SIGHUP   ─► read, validate, compile a new Snapshot, publish it to the workers
//   SIGTERM  ─► draining: queues emptied, sockets closed, running exchanges finish ─► exit 0
//   SIGTERM again, or the grace is over ─► everything ends now ─► exit 0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "control/admin.h"
#include "control/backend_watch.h"
#include "control/local_http.h"
#include "control/log_writer.h"
#include "control/metrics.h"
#include "control/name_service.h"
#include "control/prober.h"
#include "control/publisher.h"
#include "control/worker_set.h"
#include "loop/loop.h"

namespace weir::control {

class Program final {
 public:
  // `config_path`: the file to read again on SIGHUP; empty when there is none. Signals must have
  // been opened before. The error is a sentence.
  [[nodiscard]] static Result<std::unique_ptr<Program>, std::string> start(config::Config config,
                                                                           std::string config_path,
                                                                           os::Fd signals);
  ~Program();

  // Says on standard error what listens, which servers, how many workers.
  void announce();
  // Until a signal ends it. `watch`, when given, is called once a second, and a last time when
  // weir begins to stop, before it says so. False from it stops weir. Returns the exit code.
  [[nodiscard]] int run(std::function<bool()> watch = {});

  [[nodiscard]] Phase phase() const { return phase_; }
  // Sums over the workers, for the demo's live line.
  [[nodiscard]] std::uint64_t requests() const;
  [[nodiscard]] std::uint64_t errors() const;

 private:
  class SignalSource;
  class Ticker;
  class GraceTimer;

  explicit Program(config::Config config);
  void say(const std::string& text);
  [[nodiscard]] std::string describe() const;
  void signalled(os::Signal signal);
  void shut_down();
  void reload();
  void publish(config::Config config);
  void publish_expanded();
  [[nodiscard]] std::string metrics() const;
  [[nodiscard]] std::string start_admin();
  void start_watches();
  [[nodiscard]] std::string give_up_rights();

  // The order is the order of construction: what comes first outlives what follows.
  config::Config config_;
  std::string config_path_;
  std::uint64_t descriptor_limit_ = 0;
  std::uint64_t start_unix_s_ = 0;
  ConfigMetrics config_metrics_;
  loop::Loop loop_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<LogWriter> logs_;
  std::unique_ptr<WorkerSet> workers_;
  std::unique_ptr<NameService> names_;
  std::unique_ptr<Prober> prober_;
  std::unique_ptr<BackendWatch> backend_watch_;
  std::optional<os::SocketFile> admin_file_;
  std::unique_ptr<LocalHttpServer> admin_;
  std::unique_ptr<SignalSource> signals_;
  std::function<bool()> watch_;
  std::unique_ptr<Ticker> ticker_;
  std::unique_ptr<GraceTimer> grace_;
  std::string reload_report_;  // Said when every worker has taken the new snapshot.
  Phase phase_ = Phase::starting;
  bool stopped_ = false;
};

}  // namespace weir::control
