#include "limit/rate_table.h"

#include <algorithm>
#include <bit>

namespace weir::limit {

RateTable::RateTable(std::uint32_t keys_max)
    : bucket_mask_(std::bit_ceil((std::max<std::size_t>(keys_max, 1) * 2 + kPlaces - 1) / kPlaces) -
                   1),
      buckets_(std::make_unique<Bucket[]>(bucket_mask_ + 1)) {}

// From other bits than the bucket, and never 0.
std::uint64_t RateTable::tag_of(std::uint64_t key_hash) {
  return std::max<std::uint64_t>(key_hash >> 48, 1);
}

std::uint64_t RateTable::tag_at(std::uint64_t directory, unsigned place) {
  return directory >> (place * 16) & 0xFFFF;
}

// kPlaces when the key is not there.
unsigned RateTable::find(std::uint64_t directory, std::uint64_t tag) {
  unsigned place = 0;
  while (place < kPlaces && tag_at(directory, place) != tag) ++place;
  return place;
}

std::uint64_t RateTable::charge(std::uint64_t key_hash, std::uint64_t now_ns, const Gcra& rate) {
  Bucket& bucket = buckets_[key_hash & bucket_mask_];
  const std::uint64_t tag = tag_of(key_hash);
  for (;;) {
    const std::uint64_t directory = bucket.directory.load();
    const unsigned place = find(directory, tag);
    if (place == kPlaces) {
      take_place(bucket, directory, tag, now_ns);
      continue;
    }
    std::uint64_t tat_ns = bucket.tat_ns[place].load();
    const Gcra::Verdict verdict = rate.decide(tat_ns, now_ns);
    const bool allowed = verdict.retry_after_ns == 0;
    if (allowed && !bucket.tat_ns[place].compare_exchange_strong(tat_ns, verdict.tat_ns)) continue;
    // Unless another key took the place over meanwhile. What was charged to that one is not
    // taken back: for an instant it is allowed too little, and never too much.
    if (tag_at(bucket.directory.load(), place) == tag) return verdict.retry_after_ns;
  }
}

// A key whose place another one is taking just now is judged by either's state.
std::uint64_t RateTable::look(std::uint64_t key_hash, std::uint64_t now_ns,
                              const Gcra& rate) const {
  const Bucket& bucket = buckets_[key_hash & bucket_mask_];
  const unsigned place = find(bucket.directory.load(), tag_of(key_hash));
  return place == kPlaces ? 0 : rate.decide(bucket.tat_ns[place].load(), now_ns).retry_after_ns;
}

// Enters the key, unless the directory has changed: then it may be there.
void RateTable::take_place(Bucket& bucket, std::uint64_t directory, std::uint64_t tag,
                           std::uint64_t now_ns) {
  unsigned place = 0;
  std::array<std::uint64_t, kPlaces> tats_ns;
  for (unsigned i = 0; i < kPlaces; ++i) {
    tats_ns[i] = bucket.tat_ns[i].load();
    if (tats_ns[i] < tats_ns[place]) place = i;
  }
  const std::uint64_t others = directory & ~(std::uint64_t{0xFFFF} << (place * 16));
  if (!bucket.directory.compare_exchange_strong(directory, others | tag << (place * 16))) return;
  if (tats_ns[place] <= now_ns) return;
  evicted_.fetch_add(1, std::memory_order_relaxed);
  // The new key does not inherit the debt, unless somebody has charged it by now: that must stay.
  bucket.tat_ns[place].compare_exchange_strong(tats_ns[place], now_ns);
}

}  // namespace weir::limit
