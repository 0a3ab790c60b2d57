#include "control/program.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "control/config_file.h"
#include "control/reload_diff.h"
#include "control/version.h"
#include "os/process.h"

namespace weir::control {
namespace {

unsigned worker_count(const config::Runtime& runtime) {
  if (runtime.workers) return *runtime.workers;
  const auto cpus = static_cast<unsigned>(os::usable_cpus().size());
  const unsigned quota = os::cgroup_cpu_quota();
  return std::max(1u, quota > 0 ? std::min(cpus, quota) : cpus);
}

loop::Trigger trigger_of(config::Trigger trigger) {
  switch (trigger) {
    case config::Trigger::edge: return loop::Trigger::edge;
    case config::Trigger::level: return loop::Trigger::level;
    case config::Trigger::oneshot: return loop::Trigger::oneshot;
  }
  return loop::Trigger::edge;
}

std::uint64_t unix_seconds() { return os::wall_clock_ns() / 1'000'000'000; }

}  // namespace

class Program::SignalSource final : public loop::Source {
 public:
  SignalSource(Program& program, os::Fd signals)
      : Source(loop::SourceKind::signals), program_(program) {
    fd = std::move(signals);
    CHECK(program_.loop_.watch_level(*this));
  }
  void run() override {
    for (os::Signal next = os::signals_next(fd); next != os::Signal::none;
         next = os::signals_next(fd)) {
      program_.signalled(next);
    }
  }

 private:
  Program& program_;
};

class Program::Ticker final : public loop::Source {
 public:
  Ticker(loop::Loop& loop, std::function<void()> tick)
      : Source(loop::SourceKind::none), loop_(loop), tick_(std::move(tick)) {
    expire_in_a_second();
  }
  void run() override {}
  void expire() override {
    tick_();
    expire_in_a_second();
  }

 private:
  void expire_in_a_second() { loop_.set_deadline(*this, loop_.now_ms() + 1000); }
  loop::Loop& loop_;
  std::function<void()> tick_;
};

class Program::GraceTimer final : public loop::Source {
 public:
  explicit GraceTimer(Program& program) : Source(loop::SourceKind::none), program_(program) {}
  void run() override {}
  void expire() override {
    program_.say("the grace period is over; closing what is left");
    program_.workers_->stop();
  }

 private:
  Program& program_;
};

Program::Program(config::Config config)
    : config_(std::move(config)), start_unix_s_(unix_seconds()) {}

Program::~Program() {
  workers_.reset();  // Joins the threads; the snapshots and servers they used are still here.
  if (logs_ != nullptr) logs_->stop();
}

Result<std::unique_ptr<Program>, std::string> Program::start(config::Config config,
                                                             std::string config_path,
                                                             os::Fd signals) {
  std::unique_ptr<Program> program(new Program(std::move(config)));
  program->config_path_ = std::move(config_path);
  program->descriptor_limit_ = os::raise_descriptor_limit();
  const config::Config& given = program->config_;
  const unsigned workers = worker_count(given.runtime);
  Result<std::unique_ptr<LogWriter>, std::string> logs = LogWriter::open(given.log.access, workers);
  if (!logs) return Err(logs.error());
  program->logs_ = std::move(*logs);
  program->registry_ = std::make_unique<upstream::ServerRegistry>(workers);
  WorkerSet::Options options{workers, trigger_of(given.runtime.trigger),
                             program->descriptor_limit_};
  Program* self = program.get();
  Result<std::unique_ptr<WorkerSet>, std::string> set =
      WorkerSet::create(given.listeners, options, *program->logs_, program->loop_.mailbox(),
                        [self] { self->stopped_ = true; });
  if (!set) return Err(set.error());
  program->workers_ = std::move(*set);
  std::string error = program->start_admin();
  if (!error.empty()) return Err(std::move(error));
  program->signals_ = std::make_unique<SignalSource>(*program, std::move(signals));
  program->config_metrics_.generation = 0;
  program->publish(given);
  program->logs_->start();
  program->workers_->start();
  program->phase_ = Phase::serving;
  return program;
}

// Empty, or why not.
std::string Program::start_admin() {
  if (!config_.admin) return {};
  os::SocketResult socket =
      os::listen_on(upstream::to_address(*config_.admin), os::Share::first, 128);
  if (socket.status != os::IoStatus::done) {
    return "cannot listen on " + config_.admin->text() +
           " for the admin pages: " + os::to_string(socket.status) +
           "; choose another address for [admin] bind";
  }
  admin_ = std::make_unique<LocalHttpServer>(
      loop_, std::move(socket.fd),
      admin_pages({[this] { return phase_; }, [this] { return metrics(); }}));
  return admin_->start() ? "" : "cannot watch the admin socket: out of kernel memory";
}

int Program::run(std::function<void()> every_second) {
  if (every_second) ticker_ = std::make_unique<Ticker>(loop_, std::move(every_second));
  while (!stopped_) loop_.turn();
  workers_->join();
  return config::kExitOk;
}

// Through the log writer: the control thread must not wait for whoever reads standard error.
void Program::say(const std::string& text) { logs_->say("weir: " + text + "\n"); }

void Program::signalled(os::Signal signal) {
  switch (signal) {
    case os::Signal::terminate: shut_down(); break;
    case os::Signal::reload: reload(); break;
    case os::Signal::reopen: logs_->reopen(); break;
    case os::Signal::none: break;
  }
}

void Program::shut_down() {
  if (phase_ == Phase::draining) {
    say("second signal: closing what is left");
    workers_->stop();
    return;
  }
  phase_ = Phase::draining;
  const std::uint64_t grace_ms = static_cast<std::uint64_t>(config_.runtime.shutdown_grace.count());
  const std::string grace = grace_ms % 1000 == 0 ? std::to_string(grace_ms / 1000) + " s"
                                                 : std::to_string(grace_ms) + " ms";
  say("stopping: no new connections, requests under way have " + grace +
      "; a second signal stops at once");
  grace_ = std::make_unique<GraceTimer>(*this);
  loop_.set_deadline(*grace_, loop_.now_ms() + grace_ms);
  workers_->drain();
}

void Program::reload() {
  const std::string kept =
      "; generation " + std::to_string(config_metrics_.generation) + " stays active";
  if (config_path_.empty()) {
    say("SIGHUP ignored: this form has no configuration file to read again");
    return;
  }
  if (phase_ == Phase::draining) {
    say("SIGHUP ignored: stopping" + kept);
    return;
  }
  ConfigFile file = read_config(config_path_, false);
  logs_->say(diagnostics_text(
      file, file.config ? "configuration applied" : "configuration NOT applied" + kept));
  config_metrics_.last_reload_successful = file.config.has_value();
  if (!file.config) {
    ++config_metrics_.reloads_failed;
    say("reload refused: " + config_path_ + " has errors" + kept);
    return;
  }
  ++config_metrics_.reloads_succeeded;
  for (const std::string& what : needs_restart(config_, *file.config)) {
    say("needs a restart: " + what);
  }
  const std::string changes = describe_changes(config_, *file.config);
  publish(std::move(*file.config));
  reload_report_ = "reloaded " + config_path_ + ": generation " +
                   std::to_string(config_metrics_.generation) + " is active (" + changes + ")";
}

void Program::adopted(proxy::Snapshot& snapshot) {
  if (snapshot.generation() != config_metrics_.generation || reload_report_.empty()) return;
  say(std::exchange(reload_report_, {}));
}

void Program::publish(config::Config config) {
  ++config_metrics_.generation;
  config_metrics_.last_success_unix_s = unix_seconds();
  config_ = keep_fixed_parts(config_, std::move(config));
  proxy::SnapshotOwner& owner = *this;
  snapshots_.push_back(std::make_unique<proxy::Snapshot>(config_, config_metrics_.generation,
                                                         workers_->listener_names(), *registry_,
                                                         owner, workers_->workers()));
  snapshots_.back()->publish();
}

// A worker has let go of an old snapshot. When all have, it goes, and with it the state of servers
// that no snapshot names any more.
void Program::released(proxy::Snapshot& snapshot) {
  if (snapshot.users() > 0) return;
  std::erase_if(snapshots_, [&](const auto& each) { return each.get() == &snapshot; });
  std::vector<upstream::ServerState*> used;
  for (const auto& each : snapshots_) {
    used.insert(used.end(), each->servers().begin(), each->servers().end());
  }
  registry_->keep_only(used);
}

std::string Program::metrics() const {
  std::vector<WorkerMetrics> workers;
  for (proxy::Worker* worker : workers_->workers()) {
    workers.push_back({&worker->counters(), &worker->loop_counters(), &worker->buffers()});
  }
  std::vector<const proxy::ListenerState*> listeners;
  for (const auto& listener : workers_->listeners()) listeners.push_back(listener.get());
  std::vector<ServerMetrics> servers;
  for (const upstream::ServerState* state : snapshots_.back()->servers()) {
    servers.push_back({state->backend(), state->name(), state});
  }
  MetricsInput input;
  input.version = kVersion;
  input.start_unix_s = start_unix_s_;
  input.open_files_max = descriptor_limit_;
  input.log_lines_unwritten = logs_->lines_unwritten();
  input.config = config_metrics_;
  input.workers = workers;
  input.listeners = listeners;
  input.servers = servers;
  input.control_loop = &loop_.counters();
  input.admin = admin_ != nullptr ? &admin_->counters() : nullptr;
  return render_metrics(input);
}

std::string Program::describe() const {
  std::string text = std::string("weir ") + kVersion + "\n";
  for (const auto& listener : workers_->listeners()) {
    for (const std::string& address : listener->addresses) {
      text += "  listening  " + address + "  (" + listener->name + ", at most " +
              std::to_string(listener->connections_max) + " connections)\n";
    }
  }
  if (config_.admin) {
    text += "  admin      http://" + config_.admin->text() + "/metrics, /healthz, /readyz\n";
  }
  for (const config::Backend& backend : config_.backends) {
    text += "  backend    " + backend.name + ", " + to_string(backend.balance) + ":";
    constexpr std::size_t kShown = 8;
    for (std::size_t i = 0; i < std::min(backend.servers.size(), kShown); ++i) {
      text += " " + backend.servers[i].address.text();
    }
    if (backend.servers.size() > kShown) {
      text += " and " + std::to_string(backend.servers.size() - kShown) + " more";
    }
    text += "\n";
  }
  const std::size_t count = workers_->workers().size();
  text += "  workers    " + std::to_string(count) + (count == 1 ? ", on cpu" : ", on cpus");
  for (const int cpu : workers_->cpus()) text += " " + std::to_string(cpu);
  return text + "\n";
}

std::uint64_t Program::requests() const {
  std::uint64_t sum = 0;
  for (proxy::Worker* worker : workers_->workers()) sum += worker->counters().requests.read();
  return sum;
}

std::uint64_t Program::errors() const {
  std::uint64_t sum = 0;
  for (proxy::Worker* worker : workers_->workers()) {
    for (const Counter& counter : worker->counters().errors) sum += counter.read();
  }
  return sum;
}

}  // namespace weir::control
