// MemoryChecks: what the workers hold is bounded by what there was at one time.
//
// Slabs and pools keep their memory for the next who needs it, so the bound follows the peak: of
// blocks, sessions, exchanges, connections. Who forgets to use again what was given back grows with
// what there was in all, and passes it.
#pragma once

#include <cstddef>
#include <vector>

#include "proxy/worker.h"

namespace weir::sim {

class MemoryChecks {
 public:
  explicit MemoryChecks(std::size_t workers) : peaks_(workers) {}

  void after_turn(proxy::Worker& worker);

 private:
  // Most of one worker at the end of any turn.
  struct Peak {
    std::size_t sessions = 0;
    std::size_t exchanges = 0;
    std::size_t mirrors = 0;
    std::size_t server_connections = 0;
    std::size_t tickets = 0;
    std::size_t blocks = 0;

    void raise_to(const Peak& now);
    // What slabs may hold for it.
    [[nodiscard]] std::size_t slab_bytes() const;
  };

  std::vector<Peak> peaks_;  // By worker.
};

// When weir is gone: nothing that a worker has allocated is left, and the process never held much.
void check_memory_at_end();

}  // namespace weir::sim
