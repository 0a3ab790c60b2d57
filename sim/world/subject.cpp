#include "sim/world/subject.h"

#include <algorithm>
#include <utility>

#include "sim/os_sim_account.h"
#include "sim/world/checkers.h"

namespace weir::sim {
namespace {

// Of a source: two bulk ones run per turn, so a queue of n waits n / 2 turns.
constexpr std::size_t kTurnsBesideQueue = 4;
// No timeout of the configuration is longer.
constexpr std::uint64_t kDeadlineAheadMaxMs = 120'000;
// A session and its exchange lease at most: in and out of either side, and the log line. What
// waits to be sent to a server is that side's out, before it has one.
constexpr std::size_t kBlocksPerSession = 2;
constexpr std::size_t kBlocksPerExchange = 3;
constexpr std::size_t kBlocksPerServerConnection = 2;
constexpr std::size_t kBlocksPerMirror = 1;  // Until it has a connection.

}  // namespace

Subject::Subject(Kernel& kernel, const config::Config& config, unsigned workers,
                 loop::Trigger trigger, const proxy::WorkTuning& work, Names& names)
    : kernel_(kernel),
      names_(names),
      memory_(workers),
      publisher_(workers, [this] { serves_ = true; }),
      prober_(
          loop_,
          [this](const std::string& line) {
            said_ += line + "\n";
            backend_watch_.look();
          },
          os::random_seed()),
      backend_watch_(
          loop_, [this](const std::string& line) { said_ += line + "\n"; }, os::random_seed()),
      stirs_(workers > 1 && work.interval_ms > 0) {
  auto logs = control::LogWriter::open("-", workers);
  check(logs.has_value(), "weir starts", logs ? "" : logs.error());
  logs_ = std::move(*logs);
  control::WorkerSet::Options options{workers, trigger, 4096, work};
  auto set = control::WorkerSet::create(config.listeners, options, *logs_, loop_.mailbox(),
                                        [this] { all_stopped_ = true; });
  check(set.has_value(), "weir starts", set ? "" : set.error());
  workers_ = std::move(*set);
  checks_.emplace(publisher_, *workers_);
  if (names_.any()) {
    name_service_ = std::make_unique<control::NameService>(
        loop_, [this] { publish_expanded(); },
        [this](const std::string& line) { said_ += line + "\n"; });
  }
  publish(config);
  workers_->start_without_threads();
  kernel.spawn("control", [this] { run_control(); });
  for (std::size_t i = 0; i < workers; ++i) {
    kernel.spawn("worker " + std::to_string(i), [this, i] { run_worker(i); });
  }
  if (stirs_) prng_ = Prng(os::random_seed());  // Last: nobody else gets another seed for it.
}

Subject::~Subject() = default;

// --- Fibers --------------------------------------------------------------------------------------

void Subject::run_control() {
  while (!all_stopped_) {
    loop_.turn();
    check_upstream();
    if (!leaving_) names_.after_turn(loop_.now_ns(), late_);
  }
  control_ended_ = true;
}

void Subject::run_worker(std::size_t index) {
  proxy::Worker& worker = *workers()[index];
  Queue queue;
  while (worker.running()) {
    {
      const Account account(Account::Of::weir);
      worker.turn();
    }
    if (stirs_ && worker.running() && !worker.draining()) stir(worker);
    check_queue(worker, queue);
    check_turn(worker);
    check_upstream();
  }
  workers_->ended(index);
}

// As if there was less to do elsewhere.
void Subject::stir(proxy::Worker& worker) {
  constexpr std::uint64_t kOneTurnIn = 20;
  if (prng_.bounded(kOneTurnIn) > 0) return;
  const std::size_t count = workers().size();
  const std::size_t other = worker.index() + 1 + prng_.bounded(count - 1);
  const auto clients = static_cast<std::uint32_t>(prng_.bounded(4));
  worker.hand_over().give({other % count, clients, prng_.bounded(4) == 0 ? 1U : 0U});
}

// --- Errands to the control thread ---------------------------------------------------------------

void Subject::Errand::deliver() {
  for (const auto& action : std::exchange(actions, {})) action();
}

void Subject::act(std::function<void()> action) {
  errand_.actions.push_back(std::move(action));
  if (errand_.actions.size() == 1) loop_.mailbox().post(errand_);
}

// The rest in the order of Program: the names, the workers, the outliers, the probes.
void Subject::publish(config::Config config) {
  config_ = std::move(config);
  if (name_service_ != nullptr) {
    names_.followed(config_);
    name_service_->follow(config_);
  }
  publish_expanded();
}

void Subject::publish_expanded() {
  if (leaving_) return;
  const config::Config expanded =
      name_service_ != nullptr ? name_service_->expand(config_) : config_;
  names_.published(config_, expanded);
  checks_->publishing(expanded);
  publisher_.publish(expanded, *workers_);
  checks_->published();
  backend_watch_.watch(expanded, publisher_.newest());
  prober_.watch(control::checked_servers(expanded, publisher_.newest()));
}

void Subject::reload(config::Config config) {
  act([this, config = std::move(config)] { publish(config); });
}
void Subject::drain() {
  act([this] {
    leaving_ = true;
    workers_->drain();
  });
}
void Subject::stop() {
  act([this] {
    leaving_ = true;
    workers_->stop();
  });
}

// --- What can be seen from outside ---------------------------------------------------------------

std::uint64_t Subject::turns() const {
  std::uint64_t sum = 0;
  for (const proxy::Worker* worker : workers_->workers())
    sum += worker->loop_counters().turns.read();
  return sum;
}

std::uint64_t Subject::fewest_turns() const {
  std::uint64_t fewest = UINT64_MAX;
  for (const proxy::Worker* worker : workers_->workers())
    fewest = std::min(fewest, worker->loop_counters().turns.read());
  return fewest;
}

void Subject::drain_log(std::string& lines, std::string& events) {
  for (unsigned i = 0; i < workers_->workers().size(); ++i) {
    (void)logs_->access_ring(i)->drain(lines);
    (void)logs_->event_ring(i)->drain(events);
  }
  events += std::exchange(said_, {});
}

// In one piece: nobody else runs meanwhile.
void Subject::check_upstream() {
  Faults& faults = kernel_.faults();
  const double race = faults.rate(Fault::race);
  faults.set(Fault::race, 0);
  checks_->after_turn(kernel_.now_ns(), late_);
  faults.set(Fault::race, race);
}

// Sources run from the front of the queue, so that one at a place beyond the number of steps of a
// turn has waited for that turn.
void Subject::check_queue(proxy::Worker& worker, Queue& queue) {
  const std::uint64_t steps = worker.loop_counters().steps.read();
  const std::uint64_t taken = steps - std::exchange(queue.steps, steps);
  std::unordered_map<const loop::Source*, Queue::Waiting> now;
  worker.loop().for_each_queued([&](loop::Source& source) {
    Queue::Waiting waiting{now.size(), 0, now.size()};
    const auto before = queue.sources.find(&source);
    const bool waited = before != queue.sources.end() && before->second.place >= taken;
    if (waited) waiting = {now.size(), before->second.turns + 1, before->second.behind};
    now.emplace(&source, waiting);
  });
  for (const auto& [source, waiting] : now) {
    const std::size_t ahead = std::max(now.size(), waiting.behind);
    check(waiting.turns <= kTurnsBesideQueue + ahead, "what is queued runs soon",
          "a source of worker " + std::to_string(worker.index()) + " waits for " +
              std::to_string(waiting.turns) + " turns");
  }
  queue.sources = std::move(now);
}

// After every turn of a worker.
void Subject::check_turn(proxy::Worker& worker) {
  const proxy::Worker::Census census = worker.census();
  const std::size_t most =
      census.sessions * kBlocksPerSession + census.exchanges * kBlocksPerExchange +
      census.mirrors * kBlocksPerMirror + census.server_connections * kBlocksPerServerConnection;
  check(worker.buffers().leased() <= most, "buffers have users",
        std::to_string(worker.buffers().leased()) + " leased, at most " + std::to_string(most));
  // Who drains takes even those that are too many out of its queue.
  const bool drains = std::any_of(workers().begin(), workers().end(),
                                  [](const proxy::Worker* each) { return each->draining(); });
  for (const auto& listener : workers_->listeners()) {
    const bool within = listener->connections.load() <= listener->connections_max;
    check(within || drains, "max_connections holds",
          listener->name + ": " + std::to_string(listener->connections.load()) + " of " +
              std::to_string(listener->connections_max));
  }
  memory_.after_turn(worker);
  check_deadlines(worker);
  check_redirections(worker, census.exchanges + census.mirrors + checks_->tcp_sessions());
}

// A server's connection runs a session while that has an exchange or is one of TCP, or a copy of a
// request.
void Subject::check_redirections(proxy::Worker& worker, std::size_t users) {
  std::size_t redirected = 0;
  worker.loop().for_each_watched(
      [&](const loop::Source& source) { redirected += source.runs_instead() != nullptr ? 1 : 0; });
  check(redirected <= users, "only exchanges borrow connections",
        std::to_string(redirected) + " of " + std::to_string(users) +
            " exchanges, copies and relays");
}

// Every connection ends by itself if nothing happens.
void Subject::check_deadlines(proxy::Worker& worker) {
  const std::uint64_t latest = worker.loop().now_ms() + kDeadlineAheadMaxMs;
  worker.loop().for_each_watched([&](const loop::Source& source) {
    if (source.kind() == loop::SourceKind::upstream) {
      const auto& server = static_cast<const upstream::ServerConnection&>(source);
      const bool idle = server.state() == upstream::ServerConnection::State::idle;
      check(!idle || (!server.in.leased() && !server.out.leased()), "idle connections hold nothing",
            "a server's");
    }
    const bool connection = source.kind() == loop::SourceKind::downstream ||
                            source.kind() == loop::SourceKind::upstream;
    if (!connection || source.queued() || source.runs_instead() != nullptr) return;
    check(source.deadline_ms() <= latest, "every connection has a deadline",
          source.kind() == loop::SourceKind::downstream ? "a client's" : "a server's");
  });
}

}  // namespace weir::sim
