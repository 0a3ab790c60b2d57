#include "control/name_watch.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace weir::control {
namespace {

constexpr std::uint32_t kWeightMax = 1'000;
constexpr std::uint32_t kPriorityMax = 9;

std::string joined(const std::vector<std::string>& parts) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(parts.size(), kShown); ++i) {
    text += (i == 0 ? "" : ", ") + parts[i];
  }
  if (parts.size() > kShown) text += " and " + std::to_string(parts.size() - kShown) + " more";
  return text;
}

config::Endpoint endpoint_of(const os::ResolvedAddress& address, const config::HostName& host) {
  using Family = config::Endpoint::Family;
  return {address.ipv6() ? Family::ipv6 : Family::ipv4, address.ip,
          host.srv() ? address.port : host.port};
}

std::string listed(const std::vector<os::ResolvedAddress>& addresses) {
  std::vector<std::string> texts;
  for (const os::ResolvedAddress& address : addresses) {
    const config::HostName with_port{{}, address.port};
    texts.push_back(address.port == 0 ? address.ip : endpoint_of(address, with_port).text());
  }
  return joined(texts);
}

std::string subject(const std::vector<std::string>& users) {
  return (users.size() == 1 ? "server " : "servers ") + joined(users);
}

// Addresses of those parts of the name that nothing was learnt about this time.
std::vector<os::ResolvedAddress> still_unknown(const std::vector<os::ResolvedAddress>& before,
                                               const std::vector<os::UnknownPart>& unknown) {
  std::vector<os::ResolvedAddress> kept;
  for (const os::ResolvedAddress& address : before) {
    const os::UnknownPart part{address.target, address.ipv6()};
    if (std::find(unknown.begin(), unknown.end(), part) != unknown.end()) kept.push_back(address);
  }
  return kept;
}

// What the SRV records of one answer say, in the terms of servers.
class SrvScale {
 public:
  explicit SrvScale(const std::vector<os::ResolvedAddress>& addresses) {
    for (const os::ResolvedAddress& address : addresses) {
      priorities_.insert(address.priority);
      heaviest_ = std::max<std::uint32_t>(heaviest_, address.weight);
    }
  }
  // RFC 2782 gives weight 0 "very little" of the work; a server with weight 0 would get none.
  [[nodiscard]] std::uint32_t weight(const os::ResolvedAddress& address) const {
    const std::uint32_t weight =
        heaviest_ <= kWeightMax ? address.weight : address.weight * kWeightMax / heaviest_;
    return std::max(1u, weight);
  }
  // The records' priorities, however far apart, are neighbouring tiers.
  [[nodiscard]] std::uint32_t tier(const os::ResolvedAddress& address) const {
    return static_cast<std::uint32_t>(
        std::distance(priorities_.begin(), priorities_.find(address.priority)));
  }

 private:
  std::set<std::uint16_t> priorities_;
  std::uint32_t heaviest_ = 0;
};

}  // namespace

void NameWatch::follow(const config::Config& config, std::uint64_t now_ms) {
  std::string servers;
  for (const config::Endpoint& resolver : config.runtime.resolvers) {
    servers += (servers.empty() ? "" : ",") + resolver.text();
  }
  Names known = std::exchange(names_, {});
  for (const config::Backend& backend : config.backends) {
    for (const config::Server& server : backend.servers) {
      if (!server.host) continue;
      const os::Question question{server.host->name, server.host->srv(), servers};
      follow(question, known, now_ms).users.push_back(backend.name + "/" + server.name);
    }
  }
  ask_due(now_ms);
}

NameWatch::Name& NameWatch::follow(const os::Question& question, Names& known,
                                   std::uint64_t now_ms) {
  const Key key{question.name, question.srv};
  const auto [place, first_use] = names_.try_emplace(key);
  Name& name = place->second;
  if (!first_use) return name;
  if (const auto before = known.find(key); before != known.end()) {
    name = std::move(before->second);
    name.users.clear();
  }
  if (name.question == question) return name;
  // A new name, or other name servers: an answer that is under way is not for this question.
  name.question = question;
  name.asked = false;
  name.due_ms = now_ms;
  return name;
}

void NameWatch::answered(const os::Answer& answer, std::uint64_t now_ms) {
  ++counts_.lookups[static_cast<std::size_t>(answer.status)];
  const auto found = names_.find({answer.question.name, answer.question.srv});
  if (found == names_.end()) return;  // Nobody's name any more.
  Name& name = found->second;
  if (!name.asked || name.question != answer.question) return;
  name.asked = false;
  name.answered = true;
  if (answer.status == os::LookupStatus::ok) {
    resolved(name, answer, now_ms);
  } else {
    failed(name, answer.status, now_ms);
  }
}

void NameWatch::resolved(Name& name, const os::Answer& answer, std::uint64_t now_ms) {
  std::vector<os::ResolvedAddress> addresses = still_unknown(name.addresses, answer.unknown);
  addresses.insert(addresses.end(), answer.addresses.begin(), answer.addresses.end());
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  if (addresses.size() > kAddressesMax) addresses.resize(kAddressesMax);
  const std::uint64_t lifetime_ms =
      std::clamp(std::uint64_t{answer.ttl_s} * 1'000, kLifetimeMinMs, kLifetimeMaxMs);
  name.due_ms = now_ms + jittered(lifetime_ms);
  const bool recovered = std::exchange(name.failures, 0u) > 0;
  if (recovered) ++counts_.recoveries;
  const bool other = addresses != name.addresses;
  if (other) {
    name.addresses = std::move(addresses);
    tell_ms_ = std::min(tell_ms_, now_ms + kGatherMs);
  }
  if (!other && !recovered) return;
  const std::size_t count = name.addresses.size();
  hooks_.say(subject(name.users) + (recovered ? " resolves now: " : ": ") + std::to_string(count) +
             (count == 1 ? " address: " : " addresses: ") + listed(name.addresses) + " (for " +
             std::to_string(lifetime_ms / 1'000) + " s)");
}

void NameWatch::failed(Name& name, os::LookupStatus why, std::uint64_t now_ms) {
  const std::uint64_t retry_ms = name.failures == 0 ? kRetryMinMs : name.retry_ms;
  name.retry_ms = std::min(retry_ms * 2, kRetryMaxMs);
  name.due_ms = now_ms + jittered(retry_ms);
  ++name.failures;
  if (name.failures == 1) ++counts_.failures;
  const bool refused = why == os::LookupStatus::no_such_name || why == os::LookupStatus::no_data;
  const bool again = name.failures == kRefusalsSaid && refused && !name.addresses.empty();
  if (name.failures > 1 && !again) return;
  hooks_.say(
      subject(name.users) + (again ? " still" : "") + " does not resolve: " + to_string(why) +
      (name.addresses.empty() ? "; no server until it does" : "; keeps " + listed(name.addresses)));
}

void NameWatch::tick(std::uint64_t now_ms) {
  ask_due(now_ms);
  if (tell_ms_ > now_ms) return;
  tell_ms_ = kNever;
  hooks_.changed();
}

void NameWatch::ask_due(std::uint64_t now_ms) {
  for (auto& [key, name] : names_) {
    if (name.asked || name.due_ms > now_ms) continue;
    name.asked = true;
    hooks_.ask(name.question);
  }
}

std::uint64_t NameWatch::due_ms() const {
  std::uint64_t due_ms = tell_ms_;
  for (const auto& [key, name] : names_) {
    if (!name.asked) due_ms = std::min(due_ms, name.due_ms);
  }
  return due_ms;
}

// Never earlier than asked for, at most a tenth later.
std::uint64_t NameWatch::jittered(std::uint64_t wait_ms) {
  return wait_ms + random_.bounded(wait_ms / 10 + 1);
}

bool NameWatch::settled() const {
  return std::all_of(names_.begin(), names_.end(),
                     [](const auto& entry) { return entry.second.answered; });
}

config::Config NameWatch::expand(const config::Config& config) {
  config::Config expanded = config;
  std::set<std::string> left_out;
  for (std::size_t i = 0; i < config.backends.size(); ++i) {
    expand(config.backends[i], expanded.backends[i], left_out);
  }
  for (const std::string& line : left_out) {
    if (!left_out_.contains(line)) hooks_.say(line);
  }
  left_out_ = std::move(left_out);
  return expanded;
}

void NameWatch::expand(const config::Backend& from, config::Backend& to,
                       std::set<std::string>& left_out) {
  // By whom. Addresses written down come before those of names.
  std::map<std::string, const config::Server*> taken;
  for (const config::Server& server : from.servers) {
    if (!server.host) taken.emplace(server.address.text(), &server);
  }
  to.servers.clear();
  for (const config::Server& server : from.servers) {
    if (!server.host) {
      to.servers.push_back(server);
      continue;
    }
    const auto name = names_.find({server.host->name, server.host->srv()});
    if (name == names_.end()) continue;
    const SrvScale scale(name->second.addresses);
    for (const os::ResolvedAddress& address : name->second.addresses) {
      config::Server one = server;
      one.address = endpoint_of(address, *server.host);
      const auto [place, is_free] = taken.emplace(one.address.text(), &server);
      if (!is_free) {
        // Two SRV records of one name may well give the same address.
        if (place->second != &server) {
          left_out.insert("server " + from.name + "/" + server.name + " is left out at " +
                          place->first + ": server " + from.name + "/" + place->second->name +
                          " has that address; its weight and limits hold");
        }
        continue;
      }
      one.name = server.name + "/" + one.address.text();
      if (server.host->srv() && server.weight != 0) one.weight = scale.weight(address);
      one.priority = std::min(kPriorityMax, server.priority + scale.tier(address));
      to.servers.push_back(std::move(one));
    }
  }
}

NameMetrics NameWatch::metrics() const {
  NameMetrics all = counts_;
  all.names = names_.size();
  all.names_failing = static_cast<std::size_t>(std::count_if(
      names_.begin(), names_.end(), [](const auto& entry) { return entry.second.failures > 0; }));
  return all;
}

}  // namespace weir::control
