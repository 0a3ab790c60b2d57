// What threads have between two calls of os.h: mutexes that are taken, and another thread in the
// middle of what they share.
//
// Fibers change places only in calls. A mutex that its holder kept in such a call would stop the
// whole process, so locking gives way instead (the linker puts the function here in place of
// pthread_mutex_lock). And the few files in which workers meet are compiled a second time with a
// hook at the beginning and end of every function of theirs (sim/CMakeLists.txt): there another
// fiber may run between a look at a count and its change.

#include <pthread.h>

#include "base/check.h"
#include "sim/os_sim_call.h"

namespace weir::sim {
namespace {

// A part of the shortest time that a fiber is held up: looking more often only costs steps.
constexpr std::uint64_t kLookAgainNs = 5'000;
// Long enough for others to do something.
constexpr std::uint64_t kRaceNsMin = 50'000;

void maybe_give_way() {
  if (current_kernel() == nullptr || parts().fibers.running() == nullptr) return;
  if (!chance().happens(Fault::race)) return;
  parts().fibers.yield(machine().clock.now_ns() + chance().spread(kRaceNsMin, kRepairedWithinNs));
}

}  // namespace
}  // namespace weir::sim

// The names are the linker's and the compiler's.
extern "C" {

int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  while (pthread_mutex_trylock(mutex) != 0) {
    CHECK(weir::sim::parts().fibers.running() != nullptr, "nobody would unlock the mutex");
    weir::sim::parts().fibers.yield(weir::sim::machine().clock.now_ns() + weir::sim::kLookAgainNs);
  }
  return 0;
}

void __cyg_profile_func_enter(void* /*function*/, void* /*caller*/) { weir::sim::maybe_give_way(); }
void __cyg_profile_func_exit(void* /*function*/, void* /*caller*/) { weir::sim::maybe_give_way(); }

}  // extern "C"
