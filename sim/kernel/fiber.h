// Fibers: the simulated threads. Each runs on its own stack until it gives way; nothing runs in
// parallel.
//
// A fiber is runnable, or waits until a moment or until its `ready` says so, or is done. One that
// has not returned when Fibers is destroyed is abandoned: what its stack owns is not released.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/kernel/clock.h"

namespace weir::sim {

class Fiber {
 public:
  enum class Woken : std::uint8_t {
    ready,
    deadline,
    early,  // Neither, as a signal does it.
  };

  // Whether it may run now.
  [[nodiscard]] bool runnable(std::uint64_t now_ns) const;
  // When it may run, if nothing else happens; kNever: not by itself.
  [[nodiscard]] std::uint64_t runnable_at_ns() const;
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] std::uint32_t who() const { return who_; }

 private:
  friend class Fibers;
  ucontext_t context_{};
  std::unique_ptr<char[]> stack_;
  std::function<void()> body_;
  std::uint32_t who_ = 0;  // Its name in the trace.
  std::uint64_t not_before_ns_ = 0;
  std::function<bool()> ready_;  // Set while it waits.
  std::uint64_t deadline_ns_ = kNever;
  std::uint64_t early_ns_ = kNever;
  void* fake_stack_ = nullptr;  // AddressSanitizer's.
  bool done_ = false;
};

class Fibers {
 public:
  Fibers() = default;
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  void spawn(std::uint32_t who, std::function<void()> body);
  [[nodiscard]] const std::vector<std::unique_ptr<Fiber>>& all() const { return all_; }
  // The one that runs; null outside of fibers.
  [[nodiscard]] Fiber* running() const { return running_; }

  // Forgets them all, with the functions they run; these may own what closes itself.
  void abandon() { all_.clear(); }

  // From outside: runs `fiber` until it gives way.
  void resume(Fiber& fiber);

  // From the running fiber: gives way, and may run again at `not_before_ns`.
  void yield(std::uint64_t not_before_ns);
  // From the running fiber: waits until ready() holds or a moment has come.
  Fiber::Woken wait(std::function<bool()> ready, std::uint64_t deadline_ns, std::uint64_t early_ns,
                    const Clock& clock);

 private:
  static void enter(unsigned high, unsigned low);
  void leave(bool for_good);

  std::vector<std::unique_ptr<Fiber>> all_;
  Fiber* running_ = nullptr;
  ucontext_t outside_{};
  const void* outside_stack_ = nullptr;
  std::size_t outside_stack_bytes_ = 0;
};

}  // namespace weir::sim
