// Slab: a pool of objects of one type with stable addresses and a hard capacity.
//
// Owned by one worker and used by its thread alone. Memory comes in chunks that are kept until the
// slab dies, so that a steady state allocates nothing. The slot freed last is reused first: it is
// the one still in the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"

namespace weir {

template <typename T, std::size_t kChunk = 64>
class Slab {
 public:
  // `capacity`: most objects at one time; create() returns null beyond it, and without memory.
  explicit Slab(std::size_t capacity = SIZE_MAX) : capacity_(capacity) {}
  ~Slab() { CHECK(live_ == 0, "slab destroyed with live objects"); }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  [[nodiscard]] std::size_t live() const { return live_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

  template <typename... Args>
  [[nodiscard]] T* create(Args&&... args) {
    if (live_ == capacity_) return nullptr;
    if (free_ == nullptr && !grow()) return nullptr;
    Slot* slot = free_;
    free_ = slot->next_free;
    ++live_;
    return new (slot->storage) T(std::forward<Args>(args)...);
  }

  void destroy(T& object) {
    object.~T();
    Slot* slot = new (static_cast<void*>(&object)) Slot;
    slot->next_free = free_;
    free_ = slot;
    --live_;
  }

 private:
  union Slot {
    Slot() : next_free(nullptr) {}
    Slot* next_free;
    alignas(T) std::byte storage[sizeof(T)];
  };

  // False when memory is exhausted.
  bool grow() {
    Slot* chunk = new (std::nothrow) Slot[kChunk];
    if (chunk == nullptr) return false;
    chunks_.emplace_back(chunk);
    for (std::size_t i = kChunk; i-- > 0;) {
      chunk[i].next_free = free_;
      free_ = &chunk[i];
    }
    return true;
  }

  std::size_t capacity_;
  std::size_t live_ = 0;
  Slot* free_ = nullptr;
  std::vector<std::unique_ptr<Slot[]>> chunks_;
};

}  // namespace weir
