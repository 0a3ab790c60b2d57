#include "sim/world/memory_checks.h"

#include <algorithm>
#include <string>

#include "sim/os_sim_heap.h"
#include "sim/world/checkers.h"

namespace weir::sim {
namespace {

// Of a worker, without slabs and buffers: its copies of backends and servers, queues, tables, and a
// chunk for what came and went within one turn.
constexpr std::size_t kWorkerBytes = 128 * 1024;
// Blocks that come and go within one turn: these, and one of each session.
constexpr std::size_t kBlocksPerTurn = 32;
// Of the whole process: the simulated network with the bytes under way, the scripts, weir.
constexpr std::size_t kProcessBytes = 256 * 1024 * 1024;

// Whole chunks.
template <typename T>
std::size_t slab_bytes_of(std::size_t most, std::size_t chunk = 64) {
  return (most + chunk - 1) / chunk * chunk * sizeof(T);
}

}  // namespace

void MemoryChecks::Peak::raise_to(const Peak& now) {
  sessions = std::max(sessions, now.sessions);
  exchanges = std::max(exchanges, now.exchanges);
  mirrors = std::max(mirrors, now.mirrors);
  server_connections = std::max(server_connections, now.server_connections);
  tickets = std::max(tickets, now.tickets);
  blocks = std::max(blocks, now.blocks);
}

std::size_t MemoryChecks::Peak::slab_bytes() const {
  return slab_bytes_of<proxy::HttpSession>(sessions) + slab_bytes_of<proxy::TcpSession>(sessions) +
         slab_bytes_of<proxy::Exchange>(exchanges, 16) + slab_bytes_of<proxy::Mirror>(mirrors, 16) +
         slab_bytes_of<upstream::ServerConnection>(server_connections) +
         slab_bytes_of<upstream::Ticket>(tickets);
}

void MemoryChecks::after_turn(proxy::Worker& worker) {
  const proxy::Worker::Census census = worker.census();
  peaks_[worker.index()].raise_to({census.sessions, census.exchanges, census.mirrors,
                                   census.server_connections, worker.tickets().slab.live(),
                                   worker.buffers().leased()});
  std::size_t most = peaks_.size() * kWorkerBytes;
  std::size_t blocks = peaks_.size() * kBlocksPerTurn;
  for (const Peak& each : peaks_) {
    most += each.slab_bytes();
    blocks += each.blocks + each.sessions;
  }
  const Heap held = heap();
  check(held.weir_bytes <= most, "memory stays bounded",
        std::to_string(held.weir_bytes) + " bytes of workers, at most " + std::to_string(most));
  check(
      held.weir_buffers <= blocks, "memory stays bounded",
      std::to_string(held.weir_buffers) + " blocks of buffers, at most " + std::to_string(blocks));
  // Two directions each.
  const std::size_t flows = 2 * (census.exchanges + census.sessions);
  check(worker.pipes().counters().open.read() <= net::PipePool::kKeptPipesMax + flows,
        "memory stays bounded", "a worker has more pipes than flows and spare ones");
}

void check_memory_at_end() {
  const Heap held = heap();
  check(held.weir_bytes == 0 && held.weir_buffers == 0, "no memory is left",
        std::to_string(held.weir_bytes) + " bytes and " + std::to_string(held.weir_buffers) +
            " blocks of buffers");
  check(held.bytes_most <= kProcessBytes, "memory stays bounded",
        std::to_string(held.bytes_most) + " bytes of the process, at most " +
            std::to_string(kProcessBytes));
}

}  // namespace weir::sim
