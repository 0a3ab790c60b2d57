#include "sim/world/world.h"

#include <algorithm>
#include <utility>

#include "sim/world/checkers.h"
#include "sim/world/relay_checks.h"

namespace weir::sim {
namespace {

constexpr std::uint64_t kEventsWithin = 12 * kSecond;
constexpr std::uint64_t kTrafficMax = 900 * kSecond;
// Longer than every timeout of a configuration one after the other.
constexpr std::uint64_t kSettling = 150 * kSecond;
constexpr std::uint64_t kProbingMax = 60 * kSecond;
// Longer than any idle timeout of a backend.
constexpr std::uint64_t kIdling = 10 * kSecond;
// Idle clients go at once, silent ones after a second, answered ones linger for two.
constexpr std::uint64_t kDrainMax = 10 * kSecond;
constexpr std::uint64_t kGrace = 30 * kSecond;
constexpr std::uint64_t kStopMax = 5 * kSecond;
constexpr std::size_t kDescriptorsPlenty = 4096;
constexpr std::uint64_t kStepsMax = 50'000'000;

// Thrown at the end of Limits::steps.
struct BrokenOff {};

Faults faults_of(std::uint64_t seed, const Limits& limits) {
  Faults faults = Faults::swarm(seed);
  faults.keep_only(limits.faults);
  return faults;
}

Manners manners_of(std::uint64_t seed, const Limits& limits) {
  Manners manners = draw_manners(seed);
  manners.servers = std::min(manners.servers, limits.servers_max);
  return manners;
}

template <typename Visit>
void for_each_line(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    visit(line);
  }
}

// What weir may refuse from now on because it was told to.
void note_rules(Weather& weather, const config::Config& config) {
  for (const config::Listener& each : config.listeners) {
    weather.crowded = weather.crowded || each.max_connections;
  }
  weather.rates = weather.rates || !config.limits.empty();
  for (const config::Backend& each : config.backends) {
    if (each.name == kMirrorName) continue;  // Nobody waits for it.
    const bool server_limits = std::ranges::any_of(
        each.servers, [](const config::Server& server) { return server.limit.has_value(); });
    weather.limits = weather.limits || each.limit || each.server_limit || server_limits ||
                     each.health.load_report;
    weather.queue_timeout_ms =
        std::max<std::int64_t>(weather.queue_timeout_ms, each.queue.timeout.count());
    weather.retry_statuses = weather.retry_statuses || !each.retry.statuses.empty();
    weather.short_timeouts =
        weather.short_timeouts || each.request_timeout || each.retry.try_timeout;
    weather.breakers =
        weather.breakers || each.server_pending_limit < 8 || each.server_retry_limit < 8;
    weather.checks = weather.checks || each.health.type != config::HealthCheck::Type::none;
  }
}

// Time hardly passes in a turn, so that no worker of a simulation works much: here the least work
// counts, over times in which a client asks more than once.
proxy::WorkTuning draw_work(std::uint64_t seed) {
  Prng prng(mix(seed, 11));
  const std::uint64_t interval_ms = prng.bounded(4) == 0 ? 0 : 20 + spread(prng, 2'000);
  return {interval_ms, 0, 0, prng.bounded(2) == 0 ? 0U : 500U};
}

}  // namespace

World::World(std::uint64_t seed, const Limits& limits)
    : seed_(seed),
      limits_(limits),
      prng_(mix(seed, 5)),
      manners_(manners_of(seed, limits)),
      kernel_(seed),
      relays_(kernel_, seed, ledger_, limits_),
      names_(kernel_, seed, ledger_, manners_) {
  kernel_.on_transition = [this](std::uint8_t machine, std::uint8_t from, std::uint8_t to) {
    ++report_.edges[machine][from][to];
  };
  kernel_.on_misuse = [](const std::string& why) { fail("the rules of os.h are kept", why); };
  kernel_.on_second_watch = [](const std::string& file) { fail("one worker has a client", file); };
  // What fits a block fits most sockets, and would never have to wait. Nor for minutes: the network
  // is faster then.
  Prng small(mix(seed, 14));
  if (small.bounded(8) != 0) return;
  kernel_.conditions().latency_ns.high = 5 * kMillisecond;
  kernel_.conditions().receive_window_bytes = {256, 2'304};
  kernel_.conditions().send_buffer_bytes = {512, 4'608};
}

World::~World() = default;

void World::faults_on() {
  kernel_.faults() = faults_of(seed_, limits_);
  const Faults& faults = kernel_.faults();
  Weather& weather = ledger_.weather;
  const auto on = [&](Fault fault) { return faults.rate(fault) > 0; };
  weather.resets = on(Fault::reset) || on(Fault::reset_in_splice) || on(Fault::accept_aborted);
  weather.late = faults.rate(Fault::clock_jump) > 0;
  weather.names = names_.any();
  subject_->set_late(weather.late);
  weather.no_descriptors = faults.rate(Fault::no_descriptors) > 0;
  weather.no_memory = faults.rate(Fault::no_memory) > 0;
  for (const Fault fault : {Fault::connect_refused, Fault::connect_unreachable,
                            Fault::connect_timed_out, Fault::connect_late}) {
    weather.connects_fail = weather.connects_fail || faults.rate(fault) > 0;
  }
}

Report World::run() {
  try {
    live();
  } catch (const BrokenOff&) {
    kernel_.trace("broken off");
  }
  check_totals(ledger_);
  report_.seeds = 1;
  report_.hash = kernel_.hash();
  report_.virtual_ns = kernel_.now_ns();
  report_.calls = kernel_.calls();
  report_.totals = ledger_.totals;
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    report_.injected[i] = kernel_.injected(static_cast<Fault>(i));
  }
  return report_;
}

void World::live() {
  make_servers();
  relays_.listen();
  config_ = draw_config(prng_, manners_);
  const auto workers = static_cast<unsigned>(1 + prng_.bounded(4));
  const auto trigger = static_cast<loop::Trigger>(prng_.bounded(8) < 6 ? 0 : prng_.bounded(3));
  report_.workers = limits_.workers.value_or(workers);
  note_rules(ledger_.weather, config_);
  subject_ = std::make_unique<Subject>(kernel_, relays_.add_to(config_),
                                       static_cast<unsigned>(report_.workers), trigger,
                                       draw_work(seed_), names_);
  ledger_.may_be_asked = [this](std::uint32_t server) {
    return ledger_.weather.late ||
           subject_->upstream().may_be_asked(server_text(server), kernel_.now_ns());
  };
  ledger_.most_at_once = [this](std::uint32_t server) {
    return subject_->upstream().most_at_once(server_text(server));
  };
  run_until([this] { return subject_->serves(); }, kSecond, "weir starts");
  faults_on();
  make_clients();
  relays_.begin();
  names_.begin(limits_.events);
  if (limits_.events) schedule_events();
  run_until([this] { return clients_finished(); }, kTrafficMax, "everything comes to an end");
  if (!left_early_) {
    settle();
    probe();
    check_idle();
    drain();
  }
  finish();
}

// --- Stepping ------------------------------------------------------------------------------------

void World::step() {
  if (steps_ == limits_.steps) throw BrokenOff();
  check(++steps_ <= kStepsMax, "a run ends", "it took more steps");
  if (!kernel_.step()) fail("something can always happen", unfinished_clients());
}

template <typename Done>
void World::run_until(Done done, std::uint64_t limit_ns, const char* checker) {
  constexpr unsigned kStepsBetweenLooks = 16;
  const std::uint64_t latest_ns = kernel_.now_ns() + limit_ns;
  while (!done()) {
    check(kernel_.now_ns() < latest_ns, checker, unfinished_clients());
    for (unsigned i = 0; i < kStepsBetweenLooks && !done(); ++i) step();
  }
}

void World::run_for(std::uint64_t ns) {
  bool over = false;
  kernel_.after(ns, [&over] { over = true; });
  while (!over) step();
}

bool World::clients_finished() const {
  if (left_early_ && subject_->ended()) return true;
  return relays_.finished() && std::all_of(clients_.begin(), clients_.end(),
                                           [](const auto& client) { return client->finished(); });
}

std::string World::unfinished_clients() const {
  std::string text = relays_.unfinished();
  for (const auto& client : clients_) {
    if (!client->finished()) text += client->describe() + "; ";
  }
  return text.empty() ? "no client waits" : text;
}

// --- Peers ---------------------------------------------------------------------------------------

void World::make_servers() {
  for (std::uint32_t i = 0; i < manners_.servers + manners_.mirrors; ++i) {
    servers_.push_back(
        std::make_unique<Server>(kernel_, seed_, ledger_, manners_, i, server_address(i)));
    servers_.back()->listen(Listener::Answer::accept);
  }
}

void World::make_clients() {
  for (std::uint32_t i = 0; i < manners_.clients; ++i) {
    ClientScript script = draw_client(seed_, i, manners_);
    if (script.requests.size() > limits_.requests_max) script.requests.resize(limits_.requests_max);
    add_client(script);
  }
}

void World::add_client(const ClientScript& script) {
  ledger_.add_client(script);
  if (!limits_.client_comes(script.number)) return;
  clients_.push_back(std::make_unique<Client>(kernel_, seed_, ledger_, script,
                                              listener_address(script.second_listener)));
  clients_.back()->begin();
}

// --- Events --------------------------------------------------------------------------------------

void World::schedule_events() {
  const std::uint64_t count = prng_.bounded(10);
  for (std::uint64_t i = 0; i < count; ++i) {
    kernel_.after(prng_.bounded(kEventsWithin), [this] { schedule_event(); });
  }
  if (prng_.bounded(5) == 0) {
    kernel_.after(prng_.bounded(kEventsWithin), [this] { leave_early(); });
  }
}

void World::schedule_event() {
  if (settled_ || left_early_) return;
  const std::uint64_t kind = manners_.plain ? 0 : prng_.bounded(6);
  if (kind < 3) {
    reload();
  } else if (kind < 5) {
    server_trouble();
  } else {
    descriptor_trouble();
  }
}

void World::reload() {
  kernel_.trace("reload");
  ++report_.reloads;
  relays_.redraw();
  take(draw_reload(prng_, config_, manners_));
}

void World::take(const config::Config& config) {
  config_ = config;
  note_rules(ledger_.weather, config_);
  subject_->reload(relays_.add_to(config_));
}

void World::server_trouble() {
  using Answer = Listener::Answer;
  Server& server = *servers_[prng_.bounded(servers_.size())];
  constexpr Answer kAnswers[] = {Answer::hold, Answer::refuse, Answer::ignore, Answer::unreachable};
  const std::uint64_t kind = prng_.bounded(std::size(kAnswers) + 2);
  kernel_.trace("trouble of a server", server.number(), kind);
  server.trouble();
  if (kind < std::size(kAnswers)) {
    server.listen(kAnswers[kind]);
  } else {
    server.vanish();
  }
  kernel_.after(prng_.bounded(10 * kSecond),
                [&server] { server.listen(Listener::Answer::accept); });
}

void World::descriptor_trouble() {
  kernel_.trace("descriptors run short");
  ledger_.weather.no_descriptors = ledger_.weather.crowded = true;
  kernel_.set_descriptor_limit(kernel_.open_descriptor_count() + prng_.bounded(4));
  kernel_.after(prng_.bounded(5 * kSecond),
                [this] { kernel_.set_descriptor_limit(kDescriptorsPlenty); });
}

void World::leave_early() {
  if (settled_) return;
  kernel_.trace("weir is told to leave");
  left_early_ = true;
  report_.left_early = 1;
  ledger_.weather.stopping = true;
  if (prng_.bounded(3) == 0) return stop();
  subject_->drain();
  kernel_.after(kGrace, [this] {
    if (subject_ != nullptr && !subject_->ended()) stop();
  });
}

void World::stop() {
  ledger_.weather.stopped = true;
  subject_->stop();
}

// --- The end -------------------------------------------------------------------------------------

void World::settle() {
  kernel_.trace("settling");
  settled_ = true;
  kernel_.faults() = {};
  kernel_.set_descriptor_limit(kDescriptorsPlenty);
  relays_.settle();
  names_.settle();
  take(calmed(config_));
  for (const auto& server : servers_) {
    server->listen(Listener::Answer::accept);
    server->behave();
  }
  run_for(kSettling);
  read_log();
  judge_relays(ledger_, relays_.ledger());
  names_.at_rest();
  // From here on nobody has an excuse.
  const bool crowded = ledger_.weather.crowded;
  ledger_.weather = {};
  ledger_.weather.crowded = crowded;
  note_rules(ledger_.weather, config_);
  subject_->set_late(false);
}

void World::probe() {
  kernel_.trace("probing");
  const Manners manners = calmed(manners_);
  const auto first = static_cast<std::uint32_t>(ledger_.clients().size());
  const auto count = static_cast<std::uint32_t>(2 * report_.workers);
  for (std::uint32_t i = first; i < first + count; ++i) {
    ClientScript script = draw_client(seed_, i, manners);
    script.think_ns = 0;
    if (i % 2 == 0) script.ending = ClientScript::Ending::wait;
    if (limits_.clients) limits_.clients->push_back(i);
    add_client(script);
  }
  relays_.probe();
  run_until([this] { return clients_finished(); }, kProbingMax, "weir serves after the storm");
  run_for(kSecond);  // A server's end may come a little later.
  read_log();
  relays_.check_probes();
  for (std::uint32_t i = first; i < first + count; ++i) {
    for (std::uint32_t at = 0; at < ledger_.clients()[i].requests.size(); ++at) {
      const Request& request = *ledger_.find({i, at});
      const bool local = !request.script.routed || request.script.ends_here;
      const bool answered = request.seen == Request::Seen::whole;
      // An answer that ends with its connection leaves those behind it unasked or unanswered.
      check(!answered || request.own == local, "weir serves after the storm",
            "request " + to_text(request.script.id) + ": " + std::to_string(request.status) + " " +
                request.log_error + subject_->upstream().describe());
    }
  }
}

void World::check_idle() {
  kernel_.trace("idling");
  run_for(kIdling);
  for (proxy::Worker* worker : subject_->workers()) check_nothing_kept(*worker);
  check(subject_->snapshots() == 1, "old snapshots go",
        std::to_string(subject_->snapshots()) + " are left");
  subject_->upstream().at_rest();
}

void World::check_nothing_kept(proxy::Worker& worker) {
  const proxy::Worker::Census census = worker.census();
  const std::string who = "worker " + std::to_string(worker.index());
  check(census.exchanges == 0 && worker.counters().requests_in_flight.read() == 0,
        "nothing is in flight", who);
  check(census.mirrors == 0, "copies come to an end", who);
  check(census.server_connections == 0, "idle server connections go", who);
  check(census.snapshots == 1, "old snapshots go", who);
  check(worker.buffers().leased() == 0, "idle clients hold no buffer",
        who + ": " + std::to_string(worker.buffers().leased()));
  check(worker.counters().relays_open.read() == 0, "relays are counted down", who);
  check(worker.pipes().counters().open.read() <= net::PipePool::kKeptPipesMax,
        "no pipe outlives its flow", who);
  for (const std::string& each : kernel_.open_descriptors()) {
    const bool filled = each.find("of a pipe with ") != std::string::npos &&
                        each.find("of a pipe with 0 bytes") == std::string::npos;
    check(!filled, "only empty pipes are kept", each);
  }
}

void World::drain() {
  kernel_.trace("draining");
  ledger_.weather.stopping = true;
  subject_->drain();
  run_until([this] { return subject_->ended(); }, kDrainMax, "a drain ends");
}

void World::finish() {
  run_until([this] { return subject_->ended(); }, kGrace + kStopMax, "weir leaves when told");
  kernel_.faults() = {};
  read_log();
  judge_relays(ledger_, relays_.ledger());
  check_log_complete(ledger_);
  check_counters();
  report_.turns = subject_->turns();
  report_.fewest_turns = subject_->fewest_turns();
  subject_.reset();
  clients_.clear();
  servers_.clear();
  check_memory_at_end();
  const std::vector<std::string> left = kernel_.open_descriptors();
  check(left.empty(), "no descriptor is left",
        left.empty() ? "" : std::to_string(left.size()) + ", the first: " + left.front());
}

// What weir counted agrees with itself.
void World::check_counters() {
  std::uint64_t closes = 0;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  std::uint64_t requests = 0;
  std::uint64_t dropped = 0;
  std::uint64_t responses = 0;
  std::uint64_t copies = 0;
  std::uint64_t connections = 0;  // Of TCP.
  for (proxy::Worker* worker : subject_->workers()) {
    const proxy::WorkerCounters& counters = worker->counters();
    for (const Counter& counter : counters.closes) closes += counter.read();
    ledger_.totals.crowded +=
        counters.closes[static_cast<std::size_t>(proxy::CloseReason::crowded)].read();
    for (const Counter& counter : counters.responses) responses += counter.read();
    ledger_.totals.fresh_moved += counters.fresh_handed_over.read();
    ledger_.totals.clients_moved += counters.clients_handed_over.read();
    requests += counters.requests.read();
    copies += counters.mirrored.read();
    dropped += counters.log_lines_dropped.read();
    check(worker->buffers().leased() == 0, "no buffer outlives its user", "");
  }
  for (const auto& listener : subject_->listeners()) {
    for (std::uint64_t i = 0; i < report_.workers; ++i) {
      accepted += listener->counters[i].accepted.read();
      refused += listener->counters[i].rate_limited.read();
      if (listener->name == kRelayName) connections += listener->counters[i].accepted.read();
    }
    check(listener->connections.load() == 0, "connections are counted down", listener->name);
  }
  check(kernel_.queue_resets() == 0, "nobody is reset in the accept queue",
        std::to_string(kernel_.queue_resets()) + " connections");
  check(closes + refused == accepted, "every close has a reason",
        std::to_string(accepted) + " accepted, " + std::to_string(closes) + " closed");
  check(responses == requests, "every request has an outcome",
        std::to_string(requests) + " requests, " + std::to_string(responses) + " outcomes");
  check(ledger_.totals.copies <= copies, "every copy is counted",
        std::to_string(ledger_.totals.copies) + " arrived of " + std::to_string(copies));
  check(log_lines_ + dropped == requests + connections + refusals_, "one log line per request",
        std::to_string(requests) + " requests, " + std::to_string(connections) + " connections, " +
            std::to_string(refusals_) + " refused, " + std::to_string(log_lines_) + " lines");
}

// For its PROXY header, on a listener that speaks HTTP.
bool World::refused_before_its_request(std::string_view line) {
  const std::string relays = "\"listener\":\"" + std::string(kRelayName) + "\"";
  return line.find("\"proto\":\"tcp\"") != std::string_view::npos &&
         line.find(relays) == std::string_view::npos;
}

void World::read_log() {
  std::string lines;
  std::string events;
  subject_->drain_log(lines, events);
  for_each_line(lines, [this](std::string_view line) {
    ++log_lines_;
    if (refused_before_its_request(line)) ++refusals_;
    if (take_relay_line(ledger_, relays_.ledger(), line)) return;
    const auto id = id_of_log_line(line);
    Request* request = id ? ledger_.find(*id) : nullptr;
    if (request != nullptr) check_log_line(ledger_, *request, line);
  });
  for_each_line(events, [this](std::string_view line) { count_event(ledger_, line); });
}

}  // namespace weir::sim
