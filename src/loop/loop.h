// Loop: one epoll instance, one run queue, one timer wheel, one mailbox, one thread.
//
//   turn = wait -> latch -> run -> expire -> reap -> publish
//
// wait     one epoll_wait; it does not block while something is runnable or a message waits
// latch    each event sets the latches of its source and queues it once; nothing else happens here
// run      every source that was queued when the phase began makes one bounded step; interactive
//          ones first, then a few bulk ones, so that neither can starve the other
// expire   a bounded batch of due deadlines
// reap     what was retired this turn is given back; no reference to it is left on the stack
// publish  messages from other threads are delivered
//
// Workers and the control thread run the same class. A turn never blocks except in wait.
#pragma once

#include <array>
#include <cstdint>

#include "base/counter.h"
#include "base/handle.h"
#include "base/intrusive_list.h"
#include "loop/mailbox.h"
#include "loop/poller.h"
#include "loop/source.h"
#include "loop/timer_wheel.h"

namespace weir::loop {

struct LoopCounters {
  Counter turns;
  Counter events;
  Counter stale_events;  // Events whose source was gone already.
  Counter steps;
  Counter busy_ns;  // Not spent waiting, up to the last wait; only if asked for.
};

class Loop {
 public:
  explicit Loop(Trigger trigger = Trigger::edge);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void turn();

  // The clock of this turn, since an arbitrary start.
  [[nodiscard]] std::uint64_t now_ms() const { return now_ms_; }
  [[nodiscard]] std::uint64_t now_us() const { return now_us_; }
  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }
  // Turns have taken so long lately that whoever gets the next event waits noticeably for its turn.
  [[nodiscard]] bool saturated() const { return lag_ns_ > kSaturatedNs; }

  // From now on counts busy_ns, which takes one more look at the clock per turn.
  void measure_busy() { measures_busy_ = true; }

  // Adds a connected or connecting socket, told by edges (or as the trigger mode says). False when
  // the kernel has no room; the source is then unchanged.
  [[nodiscard]] bool watch(Source& source);
  // The same, a little later, for a socket whose events can wait: one that is closed soon is never
  // made known to the kernel. It is before the loop sleeps, and after kLateMs at the latest, and
  // then the kernel tells what has come meanwhile. False when there is no room at once; when there
  // is none later, the source's watch_failed() is called.
  [[nodiscard]] bool watch_late(Source& source);
  // Adds a source that is told again for as long as it is readable: listeners, wake-ups.
  // `exclusive`: the open socket is shared with other loops, wake only one.
  [[nodiscard]] bool watch_level(Source& source, bool exclusive = false);
  // Takes the source out of epoll and off the run queue; it may be watched again.
  void unwatch(Source& source);

  // To be called after an I/O call changed the latches. Does nothing in edge mode.
  void rearm(Source& source) {
    if (source.rearmed_) rearm_now(source);
  }

  // Queues the source for the next run phase; once, however often it is called.
  void schedule(Source& source, RunClass run_class = RunClass::interactive);
  // Events of `source` queue `target` instead (null: itself again).
  void redirect(Source& source, Source* target) { source.runs_instead_ = target; }

  // kNever: none for now. cancel_deadline(): none for long.
  void set_deadline(Source& source, std::uint64_t deadline_ms) { wheel_.set(source, deadline_ms); }
  void cancel_deadline(Source& source) { wheel_.cancel(source); }

  // Closes the descriptor, forgets the source, and calls its reap() at the end of the turn.
  void retire(Source& source);

  // The reap phase alone, for an owner that ends between two turns.
  void reap_retired() { reap(); }

  // For other threads. The loop delivers in its publish phase.
  [[nodiscard]] Mailbox& mailbox() { return mailbox_; }

  [[nodiscard]] const LoopCounters& counters() const { return counters_; }
  [[nodiscard]] std::size_t watched() const { return sources_.live(); }
  [[nodiscard]] Trigger trigger() const { return poller_.trigger(); }

  // For checkers: visit(Source&) for everything watched, and for everything that waits to run.
  template <typename Visit>
  void for_each_watched(Visit visit) const {
    sources_.for_each(visit);
  }
  template <typename Visit>
  void for_each_queued(Visit visit) {
    for (RunQueue& queue : interactive_) queue.for_each(visit);
    bulk_.for_each(visit);
  }

 private:
  using RunQueue = IntrusiveList<Source, RunTag>;

  void wait_and_latch();
  void look_at_late(bool all);
  void latch(Source& source, std::uint8_t flags);
  void rearm_now(Source& source);
  void run();
  void run_bulk();
  void run_one(Source& source);
  void expire();
  void reap();
  [[nodiscard]] int wait_timeout_ms();
  void read_clock();

  static constexpr std::uint64_t kSaturatedNs = 10'000'000;
  static constexpr std::uint64_t kLateMs = 4;
  static constexpr std::size_t kLateMax = 256;
  static constexpr std::size_t kEventsPerTurn = 256;
  static constexpr int kBulkStepsPerTurn = 2;
  static constexpr std::size_t kTimersPerTurn = 256;

  Poller poller_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t now_us_ = 0;
  std::uint64_t now_ms_ = 0;
  std::uint64_t lag_ns_ = 0;  // Of turns that did not sleep, averaged over the last few.
  TimerWheel wheel_;
  HandleTable<Source> sources_;
  // What is queued while one of the two is run goes to the other.
  std::array<RunQueue, 2> interactive_;
  std::uint8_t filling_ = 0;
  RunQueue bulk_;
  RunQueue retired_;
  // By watch_late(); some of them have been retired since. The first ones came before the last
  // look.
  std::array<Handle, kLateMax> late_;
  std::size_t late_count_ = 0;
  std::size_t late_looked_at_ = 0;
  std::uint64_t next_late_look_ms_ = 0;
  Mailbox mailbox_;
  bool measures_busy_ = false;
  LoopCounters counters_;
  std::array<os::Event, kEventsPerTurn> events_;
};

}  // namespace weir::loop
