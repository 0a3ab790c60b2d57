#include "control/program.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "control/config_file.h"
#include "control/connection_room.h"
#include "control/listening.h"
#include "control/lost_rights.h"
#include "control/reload_diff.h"
#include "control/version.h"
#include "os/privileges.h"
#include "os/process.h"

namespace weir::control {
namespace {

loop::Trigger trigger_of(config::Trigger trigger) {
  switch (trigger) {
    case config::Trigger::edge: return loop::Trigger::edge;
    case config::Trigger::level: return loop::Trigger::level;
    case config::Trigger::oneshot: return loop::Trigger::oneshot;
  }
  return loop::Trigger::edge;
}

constexpr int kAdminBacklog = 128;
// A start waits this long for the names of servers; then it goes on without them.
constexpr std::uint64_t kNamesAtStartMs = 1'000;

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
  explicit Ticker(Program& program) : Source(loop::SourceKind::none), program_(program) {
    expire_in_a_second();
  }
  void run() override {}
  void expire() override {
    if (program_.phase_ == Phase::draining) return;  // watch_ has had its last call.
    if (!program_.watch_()) return program_.shut_down();
    expire_in_a_second();
  }

 private:
  void expire_in_a_second() { program_.loop_.set_deadline(*this, program_.loop_.now_ms() + 1000); }
  Program& program_;
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
  Program* self = program.get();
  program->publisher_ = std::make_unique<Publisher>(workers, [self] {
    if (!self->reload_report_.empty()) self->say(std::exchange(self->reload_report_, {}));
  });
  WorkerSet::Options options{workers, trigger_of(given.runtime.trigger),
                             program->descriptor_limit_};
  Result<std::unique_ptr<WorkerSet>, std::string> set =
      WorkerSet::create(given.listeners, options, *program->logs_, program->loop_.mailbox(),
                        [self] { self->stopped_ = true; });
  if (!set) return Err(set.error());
  program->workers_ = std::move(*set);
  std::string error = program->start_admin();
  if (error.empty()) error = program->give_up_rights();
  if (!error.empty()) return Err(std::move(error));
  program->signals_ = std::make_unique<SignalSource>(*program, std::move(signals));
  program->start_watches();
  program->publish(given);
  program->logs_->start();
  program->workers_->start();
  program->phase_ = Phase::serving;
  return program;
}

// Empty, or why not.
std::string Program::start_admin() {
  if (!config_.admin) return {};
  Result<Listening, std::string> bound = listen_first(*config_.admin, kAdminBacklog);
  if (!bound) return "the admin pages: " + bound.error();
  admin_file_.emplace(std::move(bound->file));
  admin_ = std::make_unique<LocalHttpServer>(
      loop_, std::move(bound->socket),
      admin_pages({[this] { return phase_; }, [this] { return metrics(); }}));
  return admin_->start() ? "" : "cannot watch the admin socket: out of kernel memory";
}

// Empty, or why not. Everything is open by now; what comes from clients is read with less.
std::string Program::give_up_rights() {
  const config::Runtime& runtime = config_.runtime;
  std::string error = os::confine({runtime.user, runtime.group, runtime.core_dumps});
  if (!error.empty() || runtime.user.empty()) return error;
  for (const std::string& lost : lost_rights(config_, config_path_)) say(lost);
  return {};
}

void Program::start_watches() {
  const auto log = [this](const std::string& line) { say(line); };
  names_ = std::make_unique<NameService>(
      loop_, [this] { publish_expanded(); }, log);
  const auto changed = [this](const std::string& line) {
    say(line);
    backend_watch_->look();  // Fewer, or more, are healthy.
  };
  prober_ = std::make_unique<Prober>(loop_, changed, os::random_seed());
  backend_watch_ = std::make_unique<BackendWatch>(loop_, log, os::random_seed());
  names_->follow(config_);
  names_->settle(kNamesAtStartMs);
}

int Program::run(std::function<bool()> watch) {
  watch_ = std::move(watch);
  if (watch_) ticker_ = std::make_unique<Ticker>(*this);
  while (!stopped_) loop_.turn();
  workers_->join();
  return config::kExitOk;
}

// Through the log writer: the control thread must not wait for whoever reads standard error.
void Program::say(const std::string& text) {
  const char* over = os::is_terminal(2) ? "\r\033[K" : "";  // Over the ^C that it shows.
  logs_->say(over + ("weir: " + text + "\n"));
}

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
  if (watch_) (void)watch_();
  const std::uint64_t grace_ms = static_cast<std::uint64_t>(config_.runtime.shutdown_grace.count());
  const std::string grace = grace_ms % 1000 == 0 ? std::to_string(grace_ms / 1000) + " s"
                                                 : std::to_string(grace_ms) + " ms";
  say("stopping: no new connections, what is under way has " + grace +
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
  ConfigFile file = read_config(config_path_, false, signals_->fd);
  logs_->say(diagnostics_text(file, file.config ? "" : "configuration NOT applied" + kept));
  config_metrics_.last_reload_successful = file.config.has_value();
  if (!file.config) {
    ++config_metrics_.reloads_failed;
    return;
  }
  ++config_metrics_.reloads_succeeded;
  for (const std::string& what : needs_restart(config_, *file.config)) {
    say("needs a restart: " + what);
  }
  const std::string changes = describe_changes(config_, *file.config);
  publish(std::move(*file.config));
  reload_report_ = "reloaded " + config_path_ + ": generation " +
                   std::to_string(config_metrics_.generation) + " is active: " + changes;
}

void Program::publish(config::Config config) {
  config_metrics_.last_success_unix_s = unix_seconds();
  config_ = keep_fixed_parts(config_, std::move(config));
  names_->follow(config_);
  ++config_metrics_.generation;
  publish_expanded();
}

// The configuration with addresses instead of names, as they are known now.
void Program::publish_expanded() {
  if (phase_ == Phase::draining) return;
  const config::Config expanded = names_->expand(config_);
  publisher_->publish(expanded, *workers_);
  backend_watch_->watch(expanded, publisher_->newest());
  prober_->watch(checked_servers(expanded, publisher_->newest()));
}

std::string Program::metrics() const {
  std::vector<WorkerMetrics> workers;
  for (proxy::Worker* worker : workers_->workers()) {
    workers.push_back({&worker->counters(), &worker->loop_counters(), &worker->buffers(),
                       &worker->pipes().counters()});
  }
  std::vector<const proxy::ListenerState*> listeners;
  for (const auto& listener : workers_->listeners()) listeners.push_back(listener.get());
  const proxy::Snapshot& snapshot = publisher_->newest();
  std::vector<ServerMetrics> servers;
  for (const upstream::BackendPlan& backend : snapshot.backends()) {
    for (const upstream::GatePlan::Server& server : backend.gate.servers) {
      servers.push_back({backend.name, server.state->name(), server.state,
                         backend.gate.limit_now(server), prober_->history(*server.state),
                         backend.reports_load});
    }
  }
  const std::vector<const proxy::RateLimiter*> limits(snapshot.limits().begin(),
                                                      snapshot.limits().end());
  MetricsInput input;
  input.version = kVersion;
  input.start_unix_s = start_unix_s_;
  input.open_files_max = descriptor_limit_;
  input.log_lines_unwritten = logs_->lines_unwritten();
  input.config = config_metrics_;
  input.workers = workers;
  input.listeners = listeners;
  input.servers = servers;
  input.backends = snapshot.backends();
  input.limits = limits;
  input.now_ms = loop_.now_ms();
  input.checks_under_way = prober_->under_way();
  input.checks_waiting = prober_->waiting();
  input.watch = backend_watch_->counters();
  input.names = names_->metrics();
  input.control_loop = &loop_.counters();
  input.admin = admin_ != nullptr ? &admin_->counters() : nullptr;
  return render_metrics(input);
}

void Program::announce() { logs_->say(describe()); }

std::string Program::describe() const {
  std::string text = std::string("weir ") + kVersion + "\n";
  for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
    const proxy::ListenerState& listener = *workers_->listeners()[i];
    const bool tcp = config_.listeners[i].mode == config::ListenerMode::tcp;
    for (const std::string& address : listener.addresses) {
      text += "  listening  " + address + "  (" + listener.name + (tcp ? ", tcp" : "") +
              ", at most " + std::to_string(listener.connections_max) + " connections)\n";
    }
  }
  if (config_.admin) {
    text += "  admin      " + how_to_ask(*config_.admin, "/metrics") + ", /healthz, /readyz\n";
  }
  for (const config::Backend& backend : config_.backends) {
    text += "  backend    " + backend.name + ", " + to_string(backend.balance) + ":";
    constexpr std::size_t kShown = 8;
    for (std::size_t i = 0; i < std::min(backend.servers.size(), kShown); ++i) {
      const config::Server& server = backend.servers[i];
      text += " " + (server.host ? server.host->text() : server.address.text());
    }
    if (backend.servers.size() > kShown) {
      text += " and " + std::to_string(backend.servers.size() - kShown) + " more";
    }
    text += "\n";
  }
  const std::size_t count = workers_->workers().size();
  text += "  workers    " + std::to_string(count) + (count == 1 ? ", on cpu" : ", on cpus");
  for (const int cpu : workers_->cpus()) text += " " + std::to_string(cpu);
  if (!config_.runtime.user.empty()) text += "\n  user       " + config_.runtime.user;
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
