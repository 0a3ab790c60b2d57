#include "proxy/work_share.h"

#include <algorithm>

namespace weir::proxy {
namespace {

// One look may be wrong: it moves no more than this.
constexpr std::uint64_t kClientsMost = 32;
constexpr std::uint64_t kFreshMost = 256;

struct Others {
  std::uint64_t mean = 0;  // Of all that are here.
  std::size_t least_busy = 0;
};

// Of several equally idle ones the next after `self`: not every worker gives to the same one.
Others look_at(std::span<const std::uint32_t> work, std::size_t self) {
  Others others{0, self};
  std::uint64_t sum = 0;
  std::uint64_t here = 0;
  for (std::size_t i = 0; i < work.size(); ++i) {
    const std::size_t at = (self + i) % work.size();
    if (work[at] == kAway) continue;
    sum += work[at];
    ++here;
    if (work[at] < work[others.least_busy]) others.least_busy = at;
  }
  others.mean = here == 0 ? 0 : sum / here;
  return others;
}

}  // namespace

WorkShift even_out(std::span<const std::uint32_t> work, std::size_t self, const WorkCauses& causes,
                   const WorkTuning& tuning) {
  const std::uint64_t own = work[self];
  const Others others = look_at(work, self);
  const std::uint64_t least = work[others.least_busy];
  if (own == kAway || own < tuning.least || own <= least + tuning.margin) return {};
  if (own <= others.mean) return {};
  const std::uint64_t excess = std::min(own - others.mean, others.mean - least);
  // A share of the clients, taken to be alike. Of five against three it is one, measured anything
  // but exactly; of four against three, half a one, it is none: the same again, the other way
  // round.
  std::uint64_t clients = (4 * excess * causes.clients / own + 1) / 4;
  // Few clients on one of many workers: the mean is next to nothing, and whoever gets one has more
  // than that. One at a time then.
  const bool above_mean = 4 * (own - others.mean) * causes.clients >= 3 * own;
  const bool makes_an_end = 4 * (own - least) * causes.clients >= 7 * own;
  if (clients == 0 && above_mean && makes_an_end) clients = 1;
  const std::uint64_t fresh = (excess * causes.fresh + own - 1) / own;
  return {others.least_busy, static_cast<std::uint32_t>(std::min(clients, kClientsMost)),
          static_cast<std::uint32_t>(std::min(fresh, kFreshMost))};
}

}  // namespace weir::proxy
