// Buffer: one leased block of bytes with a readable part in it. BufferPool: where blocks come from.
//
//   0        begin        end        capacity
//   | used up | readable  | room      |
//
// A worker owns one pool; leases move between its connections and exchanges. An idle connection
// holds no block. The block returned last is leased first, because it is still in the cache.
// Consumed bytes stay in place until clear() or compact(), so a request can be sent again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/counter.h"

namespace weir::net {

// A head of the largest allowed size and everything the writer adds to it fit into one block.
inline constexpr std::uint32_t kBlockBytes = 18 * 1024;

class BufferPool {
 public:
  // Blocks beyond this are given back to the allocator when they are returned.
  static constexpr std::size_t kKeptBlocksMax = 512;

  // `blocks_max`: most blocks leased at one time.
  explicit BufferPool(std::size_t blocks_max = SIZE_MAX) : blocks_max_(blocks_max) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // kBlockBytes bytes, or null at the limit or when memory is exhausted; both are counted.
  [[nodiscard]] char* take() {
    if (free_ == nullptr || leased_.read() >= blocks_max_) return take_new();
    leased_.add();
    --kept_;
    return reinterpret_cast<char*>(std::exchange(free_, free_->next));
  }
  void give_back(char* block) {
    leased_.subtract();
    if (kept_ >= kKeptBlocksMax) return free_block(block);
    free_ = new (block) FreeBlock{free_};
    ++kept_;
  }

  [[nodiscard]] std::uint64_t leased() const { return leased_.read(); }
  [[nodiscard]] std::uint64_t exhausted() const { return exhausted_.read(); }

 private:
  struct FreeBlock {
    FreeBlock* next;
  };

  [[nodiscard]] char* take_new();
  static void free_block(char* block);

  std::size_t blocks_max_;
  FreeBlock* free_ = nullptr;
  std::size_t kept_ = 0;
  Counter leased_;
  Counter exhausted_;
};

class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      swap(other);
    }
    return *this;
  }
  ~Buffer() { release(); }

  // Makes sure there is a block. False when the pool has none.
  [[nodiscard]] bool lease(BufferPool& pool) {
    if (block_ != nullptr) return true;
    block_ = pool.take();
    if (block_ == nullptr) return false;
    pool_ = &pool;
    begin_ = end_ = 0;
    return true;
  }
  void release() {
    if (block_ == nullptr) return;
    pool_->give_back(std::exchange(block_, nullptr));
    begin_ = end_ = 0;
  }

  [[nodiscard]] bool leased() const { return block_ != nullptr; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] const char* data() const { return block_ + begin_; }
  [[nodiscard]] std::string_view readable() const { return {block_ + begin_, size()}; }
  // Bytes in front of the readable part.
  [[nodiscard]] std::size_t consumed() const { return begin_; }
  void consume(std::size_t count) {
    CHECK(count <= size());
    begin_ += static_cast<std::uint32_t>(count);
  }

  [[nodiscard]] char* room_at() { return block_ + end_; }
  [[nodiscard]] std::size_t room() const { return block_ != nullptr ? kBlockBytes - end_ : 0; }
  void produced(std::size_t count) {
    CHECK(count <= room());
    end_ += static_cast<std::uint32_t>(count);
  }
  void append(std::string_view bytes) {
    CHECK(bytes.size() <= room());
    std::memcpy(room_at(), bytes.data(), bytes.size());
    end_ += static_cast<std::uint32_t>(bytes.size());
  }

  void clear() { begin_ = end_ = 0; }
  // Makes the consumed bytes readable again; what compact() or clear() dropped is gone.
  void rewind() { begin_ = 0; }
  // Moves the readable part to the front of the block.
  void compact() {
    if (begin_ == 0) return;
    std::memmove(block_, block_ + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }

 private:
  void swap(Buffer& other) {
    std::swap(block_, other.block_);
    std::swap(pool_, other.pool_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
  }

  char* block_ = nullptr;
  BufferPool* pool_ = nullptr;
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
};

}  // namespace weir::net
