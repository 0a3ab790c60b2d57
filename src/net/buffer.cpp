#include "net/buffer.h"

namespace weir::net {

BufferPool::~BufferPool() {
  CHECK(leased_.read() == 0, "buffer pool destroyed with blocks leased");
  while (free_ != nullptr) {
    FreeBlock* block = std::exchange(free_, free_->next);
    ::operator delete(block);
  }
}

char* BufferPool::take_new() {
  const bool allowed = leased_.read() < blocks_max_;
  void* block = allowed ? ::operator new(kBlockBytes, std::nothrow) : nullptr;
  (block != nullptr ? leased_ : exhausted_).add();
  return static_cast<char*>(block);
}

void BufferPool::free_block(char* block) { ::operator delete(block); }

}  // namespace weir::net
