// The table that maps keys to servers, of any names and weights: every slot has a server that has a
// weight, each in proportion; the order of the servers does not matter; and when one goes, hardly a
// key moves that was not its own.
#include "balance/maglev.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "base/check.h"
#include "input.h"

namespace {

using namespace weir;
using balance::Maglev;

struct Servers {
  std::vector<std::string> names;
  std::vector<std::uint32_t> weights;

  [[nodiscard]] Maglev table() const {
    const std::vector<std::string_view> views(names.begin(), names.end());
    return Maglev(views, weights);
  }
};

Servers take_servers(fuzz::Input& input) {
  Servers servers;
  const std::size_t count = input.byte() % 24 + std::size_t{1};
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t weight = input.byte();
    servers.weights.push_back(input.flag() ? weight * 257 : weight);  // Up to 65,535.
    servers.names.push_back(std::to_string(i) + ":" + std::to_string(input.byte()));
  }
  return servers;
}

void check_shares(const Servers& servers, const Maglev& table) {
  const std::uint64_t sum =
      std::accumulate(servers.weights.begin(), servers.weights.end(), std::uint64_t{0});
  CHECK(table.empty() == (sum == 0));
  if (table.empty()) return;
  std::vector<std::uint64_t> slots(servers.names.size());
  for (std::uint64_t slot = 0; slot < Maglev::kSize; ++slot) {
    CHECK(table[slot] < slots.size());
    ++slots[table[slot]];
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    // Apportioned: at most a slot beside the exact share for each of the others.
    const std::uint64_t exact = servers.weights[i] * std::uint64_t{Maglev::kSize} / sum;
    CHECK(servers.weights[i] != 0 || slots[i] == 0);
    CHECK(slots[i] <= exact + slots.size() && slots[i] + slots.size() >= exact);
  }
}

void check_order_is_nothing(const Servers& servers, const Maglev& table, std::size_t turn) {
  Servers turned = servers;
  const auto middle = static_cast<std::ptrdiff_t>(turn % servers.names.size());
  std::rotate(turned.names.begin(), turned.names.begin() + middle, turned.names.end());
  std::rotate(turned.weights.begin(), turned.weights.begin() + middle, turned.weights.end());
  const Maglev other = turned.table();
  CHECK(other.empty() == table.empty());
  for (std::uint64_t slot = 0; !table.empty() && slot < Maglev::kSize; slot += 7) {
    CHECK(servers.names[table[slot]] == turned.names[other[slot]]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const Servers servers = take_servers(input);
  const Maglev table = servers.table();
  check_shares(servers, table);
  check_order_is_nothing(servers, table, input.byte());
  return 0;
}
