// Names: the host names by which servers are given in this run, the name servers that tell what
// they stand for, and what weir must make of that.
//
// The table says what is true and changes during the traffic. Answers are drawn from it when asked
// for and arrive later, or are none. Beside it stands what weir has been told: by that, and by the
// rules of src/control/name_watch.h read once more, weir's servers are checked.
//
// Runs have it or have it not (Manners); what the rest of the world does is drawn from other
// numbers.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/prng.h"
#include "config/config.h"
#include "os/resolver.h"
#include "sim/kernel/kernel.h"
#include "sim/world/ledger.h"

namespace weir::sim {

class Names {
 public:
  Names(Kernel& kernel, std::uint64_t seed, Ledger& ledger, const Manners& manners);

  [[nodiscard]] bool any() const { return any_; }
  // Names change from now on, if there are to be events.
  void begin(bool events);
  // From now on all names stand for all servers, and are found.
  void settle();

  // weir is going to follow the names of this configuration, and no others.
  void followed(const config::Config& config);
  // `expanded` is what weir makes of `config` with what it knows now.
  void published(const config::Config& config, const config::Config& expanded);
  // `late`: time jumps, and waits prove nothing.
  void after_turn(std::uint64_t began_ns, bool late);
  // Nothing has changed for long: weir knows it all.
  void at_rest() const;

 private:
  using Key = std::pair<std::string, bool>;  // The name, and whether SRV records are meant.
  using Addresses = std::set<os::ResolvedAddress>;
  // What the name servers have of a name.
  struct Entry {
    Addresses addresses;
    os::LookupStatus outage = os::LookupStatus::ok;
  };
  // What weir has been told of a name that it follows.
  struct Known {
    Addresses addresses;
    bool asked = false;
    std::uint64_t next_ns = 0;  // The next lookup: not before, and not after.
    std::uint64_t latest_ns = 0;
  };

  [[nodiscard]] Addresses draw_addresses(const config::HostName& host, bool all);
  void change();
  [[nodiscard]] Lookup look_up(const os::Question& question);
  [[nodiscard]] os::Answer draw_answer(const Entry& entry);
  void answered(const os::Answer& answer);
  void set_next(Known& known, std::uint64_t least_ns, std::uint64_t most_ns) const;
  // Address to the server that weir must have there.
  [[nodiscard]] std::map<std::string, std::string> expected(const config::Backend& backend) const;

  Kernel& kernel_;
  Ledger& ledger_;
  Prng prng_;
  bool any_;
  std::uint32_t servers_;
  std::uint64_t failing_percent_ = 0;  // Of lookups.
  std::map<Key, Entry> table_;
  std::map<Key, Known> known_;
  // UINT64_MAX: not.
  std::uint64_t untold_since_ns_ = UINT64_MAX;     // weir knows of a change it does not use yet.
  std::uint64_t told_since_ns_ = UINT64_MAX;       // The same, of one used in this turn.
  std::uint64_t last_turn_ended_ns_ = UINT64_MAX;  // Of the control thread.
  bool settled_ = false;
};

}  // namespace weir::sim
