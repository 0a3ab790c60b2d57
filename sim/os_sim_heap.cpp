// The program's new and delete, with a few bytes in front of each block that say how long it is and
// on whose account.

#include "sim/os_sim_heap.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "net/buffer.h"
#include "sim/os_sim_account.h"

namespace weir::sim {
namespace {

struct Head {
  std::size_t bytes;
  Account::Of whose;
};
constexpr std::size_t kHeadBytes = 16;
static_assert(sizeof(Head) <= kHeadBytes && kHeadBytes == __STDCPP_DEFAULT_NEW_ALIGNMENT__);

constinit Heap g_heap;

Head& head_of(void* block) {
  return *reinterpret_cast<Head*>(static_cast<char*>(block) - kHeadBytes);
}

// The head lies directly in front of the block, and ahead of that is what aligns the block.
std::size_t room_ahead(std::size_t alignment) { return std::max(kHeadBytes, alignment); }

void count(const Head& head, bool more) {
  const auto add = [more](std::size_t& sum, std::size_t what) { more ? sum += what : sum -= what; };
  add(g_heap.bytes, head.bytes);
  g_heap.bytes_most = std::max(g_heap.bytes_most, g_heap.bytes);
  if (head.whose != Account::Of::weir) return;
  if (head.bytes == net::kBlockBytes) {
    add(g_heap.weir_buffers, 1);
  } else {
    add(g_heap.weir_bytes, head.bytes);
  }
}

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  const std::size_t ahead = room_ahead(alignment);
  void* base = nullptr;
  if (bytes > SIZE_MAX - ahead || ::posix_memalign(&base, ahead, bytes + ahead) != 0)
    return nullptr;
  void* block = static_cast<char*>(base) + ahead;
  head_of(block) = {bytes, Account::current()};
  count(head_of(block), true);
  return block;
}

void* allocate_or_die(std::size_t bytes, std::size_t alignment) {
  void* block = allocate(bytes, alignment);
  if (block == nullptr) std::abort();  // The simulator has no use for less memory.
  return block;
}

void release(void* block, std::size_t alignment) noexcept {
  if (block == nullptr) return;
  count(head_of(block), false);
  std::free(static_cast<char*>(block) - room_ahead(alignment));
}

}  // namespace

Heap heap() { return g_heap; }

}  // namespace weir::sim

// The forms for arrays, and those with a size, end in these.
void* operator new(std::size_t bytes) {
  return weir::sim::allocate_or_die(bytes, weir::sim::kHeadBytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  return weir::sim::allocate(bytes, weir::sim::kHeadBytes);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return weir::sim::allocate_or_die(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, std::align_val_t alignment,
                   const std::nothrow_t& /*tag*/) noexcept {
  return weir::sim::allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { weir::sim::release(block, weir::sim::kHeadBytes); }
void operator delete(void* block, std::size_t /*bytes*/) noexcept { operator delete(block); }
void operator delete(void* block, std::align_val_t alignment) noexcept {
  weir::sim::release(block, static_cast<std::size_t>(alignment));
}
void operator delete(void* block, std::size_t /*bytes*/, std::align_val_t alignment) noexcept {
  operator delete(block, alignment);
}
