// Maglev: an immutable table that maps hashes to servers (Eisenbud and others 2016, "Maglev: A
// Fast and Reliable Software Network Load Balancer", section 3.4).
//
// Every server has a permutation of the slots that follows from its name alone; the servers take
// turns in proportion to their weights, and each takes the first free slot of its permutation.
// Turns go in the order of the names, so that the table is the same on every machine and for any
// order of the same servers. When a server goes, its slots change hands, and some others because
// permutations meet elsewhere: 3 % more with 10 servers, as many again with 150. With 1,000 it is
// six times as many, which still is less than a hundredth of the keys.
//
// Built once per snapshot and shared by the workers. The size is one prime for any number of
// servers: a size that followed the number would move every key where it changes. With 1,000
// servers a share is 65 slots, so even to 2 %; a server whose share is less than half a slot may
// have none. Building takes 1 to 9 ms on one core, 7 ms for 1,000 servers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace weir::balance {

class Maglev;
using SharedMaglev = std::shared_ptr<const Maglev>;

class Maglev {
 public:
  static constexpr std::uint32_t kSize = 65'537;  // Prime: any step visits every slot.

  // Names are unique and as many as weights, each 0..kWeightMax.
  Maglev(std::span<const std::string_view> names, std::span<const std::uint32_t> weights);
  [[nodiscard]] static SharedMaglev make(std::span<const std::string_view> names,
                                         std::span<const std::uint32_t> weights) {
    return std::make_shared<const Maglev>(names, weights);
  }

  // True when no server has a weight; there is nothing to look up then.
  [[nodiscard]] bool empty() const { return slots_.empty(); }
  [[nodiscard]] std::uint32_t server_count() const {
    return static_cast<std::uint32_t>(identities_.size());
  }
  // The server for a well mixed hash.
  [[nodiscard]] std::uint32_t operator[](std::uint64_t hash) const { return slots_[hash % kSize]; }
  // A number that belongs to the server's name.
  [[nodiscard]] std::uint64_t identity(std::uint32_t server) const { return identities_[server]; }

 private:
  std::vector<std::uint32_t> slots_;       // kSize, or none.
  std::vector<std::uint64_t> identities_;  // One per server.
};

}  // namespace weir::balance
