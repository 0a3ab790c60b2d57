// Handle: a name for an object that stays safe to look up after the object is gone.
//
// kind 8 bits | index 24 bits | generation 32 bits, in one integer, because that is what the
// kernel carries for us in epoll_event.data. The generation grows each time an index is reused, so
// an event for a descriptor that was closed and reopened within one batch resolves to null.
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"

namespace weir {

struct Handle {
  std::uint64_t raw = 0;

  static constexpr std::uint32_t kIndexMax = (1u << 24) - 1;

  static constexpr Handle make(std::uint8_t kind, std::uint32_t index, std::uint32_t generation) {
    return Handle{std::uint64_t{kind} << 56 | std::uint64_t{index & kIndexMax} << 32 | generation};
  }
  [[nodiscard]] constexpr std::uint8_t kind() const { return static_cast<std::uint8_t>(raw >> 56); }
  [[nodiscard]] constexpr std::uint32_t index() const {
    return static_cast<std::uint32_t>(raw >> 32) & kIndexMax;
  }
  [[nodiscard]] constexpr std::uint32_t generation() const {
    return static_cast<std::uint32_t>(raw);
  }
  constexpr bool operator==(const Handle&) const = default;
};

// Maps handles to objects it does not own. Generation 0 is never handed out, so a
// default-constructed Handle resolves to null.
template <typename T>
class HandleTable {
 public:
  [[nodiscard]] Handle insert(std::uint8_t kind, T& object) {
    if (free_.empty()) {
      CHECK(entries_.size() < Handle::kIndexMax, "handle table is full");
      free_.push_back(static_cast<std::uint32_t>(entries_.size()));
      entries_.push_back({});
      free_.reserve(entries_.capacity());  // erase() must never allocate.
    }
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Entry& entry = entries_[index];
    if (++entry.generation == 0) entry.generation = 1;
    entry.object = &object;
    return Handle::make(kind, index, entry.generation);
  }

  // The object, or null when the handle is stale.
  [[nodiscard]] T* find(Handle handle) const {
    if (handle.index() >= entries_.size()) return nullptr;
    const Entry& entry = entries_[handle.index()];
    return entry.generation == handle.generation() ? entry.object : nullptr;
  }

  void erase(Handle handle) {
    CHECK(find(handle) != nullptr, "erase of a stale handle");
    entries_[handle.index()].object = nullptr;
    free_.push_back(handle.index());
  }

  [[nodiscard]] std::size_t live() const { return entries_.size() - free_.size(); }

  // Calls visit(T&) for every object in the table.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Entry& entry : entries_) {
      if (entry.object != nullptr) visit(*entry.object);
    }
  }

 private:
  struct Entry {
    T* object = nullptr;
    std::uint32_t generation = 0;
  };
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
};

}  // namespace weir
