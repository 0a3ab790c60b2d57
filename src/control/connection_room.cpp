#include "control/connection_room.h"

#include <algorithm>

#include "os/process.h"

namespace weir::control {
namespace {

// Descriptors that are not connections: logs, epoll, wake-ups, listening sockets, the admin pages.
constexpr std::uint64_t kReservedDescriptors = 32;
constexpr std::uint64_t kReservedPerWorker = 4;
// One part in so many of the rest is for pipes, unless max_connections says otherwise. A client
// without a pipe is served all the same.
constexpr std::uint64_t kPipeShare = 8;

}  // namespace

unsigned worker_count(const config::Runtime& runtime) {
  if (runtime.workers) return *runtime.workers;
  const auto cpus = static_cast<unsigned>(os::usable_cpus().size());
  const unsigned quota = os::cgroup_cpu_quota();
  return std::max(1u, quota > 0 ? std::min(cpus, quota) : cpus);
}

std::uint64_t free_descriptors(std::size_t listeners, const Room& room) {
  const std::uint64_t reserved =
      kReservedDescriptors + (kReservedPerWorker + listeners) * room.workers;
  return std::max<std::uint64_t>(room.descriptor_limit, reserved + 2) - reserved;
}

// A proxied client takes two descriptors: its own and the server's.
Result<std::uint32_t, std::string> connections_max(const config::Listener& listener,
                                                   const std::vector<config::Listener>& all,
                                                   const Room& room) {
  const std::uint64_t pairs = free_descriptors(all.size(), room) / 2;
  std::uint64_t explicit_sum = 0;
  std::uint64_t derived = 0;
  for (const config::Listener& each : all) {
    explicit_sum += each.max_connections.value_or(0);
    derived += each.max_connections ? 0 : 1;
  }
  if (listener.max_connections) {
    if (explicit_sum <= pairs) return *listener.max_connections;
    return Err("listener " + listener.name +
               ": max_connections = " + std::to_string(*listener.max_connections) +
               " does not fit: the limit of " + std::to_string(room.descriptor_limit) +
               " open files leaves room for " + std::to_string(pairs) +
               " proxied connections in all; raise it (ulimit -n, LimitNOFILE=) or lower "
               "max_connections");
  }
  const std::uint64_t for_clients = pairs - pairs / kPipeShare;
  const std::uint64_t left = for_clients > explicit_sum ? for_clients - explicit_sum : 0;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(left / derived, 1, UINT32_MAX));
}

}  // namespace weir::control
