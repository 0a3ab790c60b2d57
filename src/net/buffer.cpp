#include "net/buffer.h"

#include <new>

namespace weir::net {

BufferPool::~BufferPool() {
  CHECK(leased_.read() == 0, "buffer pool destroyed with blocks leased");
  while (free_ != nullptr) {
    FreeBlock* block = std::exchange(free_, free_->next);
    ::operator delete(block);
  }
}

char* BufferPool::take() {
  if (leased_.read() >= blocks_max_) {
    exhausted_.add();
    return nullptr;
  }
  void* block = free_;
  if (free_ != nullptr) {
    free_ = free_->next;
    --kept_;
  } else {
    block = ::operator new(kBlockBytes, std::nothrow);
    if (block == nullptr) {
      exhausted_.add();
      return nullptr;
    }
  }
  leased_.add();
  return static_cast<char*>(block);
}

void BufferPool::give_back(char* block) {
  leased_.subtract();
  if (kept_ >= kKeptBlocksMax) {
    ::operator delete(block);
    return;
  }
  free_ = new (block) FreeBlock{free_};
  ++kept_;
}

}  // namespace weir::net
