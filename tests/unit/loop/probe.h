// Probe: a Source for tests that counts what the loop does with it, and a loop driver that never
// blocks on an idle loop.
#pragma once

#include <functional>
#include <utility>

#include "../os/sockets.h"
#include "loop/loop.h"

namespace weir::loop::test {

class Probe : public Source {
 public:
  explicit Probe(SourceKind source_kind = SourceKind::downstream) : Source(source_kind) {}
  explicit Probe(os::Fd descriptor) : Source(SourceKind::downstream) { fd = std::move(descriptor); }

  void run() override {
    ++runs;
    if (on_run) on_run();
  }
  void expire() override {
    ++expiries;
    if (on_expire) on_expire();
  }
  void watch_failed() override { ++watches_failed; }
  void reap() override {
    ++reaps;
    if (on_reap) on_reap();
  }

  int runs = 0;
  int expiries = 0;
  int watches_failed = 0;
  int reaps = 0;
  std::function<void()> on_run;
  std::function<void()> on_expire;
  std::function<void()> on_reap;
};

// A loop whose turns return at once, because something is always runnable.
class DrivenLoop : public Loop {
 public:
  using Loop::Loop;

  void turn_now(int times = 1) {
    for (int i = 0; i < times; ++i) {
      schedule(nudge_);
      turn();
    }
  }
  // Turns until `condition` holds; false when 10 seconds were not enough.
  template <typename Condition>
  [[nodiscard]] bool turn_until(Condition condition) {
    return os::test::eventually([&] {
      if (condition()) return true;
      turn_now();
      return false;
    });
  }

 private:
  Probe nudge_{SourceKind::none};
};

}  // namespace weir::loop::test
