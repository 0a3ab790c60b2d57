#include "sim/world/names.h"

#include <algorithm>

#include "sim/world/checkers.h"
#include "sim/world/settings.h"

namespace weir::sim {
namespace {

using os::LookupStatus;

constexpr std::uint64_t kChangesWithin = 20 * kSecond;
constexpr std::uint64_t kChangesMax = 12;
constexpr std::uint64_t kOutageMax = 20 * kSecond;
constexpr std::uint64_t kAnswersWithin = 5 * kSecond;
constexpr std::uint32_t kLifetimeMaxS = 16;
// By src/control/name_watch.h; what is due in a time may come a tenth later.
constexpr std::uint64_t kLifetimeMin = kSecond;
constexpr std::uint64_t kRetryMin = kSecond;
constexpr std::uint64_t kRetryMax = 30 * kSecond;
// Of its clock and of the timer wheel.
constexpr std::uint64_t kTick = 2 * kMillisecond;
constexpr std::uint64_t kTellWithin = 50 * kMillisecond + kTick;
// The control thread may be held up in every call before it sleeps.
constexpr std::uint64_t kTurn = 20 * kStalledForNsMax;

std::pair<std::string, bool> key_of(const config::HostName& host) {
  return {host.name, host.srv()};
}

std::uint64_t later(std::uint64_t since_ns, std::uint64_t by_ns) {
  return since_ns == UINT64_MAX ? since_ns : since_ns + by_ns;
}

std::string text_of(const config::Server& server) {
  return server.name + ", weight " + std::to_string(server.weight) + ", priority " +
         std::to_string(server.priority) + ", limit " +
         (server.limit ? std::to_string(*server.limit) : "none");
}

std::string text_of(const std::map<std::string, std::string>& servers) {
  std::string text;
  for (const auto& [address, server] : servers) text += address + " (" + server + ") ";
  return text.empty() ? "nobody " : text;
}

}  // namespace

Names::Names(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const Manners& manners)
    : kernel_(kernel),
      ledger_(ledger),
      prng_(mix(seed, 16)),
      any_(manners.names),
      servers_(manners.servers) {
  if (!any_) return;
  if (percent(prng_, 60)) failing_percent_ = spread(prng_, 60);
  for (std::uint32_t i = 0; i < kHostNames; ++i) {
    const config::HostName host = host_name(i);
    table_[key_of(host)].addresses = draw_addresses(host, false);
  }
  kernel_.on_lookup = [this](const os::Question& question) { return look_up(question); };
  kernel_.on_answer = [this](const os::Answer& answer) { answered(answer); };
}

// --- What is true --------------------------------------------------------------------------------

// Of SRV records now and then two targets are one machine.
Names::Addresses Names::draw_addresses(const config::HostName& host, bool all) {
  Addresses drawn;
  for (std::uint32_t i = 0; i < servers_; ++i) {
    if (!all && percent(prng_, 50)) continue;
    const config::Endpoint server = server_endpoint(i);
    os::ResolvedAddress address{0, 0, 0, server.host, host.name};
    if (host.srv()) {
      address = {static_cast<std::uint16_t>(percent(prng_, 70) ? 10 : 20),
                 static_cast<std::uint16_t>(spread(prng_, 1'000)), server.port, server.host,
                 "target-" + std::to_string(i) + ".sim"};
    }
    drawn.insert(address);
    if (!host.srv() || !percent(prng_, 20)) continue;
    address.target = "twin-" + std::to_string(i) + ".sim";
    address.weight = static_cast<std::uint16_t>(spread(prng_, 1'000));
    drawn.insert(address);
  }
  return drawn;
}

void Names::begin(bool events) {
  if (!any_ || !events) return;
  const std::uint64_t count = prng_.bounded(kChangesMax + 1);
  for (std::uint64_t i = 0; i < count; ++i) {
    kernel_.after(prng_.bounded(kChangesWithin), [this] { change(); });
  }
}

// Of one name: other addresses, or none for a while.
void Names::change() {
  if (settled_) return;
  const auto number = static_cast<std::uint32_t>(prng_.bounded(kHostNames));
  const config::HostName host = host_name(number);
  Entry& entry = table_[key_of(host)];
  if (percent(prng_, 75)) {
    entry.addresses = draw_addresses(host, false);
    kernel_.trace("a name changes", number, entry.addresses.size());
    return;
  }
  entry.outage = static_cast<LookupStatus>(1 + prng_.bounded(kLookupStatuses - 1));
  kernel_.trace("a name fails", number, static_cast<std::uint64_t>(entry.outage));
  kernel_.after(prng_.bounded(kOutageMax), [&entry] { entry.outage = LookupStatus::ok; });
}

void Names::settle() {
  settled_ = true;
  for (std::uint32_t i = 0; any_ && i < kHostNames; ++i) {
    const config::HostName host = host_name(i);
    table_[key_of(host)] = {draw_addresses(host, true), LookupStatus::ok};
  }
}

// --- The name servers ----------------------------------------------------------------------------

os::Answer Names::draw_answer(const Entry& entry) {
  os::Answer answer;
  answer.status = entry.outage;
  if (!settled_ && percent(prng_, failing_percent_)) {
    answer.status = static_cast<LookupStatus>(1 + prng_.bounded(kLookupStatuses - 1));
  }
  if (answer.status != LookupStatus::ok) return answer;
  for (const os::ResolvedAddress& address : entry.addresses) {
    if (!settled_ && percent(prng_, failing_percent_ / 2)) {
      answer.unknown.push_back({address.target, false});
    } else {
      answer.addresses.push_back(address);
    }
  }
  if (answer.addresses.empty()) {
    answer.status = answer.unknown.empty() ? LookupStatus::no_data : LookupStatus::server_failure;
    answer.unknown.clear();
  } else {
    answer.ttl_s = static_cast<std::uint32_t>(spread(prng_, kLifetimeMaxS));
  }
  return answer;
}

Lookup Names::look_up(const os::Question& question) {
  const auto found = known_.find({question.name, question.srv});
  check(found != known_.end(), "only names of servers are looked up", question.name);
  Known& known = found->second;
  check(!known.asked, "a name is looked up once at a time", question.name);
  const std::uint64_t now_ns = kernel_.now_ns();
  check(ledger_.weather.late || now_ns >= known.next_ns, "names are looked up when it is time",
        question.name + ": too soon");
  known.asked = true;
  return {draw_answer(table_[found->first]), spread(prng_, kAnswersWithin)};
}

// --- What weir knows -----------------------------------------------------------------------------

void Names::set_next(Known& known, std::uint64_t least_ns, std::uint64_t most_ns) const {
  const std::uint64_t now_ns = kernel_.now_ns();
  known.next_ns = now_ns + least_ns - std::min(least_ns, kTurn);
  known.latest_ns = now_ns + most_ns + most_ns / 10 + kTick;
}

// What is known of names that stay is kept, and an answer that is under way for one that has come
// back is as good as the next.
void Names::followed(const config::Config& config) {
  std::map<Key, Known> before = std::exchange(known_, {});
  for (const config::Backend& backend : config.backends) {
    for (const config::Server& server : backend.servers) {
      if (!server.host || known_.contains(key_of(*server.host))) continue;
      Known& known = known_[key_of(*server.host)];
      if (const auto kept = before.find(key_of(*server.host)); kept != before.end()) {
        known = std::move(kept->second);
      } else {
        set_next(known, 0, 0);
      }
    }
  }
}

void Names::answered(const os::Answer& answer) {
  ++ledger_.totals.lookups[static_cast<std::size_t>(answer.status)];
  const auto found = known_.find({answer.question.name, answer.question.srv});
  if (found == known_.end() || !found->second.asked) return;
  Known& known = found->second;
  known.asked = false;
  if (answer.status != LookupStatus::ok) return set_next(known, kRetryMin, kRetryMax);
  const std::uint64_t lifetime_ns = std::max(answer.ttl_s * kSecond, kLifetimeMin);
  set_next(known, lifetime_ns, lifetime_ns);
  Addresses addresses(answer.addresses.begin(), answer.addresses.end());
  for (const os::ResolvedAddress& old : known.addresses) {
    const os::UnknownPart part{old.target, old.ipv6()};
    if (std::ranges::count(answer.unknown, part) > 0) addresses.insert(old);
  }
  if (addresses == known.addresses) return;
  known.addresses = std::move(addresses);
  untold_since_ns_ = std::min(untold_since_ns_, kernel_.now_ns());
}

// --- What weir makes of it -----------------------------------------------------------------------

// An address is there once: as written down, else of the first name that stands for it.
std::map<std::string, std::string> Names::expected(const config::Backend& backend) const {
  std::map<std::string, std::string> servers;
  for (const config::Server& server : backend.servers) {
    if (!server.host) servers.emplace(server.address.text(), text_of(server));
  }
  for (const config::Server& server : backend.servers) {
    if (!server.host) continue;
    const Addresses& addresses = known_.at(key_of(*server.host)).addresses;
    std::set<std::uint16_t> priorities;
    for (const os::ResolvedAddress& each : addresses) priorities.insert(each.priority);
    for (const os::ResolvedAddress& each : addresses) {
      config::Server one = server;
      one.address = {config::Endpoint::Family::ipv4, each.ip, server.host->port};
      if (server.host->srv()) {
        one.address.port = each.port;
        one.weight = std::max<std::uint32_t>(each.weight, 1);
        one.priority += each.priority == *priorities.begin() ? 0 : 1;
      }
      one.name += "/" + one.address.text();
      servers.emplace(one.address.text(), text_of(one));
    }
  }
  return servers;
}

void Names::published(const config::Config& config, const config::Config& expanded) {
  for (std::size_t i = 0; i < config.backends.size(); ++i) {
    const std::map<std::string, std::string> wanted = expected(config.backends[i]);
    std::map<std::string, std::string> servers;
    for (const config::Server& server : expanded.backends[i].servers) {
      check(servers.emplace(server.address.text(), text_of(server)).second,
            "an address is there once", config.backends[i].name + ": " + server.address.text());
    }
    check(servers == wanted, "servers are what their names stand for",
          config.backends[i].name + " has " + text_of(servers) + "instead of " + text_of(wanted));
  }
  if (untold_since_ns_ != UINT64_MAX) ++ledger_.totals.name_changes;
  told_since_ns_ = std::min(told_since_ns_, std::exchange(untold_since_ns_, UINT64_MAX));
}

// A turn may take long, when the thread is interrupted over and over, but it does what is due at
// its beginning; and the wait before it ends when something is due.
void Names::after_turn(std::uint64_t began_ns, bool late) {
  const std::uint64_t awake_ns = later(std::exchange(last_turn_ended_ns_, kernel_.now_ns()), kTurn);
  const std::uint64_t told_ns = std::exchange(told_since_ns_, UINT64_MAX);
  if (!any_ || late) return;
  const bool in_time = began_ns <= later(untold_since_ns_, kTellWithin) &&
                       began_ns <= std::max(later(told_ns, kTellWithin), awake_ns);
  check(in_time, "new addresses are used soon", "");
  for (auto& [key, known] : known_) {
    const std::uint64_t latest_ns =
        known.asked ? std::max(known.latest_ns, awake_ns) : known.latest_ns;
    check(began_ns <= latest_ns, "names are looked up when it is time", key.first + ": too late");
    if (known.asked) known.latest_ns = UINT64_MAX;
  }
}

void Names::at_rest() const {
  check(untold_since_ns_ == UINT64_MAX, "new addresses are used soon", "at rest");
  for (const auto& [key, known] : known_) {
    check(known.addresses == table_.at(key).addresses, "names are known in the end", key.first);
  }
}

}  // namespace weir::sim
