// NameWatch: what the names among the servers stand for, kept fresh.
//
//   follow(config) ─► ask(question) ─► answered() ─► changed() ─► expand(config) has other servers
//                       ▲                  │
//                       └── tick(): the lifetime is over, or it is time to try again
//
// A name's last good answer stays in use while the name fails: losing all servers because a name
// server is down would be worse than using addresses that were right a moment ago. A name that
// never resolved stands for no server. One lookup serves all servers with the same name.
//
// Without I/O and without a clock: NameService has both. Times are milliseconds of any one clock.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "config/config.h"
#include "os/resolver.h"

namespace weir::control {

struct NameMetrics {
  static constexpr std::size_t kResults = static_cast<std::size_t>(os::LookupStatus::timed_out) + 1;
  std::array<std::uint64_t, kResults> lookups{};  // Finished, by os::LookupStatus.
  std::uint64_t failures = 0;                     // Times a name began to fail.
  std::uint64_t recoveries = 0;                   // Times a failing name resolved again.
  std::size_t names = 0;
  std::size_t names_failing = 0;
};

class NameWatch {
 public:
  static constexpr std::uint64_t kNever = UINT64_MAX;
  static constexpr std::uint64_t kLifetimeMinMs = 1'000;
  static constexpr std::uint64_t kLifetimeMaxMs = 3'600'000;
  static constexpr std::uint64_t kRetryMinMs = 1'000;  // After a failure; doubles.
  static constexpr std::uint64_t kRetryMaxMs = 30'000;
  // Changes are told together when this has passed since the first of them.
  static constexpr std::uint64_t kGatherMs = 50;
  // Of one name; the rest is left out, whatever a name server says.
  static constexpr std::size_t kAddressesMax = 256;
  // After so many refusals in a row it is said once more that old addresses are in use.
  static constexpr unsigned kRefusalsSaid = 4;

  struct Hooks {
    std::function<void(const os::Question&)> ask;  // To be followed by one answered().
    std::function<void()> changed;                 // expand() has another result now.
    std::function<void(const std::string&)> say;   // A line for the operator.
  };
  // `seed`: of the jitter that keeps many names from being asked for at the same moment.
  NameWatch(Hooks hooks, std::uint64_t seed) : hooks_(std::move(hooks)), random_(seed) {}

  // From now on these names and no others. What is known of names that stay is kept.
  void follow(const config::Config& config, std::uint64_t now_ms);
  void answered(const os::Answer& answer, std::uint64_t now_ms);
  // To be called when due_ms() has come.
  void tick(std::uint64_t now_ms);
  [[nodiscard]] std::uint64_t due_ms() const;

  // The caller has used the present state: only later changes are to be told.
  void mark_told() { tell_ms_ = kNever; }
  // Every name has had an answer, good or bad.
  [[nodiscard]] bool settled() const;
  // The configuration with a server for each address in place of each server with a name. A
  // server's name there is made of its name and its address, so that it is the same server for as
  // long as the name stands for that address. The order does not depend on the answer's. An address
  // is there once per backend; who is left out because another server has it is said.
  [[nodiscard]] config::Config expand(const config::Config& config);
  [[nodiscard]] NameMetrics metrics() const;

 private:
  struct Name {
    os::Question question;
    std::vector<std::string> users;  // "backend/server", for the log.
    std::vector<os::ResolvedAddress> addresses;
    bool asked = false;
    bool answered = false;
    unsigned failures = 0;  // In a row.
    std::uint64_t retry_ms = kRetryMinMs;
    std::uint64_t due_ms = 0;  // The next lookup; means nothing while `asked`.
  };
  using Key = std::pair<std::string, bool>;  // The name, and whether SRV records are meant.

  using Names = std::map<Key, Name>;

  Name& follow(const os::Question& question, Names& known, std::uint64_t now_ms);
  void resolved(Name& name, const os::Answer& answer, std::uint64_t now_ms);
  void failed(Name& name, os::LookupStatus why, std::uint64_t now_ms);
  void ask_due(std::uint64_t now_ms);
  [[nodiscard]] std::uint64_t jittered(std::uint64_t wait_ms);
  void expand(const config::Backend& from, config::Backend& to, std::set<std::string>& left_out);

  Hooks hooks_;
  Prng random_;
  Names names_;
  std::set<std::string> left_out_;  // Lines said of the present expansion.
  NameMetrics counts_;              // Without the two that are counted when asked for.
  std::uint64_t tell_ms_ = kNever;
};

}  // namespace weir::control
