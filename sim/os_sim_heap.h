// Heap: how much memory the process holds, and how much of it weir's workers have allocated.
//
// Every new and delete of the program goes through here. A block knows who made it, so that it may
// be given back by anybody.
#pragma once

#include <cstddef>

namespace weir::sim {

struct Heap {
  std::size_t bytes = 0;         // Of everybody.
  std::size_t bytes_most = 0;    // At any time so far.
  std::size_t weir_bytes = 0;    // Of weir's, without the blocks of its buffers.
  std::size_t weir_buffers = 0;  // Such blocks.
};

[[nodiscard]] Heap heap();

}  // namespace weir::sim
