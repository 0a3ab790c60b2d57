// Mirrors: the copies of requests that one worker has under way, and their bound.
//
// A copy that finds no room is skipped and counted; none ever waits. So a mirror that is slow or
// dead costs at most kUnderWayMax slots with two blocks each.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/intrusive_list.h"
#include "base/slab.h"
#include "proxy/mirror.h"

namespace weir::proxy {

class Mirrors {
 public:
  // Over 2 MiB of blocks per worker: seconds of a mirror that has died, without being felt.
  static constexpr std::size_t kUnderWayMax = 64;

  explicit Mirrors(Worker& worker) : worker_(worker) {}

  // Sends a copy of `request` (a whole message as a server was sent it) to backend `backend` of the
  // snapshot, if there is room. `key`: for keyed policies; `client`: for a
  // PROXY header. Does no I/O: that is the copy's first
  // step.
  void copy(SnapshotUse& use, Session& client, std::uint32_t backend, std::uint64_t key,
            http::MethodId method, std::string_view request);
  // All that are under way end now.
  void abandon_all();

  [[nodiscard]] std::size_t live() const { return slab_.live(); }
  void destroy(Mirror& mirror) { slab_.destroy(mirror); }

 private:
  Worker& worker_;
  Slab<Mirror, 16> slab_{kUnderWayMax};
  IntrusiveList<Mirror, MirrorTag> under_way_;
};

}  // namespace weir::proxy
