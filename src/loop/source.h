// Source: something a loop can run: a socket, a listener, a wake-up.
//
// A source owns a descriptor, and has a handle in the kernel's event data, latches, a place in the
// run queue and one deadline. It is owned by a slab or by an object that lives as long as the loop;
// the loop only links it. `retire()` is the only way out: the handle turns stale at once, and
// reap() is called at the end of the turn, when nobody up the stack can hold a reference any more.
#pragma once

#include <cstdint>

#include "base/handle.h"
#include "base/intrusive_list.h"
#include "loop/readiness.h"
#include "loop/timer_wheel.h"
#include "os/fd.h"

namespace weir::loop {

struct RunTag;

// What a handle's kind byte says; used to read traces.
enum class SourceKind : std::uint8_t {
  none,
  wakeup,
  signals,
  listener,
  downstream,
  upstream,
  admin,
};

enum class RunClass : std::uint8_t {
  interactive,  // Heads, small messages, new connections.
  bulk,         // Flows past a size.
};

class Source : public Timer, public ListLink<RunTag> {
 public:
  explicit Source(SourceKind kind) : kind_(kind) {}
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  os::Fd fd;
  Readiness ready;

  [[nodiscard]] SourceKind kind() const { return kind_; }
  // The kernel tells of it.
  [[nodiscard]] bool watched() const { return handle_ != Handle{} && !late_; }
  [[nodiscard]] bool retired() const { return retired_; }
  [[nodiscard]] Handle handle() const { return handle_; }
  // Who runs on this source's events; null: itself.
  [[nodiscard]] const Source* runs_instead() const { return runs_instead_; }
  [[nodiscard]] bool queued() const { return ListLink<RunTag>::linked(); }

  // Its events count as small again, until it is scheduled as bulk.
  void run_as_interactive() { run_class_ = RunClass::interactive; }

  // One bounded step. Called when a latch was set or the source was scheduled.
  virtual void run() = 0;
  // The deadline has passed.
  virtual void expire() {}
  // Loop::watch_late() had to wait, and now the kernel has no room: nothing will be told.
  virtual void watch_failed() {}
  // After retire(), at the end of the turn: give the memory back.
  virtual void reap() {}

 protected:
  ~Source() = default;

 private:
  friend class Loop;
  Handle handle_;
  Source* runs_instead_ = nullptr;
  SourceKind kind_;
  RunClass run_class_ = RunClass::interactive;
  std::uint8_t installed_ = 0;  // Interest the kernel has.
  bool rearmed_ = false;        // Level and oneshot modes: the interest follows the latches.
  bool level_ = false;          // By watch_level(): told again until it is served.
  bool late_ = false;           // By watch_late(): the kernel does not know it yet.
  bool retired_ = false;
};

}  // namespace weir::loop
