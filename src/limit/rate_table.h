// RateTable: the state (limit/gcra.h) of many keys, shared by all workers without a lock.
//
// A fixed number of buckets of four places. Which keys a bucket has is one word, its directory: a
// tag of 16 bits for each place. A key enters by a compare and exchange of the directory, so it can
// never be in there twice; it is charged by a compare and exchange of its place's tat. Nothing is
// ever removed: a place whose tat has passed is free, and needs no clearing, because a tat that
// passed and none mean the same.
//
// A new key in a full bucket takes over the place of the smallest tat. When that has not passed
// yet, the key that had it begins afresh, and that is counted: a full table allows too much, and
// never refuses for want of room. With keys_max / 2 keys in debt at the same time about one in 200
// loses its state; keys that are not in debt cost nobody anything. Two keys of one bucket with
// equal tags share their limit: for one key in 65,536 if its bucket has one other.
//
// Hashes must be salted with a secret of the process, or a client could choose whose limit it
// uses up.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "limit/gcra.h"

namespace weir::limit {

class RateTable {
 public:
  // Two places for each of `keys_max` keys, rounded up to a power of two: 20 to 40 bytes a key.
  explicit RateTable(std::uint32_t keys_max);

  // Charges one request to the key. 0: allowed. Otherwise nothing is charged, and the next one
  // would be allowed in so many nanoseconds. Any thread.
  [[nodiscard]] std::uint64_t charge(std::uint64_t key_hash, std::uint64_t now_ns,
                                     const Gcra& rate);

  // The same without charging anything.
  [[nodiscard]] std::uint64_t look(std::uint64_t key_hash, std::uint64_t now_ns,
                                   const Gcra& rate) const;

  // Keys that lost their place while they were in debt.
  [[nodiscard]] std::uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t places() const { return (bucket_mask_ + 1) * kPlaces; }

 private:
  static constexpr unsigned kPlaces = 4;
  struct Bucket {
    std::atomic<std::uint64_t> directory{0};  // 16 bits for each place; 0: never used.
    std::array<std::atomic<std::uint64_t>, kPlaces> tat_ns{};
  };

  [[nodiscard]] static std::uint64_t tag_of(std::uint64_t key_hash);
  [[nodiscard]] static std::uint64_t tag_at(std::uint64_t directory, unsigned place);
  [[nodiscard]] static unsigned find(std::uint64_t directory, std::uint64_t tag);
  void take_place(Bucket& bucket, std::uint64_t directory, std::uint64_t tag, std::uint64_t now_ns);

  std::size_t bucket_mask_;
  std::unique_ptr<Bucket[]> buckets_;
  std::atomic<std::uint64_t> evicted_{0};
};

}  // namespace weir::limit
