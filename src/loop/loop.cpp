#include "loop/loop.h"

#include <algorithm>
#include <limits>

namespace weir::loop {
namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;

}  // namespace

Loop::Loop(Trigger trigger) : poller_(trigger), wheel_(os::monotonic_ns() / kNsPerMs) {
  read_clock();
  // Handle 0 resolves to no source: the wake-up only has to end the wait.
  CHECK(os::epoll_add(poller_.epoll(), mailbox_.wakeup(), 0, os::kReadable, os::Mode::level));
}

void Loop::read_clock() {
  now_ns_ = os::monotonic_ns();
  now_us_ = now_ns_ / 1000;
  now_ms_ = now_ns_ / kNsPerMs;
}

void Loop::turn() {
  wait_and_latch();
  run();
  if (!wheel_.pass(now_ms_)) expire();  // Most turns have nothing to expire or to reap.
  if (!retired_.empty()) reap();
  mailbox_.deliver_all();
  counters_.turns.add();
}

int Loop::wait_timeout_ms() {
  const bool runnable = !interactive_[filling_].empty() || !bulk_.empty();
  if (runnable || !retired_.empty() || late_count_ > 0) return 0;
  const std::uint64_t next = wheel_.next_in_ms(now_ms_);
  if (next == Timer::kNever) return -1;
  return static_cast<int>(std::min<std::uint64_t>(next, std::numeric_limits<int>::max()));
}

void Loop::wait_and_latch() {
  int timeout_ms = wait_timeout_ms();
  const bool sleeping = timeout_ms != 0;
  if (sleeping && !mailbox_.sleep_begin()) timeout_ms = 0;
  if (measures_busy_) counters_.busy_ns.add(os::monotonic_ns() - now_ns_);
  const std::size_t count = poller_.wait(events_, timeout_ms);
  if (sleeping) mailbox_.sleep_end();
  const std::uint64_t before_ns = now_ns_;
  read_clock();
  // A turn that did not sleep: from one look at the clock to the next is what its work took.
  const std::uint64_t work_ns = sleeping ? 0 : now_ns_ - before_ns;
  lag_ns_ = (lag_ns_ * 7 + work_ns) / 8;
  counters_.events.add(count);
  if (late_count_ > 0) look_at_late(count == 0);
  for (const os::Event& event : std::span(events_).first(count)) {
    if (event.data == 0) {
      os::wakeup_clear(mailbox_.wakeup());
      continue;
    }
    Source* source = sources_.find(Handle{event.data});
    if (source == nullptr) {
      counters_.stale_events.add();
      continue;
    }
    latch(*source, event.flags);
  }
}

void Loop::latch(Source& source, std::uint8_t flags) {
  source.ready.latch(flags);
  if (source.rearmed_) {
    poller_.fired(source.installed_);
    rearm(source);
  }
  Source& runs = source.runs_instead_ != nullptr ? *source.runs_instead_ : source;
  schedule(runs, runs.run_class_);
}

void Loop::run() {
  RunQueue& ready = interactive_[filling_];
  filling_ ^= 1;
  while (Source* source = ready.pop_front()) run_one(*source);
  if (!bulk_.empty()) run_bulk();
}

void Loop::run_bulk() {
  const Source* first = bulk_.front();
  for (int i = 0; i < kBulkStepsPerTurn; ++i) {
    Source* source = bulk_.front();
    if (source == nullptr || (i > 0 && source == first)) break;  // One step each.
    static_cast<ListLink<RunTag>&>(*source).unlink();
    run_one(*source);
  }
}

void Loop::run_one(Source& source) {
  counters_.steps.add();
  source.run();
}

// Those that are left keep the next wait from sleeping.
void Loop::expire() {
  wheel_.expire(now_ms_, kTimersPerTurn,
                [](Timer& timer) { static_cast<Source&>(timer).expire(); });
}

void Loop::reap() {
  while (Source* source = retired_.pop_front()) source->reap();
}

bool Loop::watch(Source& source) {
  CHECK(!source.watched() && !source.retired_);
  if (!source.late_) {
    source.handle_ = sources_.insert(static_cast<std::uint8_t>(source.kind_), source);
  }
  source.late_ = false;
  if (poller_.add(source.fd, source.handle_, source.ready.bits(), source.installed_)) {
    source.rearmed_ = poller_.trigger() != Trigger::edge;
    return true;
  }
  sources_.erase(source.handle_);
  source.handle_ = Handle{};
  return false;
}

bool Loop::watch_late(Source& source) {
  if (source.late_) return true;
  if (poller_.trigger() != Trigger::edge || late_count_ == kLateMax) return watch(source);
  source.handle_ = sources_.insert(static_cast<std::uint8_t>(source.kind_), source);
  source.late_ = true;
  late_[late_count_++] = source.handle_;
  return true;
}

// Those that have been here since the last look, or all.
void Loop::look_at_late(bool all) {
  if (!all && now_ms_ < next_late_look_ms_) return;
  next_late_look_ms_ = now_ms_ + kLateMs / 2;
  const std::size_t due = all ? late_count_ : late_looked_at_;
  for (std::size_t i = 0; i < due; ++i) {
    Source* source = sources_.find(late_[i]);
    if (source != nullptr && source->late_ && !watch(*source)) source->watch_failed();
  }
  std::copy(late_.begin() + due, late_.begin() + late_count_, late_.begin());
  late_count_ -= due;
  late_looked_at_ = late_count_;
}

bool Loop::watch_level(Source& source, bool exclusive) {
  CHECK(!source.watched() && !source.retired_);
  source.handle_ = sources_.insert(static_cast<std::uint8_t>(source.kind_), source);
  if (os::epoll_add(poller_.epoll(), source.fd, source.handle_.raw, os::kReadable,
                    exclusive ? os::Mode::exclusive_level : os::Mode::level)) {
    source.level_ = true;
    return true;
  }
  sources_.erase(source.handle_);
  source.handle_ = Handle{};
  return false;
}

void Loop::unwatch(Source& source) {
  CHECK(!source.retired_, "unwatch after retire would skip reap()");
  static_cast<ListLink<RunTag>&>(source).unlink();
  if (source.handle_ == Handle{}) return;
  if (!source.late_) os::epoll_remove(poller_.epoll(), source.fd);
  sources_.erase(source.handle_);
  source.handle_ = Handle{};
  source.late_ = false;
  source.rearmed_ = false;
  source.level_ = false;
}

void Loop::schedule(Source& source, RunClass run_class) {
  if (source.queued() || source.retired_) return;
  source.run_class_ = run_class;
  (run_class == RunClass::interactive ? interactive_[filling_] : bulk_).push_back(source);
}

void Loop::rearm_now(Source& source) {
  poller_.rearm(source.fd, source.handle_, source.ready.bits(), source.installed_);
}

void Loop::retire(Source& source) {
  CHECK(!source.retired_, "retired twice");
  if (source.handle_ != Handle{}) {
    // close() takes a descriptor out of epoll only when it is the last one of its open socket. A
    // shared listener whose duplicate lives on would be told, stale, at every wait [seen].
    if (source.level_) os::epoll_remove(poller_.epoll(), source.fd);
    sources_.erase(source.handle_);
    source.handle_ = Handle{};
    source.late_ = false;
  }
  source.fd.reset();
  static_cast<ListLink<RunTag>&>(source).unlink();
  wheel_.cancel(source);
  source.retired_ = true;
  retired_.push_back(source);
}

}  // namespace weir::loop
