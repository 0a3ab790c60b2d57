#include "balance/maglev.h"

#include <algorithm>

#include "balance/hash_key.h"
#include "balance/policy.h"
#include "base/check.h"

namespace weir::balance {

namespace {

constexpr std::uint32_t kFree = 0xFFFF'FFFF;

// One server while the table is built.
struct Taker {
  std::uint32_t server;
  std::uint32_t rank;  // Its place in the order of the names.
  std::uint32_t weight;
  std::uint32_t slot;  // The next one of its permutation.
  std::uint32_t step;
  std::uint64_t turns = 0;  // Taken so far.
};

// Turn n of a server of weight w is at (2n + 1) / 2w: the apportionment of Sainte-Lague, which
// favours neither the light nor the heavy. For a heap, whose top is the greatest.
bool turn_is_later(const Taker& a, const Taker& b) {
  const std::uint64_t due_a = (2 * a.turns + 1) * b.weight;
  const std::uint64_t due_b = (2 * b.turns + 1) * a.weight;
  return due_a != due_b ? due_a > due_b : a.rank > b.rank;
}

std::vector<Taker> make_takers(std::span<const std::string_view> names,
                               std::span<const std::uint32_t> weights,
                               std::span<const std::uint64_t> identities) {
  std::vector<Taker> takers;
  for (std::uint32_t server = 0; server < names.size(); ++server) {
    CHECK(weights[server] <= kWeightMax);
    if (weights[server] == 0) continue;
    const auto slot = static_cast<std::uint32_t>(identities[server] % Maglev::kSize);
    const auto step =
        static_cast<std::uint32_t>(hash_key(names[server], 1) % (Maglev::kSize - 1) + 1);
    takers.push_back({server, 0, weights[server], slot, step});
  }
  std::sort(takers.begin(), takers.end(),
            [&](const Taker& a, const Taker& b) { return names[a.server] < names[b.server]; });
  for (std::uint32_t rank = 0; rank < takers.size(); ++rank) takers[rank].rank = rank;
  return takers;
}

}  // namespace

Maglev::Maglev(std::span<const std::string_view> names, std::span<const std::uint32_t> weights) {
  CHECK(names.size() == weights.size());
  for (const std::string_view name : names) identities_.push_back(hash_key(name));
  std::vector<Taker> takers = make_takers(names, weights, identities_);
  if (takers.empty()) return;
  slots_.assign(kSize, kFree);
  std::make_heap(takers.begin(), takers.end(), turn_is_later);
  for (std::uint32_t filled = 0; filled < kSize; ++filled) {
    std::pop_heap(takers.begin(), takers.end(), turn_is_later);
    Taker& taker = takers.back();
    while (slots_[taker.slot] != kFree) taker.slot = (taker.slot + taker.step) % kSize;
    slots_[taker.slot] = taker.server;
    ++taker.turns;
    std::push_heap(takers.begin(), takers.end(), turn_is_later);
  }
}

}  // namespace weir::balance
