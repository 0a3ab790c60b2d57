// Kernel: the simulated machine: fibers, a virtual clock, a network and its faults.
//
// One Kernel at a time stands behind os.h when sim/os_sim.cpp is linked. Everything that happens is
// a function of the seed. The world creates it, spawns a fiber per worker and one for the control
// loop, connects its scripted peers (peer.h), and calls step() until nothing can happen any more.
//
//   step()  resume one runnable fiber, or run one due event (a segment arrives, a timer of the
//           world, a callback of a peer), chosen by the seed; when there is neither, the clock
//           jumps to the next event.
//
// A fiber runs until it waits in os::epoll_wait, yields inside another call (a fault), or ends.
// os.h may be used outside of fibers too, for instance to build workers; there it never yields, and
// epoll_wait does not wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "os/resolver.h"
#include "sim/kernel/conditions.h"
#include "sim/kernel/faults.h"
#include "sim/kernel/peer.h"

namespace weir::sim {

struct Parts;  // What the kernel is made of: parts.h, for os_sim.cpp and sim/kernel only.
class Kernel;

// The kernel behind os.h, or null. os.h has no state of its own, so this is the only variable of
// the simulator that nobody owns; os_sim.cpp has it, the constructor and destructor set it.
[[nodiscard]] Kernel*& current_kernel();

struct Lookup {
  os::Answer answer;
  std::uint64_t delay_ns = 0;
};

class Kernel {
 public:
  explicit Kernel(std::uint64_t seed, const Faults& faults = {});
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  // The one that exists.
  [[nodiscard]] static Kernel& current();

  // --- Running ---------------------------------------------------------------------------------

  // Returns the fiber's number.
  std::size_t spawn(std::string name, std::function<void()> body);
  [[nodiscard]] bool alive(std::size_t fiber) const;
  // False when nothing can happen any more: no fiber can run, none waits with a timeout, and no
  // event is scheduled.
  bool step();
  // Fibers whose body has not returned.
  [[nodiscard]] std::size_t fibers() const;
  // The name of the fiber that runs, "world" outside of fibers.
  [[nodiscard]] std::string_view running() const;

  // --- Time and chance -------------------------------------------------------------------------

  [[nodiscard]] std::uint64_t now_ns() const;
  // Calls `action` from step() when the clock has reached `when_ns` (now, if it is past).
  void at(std::uint64_t when_ns, std::function<void()> action);
  void after(std::uint64_t delay_ns, std::function<void()> action) {
    at(now_ns() + delay_ns, std::move(action));
  }
  // Time in which nobody could do anything, as when the machine was suspended.
  void jump_clock(std::uint64_t ns);
  // The world's own numbers: drawing from them does not move the kernel's.
  [[nodiscard]] Prng& prng();
  // What new connections are drawn from.
  [[nodiscard]] Conditions& conditions();

  // --- Trace -----------------------------------------------------------------------------------

  // One line of the world's own. `what` must be a literal; it is formatted only when asked for.
  void trace(const char* what, std::uint64_t first = 0, std::uint64_t second = 0);
  // Over every call, its result, every event and every line of the world so far.
  [[nodiscard]] std::uint64_t hash() const;
  // The most recent lines, oldest first.
  [[nodiscard]] std::vector<std::string> last_lines() const;
  // os.h calls so far.
  [[nodiscard]] std::uint64_t calls() const;

  // --- Faults ----------------------------------------------------------------------------------

  // May be changed at any time; `kernel.faults() = {}` ends all of them.
  [[nodiscard]] Faults& faults();
  [[nodiscard]] std::uint64_t injected(Fault fault) const;
  // Connections that waited when the program refused new ones, and that it closed its listening
  // socket upon without having accepted them, although no fault kept it from that.
  [[nodiscard]] std::uint64_t queue_resets() const;
  // A fault reset this connection or kept it from being made: its end needs no other reason.
  [[nodiscard]] bool killed_by_fault(std::uint64_t connection) const;
  // Descriptors that may be open at one time, as RLIMIT_NOFILE.
  void set_descriptor_limit(std::size_t limit);

  // --- What is left ----------------------------------------------------------------------------

  // One line per open descriptor: its number, what it is, who made it and when.
  [[nodiscard]] std::vector<std::string> open_descriptors() const;
  [[nodiscard]] std::size_t open_descriptor_count() const;
  // Connections of which some end is not closed yet, peers' ends included.
  [[nodiscard]] std::size_t live_connections() const;

  // --- Hooks -----------------------------------------------------------------------------------

  // Called by os::trace_transition() for every edge a state machine takes.
  std::function<void(std::uint8_t machine, std::uint8_t from, std::uint8_t to)> on_transition;
  // Called with a sentence before the kernel aborts because the program broke a rule of os.h (a
  // closed descriptor was used). Its trace is in last_lines().
  std::function<void(const std::string& why)> on_misuse;
  // Called when a second epoll instance watches an open file, and not as one of those that share
  // it. The kernel allows that.
  std::function<void(const std::string& file)> on_second_watch;
  // Called for each question to os::Resolver: what the name servers say, and after how long.
  std::function<Lookup(const os::Question&)> on_lookup;
  // Called when the program takes an answer.
  std::function<void(const os::Answer&)> on_answer;

  [[nodiscard]] Parts& parts() { return *parts_; }

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace weir::sim
