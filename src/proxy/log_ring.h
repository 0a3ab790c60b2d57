// LogRing: lines from one worker to the log writer's thread, without a lock and without waiting.
//
// A byte ring with one producer and one consumer. When the writer does not keep up, lines are
// dropped whole and counted by the producer; the data path never waits for a disk.
//
// LogSignal wakes the writer. It is shared by all rings; the protocol is that of loop/mailbox.h:
// publish, then look whether the writer sleeps; announce sleep, then look at the rings again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "os/os.h"

namespace weir::proxy {

class LogSignal {
 public:
  LogSignal() : wakeup_(os::wakeup_create()) {}

  // Producer, after publishing.
  void notify() {
    if (sleeping_.load(std::memory_order_seq_cst)) os::wakeup_notify(wakeup_);
  }
  // Consumer: announce, look at the rings once more, then wait on wakeup().
  void sleep_begin() { sleeping_.store(true, std::memory_order_seq_cst); }
  void sleep_end() {
    sleeping_.store(false, std::memory_order_relaxed);
    os::wakeup_clear(wakeup_);
  }
  [[nodiscard]] const os::Fd& wakeup() const { return wakeup_; }

 private:
  os::Fd wakeup_;
  std::atomic<bool> sleeping_{false};
};

class LogRing {
 public:
  // `capacity`: bytes, a power of two.
  LogRing(std::size_t capacity, LogSignal& signal)
      : bytes_(std::make_unique_for_overwrite<char[]>(capacity)),
        mask_(capacity - 1),
        signal_(signal) {}

  // Producer: a whole line with its line end. False when there is no room.
  [[nodiscard]] bool push(std::string_view line) {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    const std::size_t used = head - tail_.load(std::memory_order_acquire);
    if (line.size() > mask_ + 1 - used) return false;
    const std::size_t at = head & mask_;
    const std::size_t first = std::min(line.size(), mask_ + 1 - at);
    std::memcpy(bytes_.get() + at, line.data(), first);
    std::memcpy(bytes_.get(), line.data() + first, line.size() - first);
    head_.store(head + line.size(), std::memory_order_seq_cst);
    return true;
  }
  // Producer, once after a batch of lines.
  void notify() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == notified_) return;
    notified_ = head;
    signal_.notify();
  }

  // Consumer: appends everything there is, whole lines only. False when there was nothing.
  bool drain(std::string& into) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    const std::size_t head = head_.load(std::memory_order_seq_cst);
    if (head == tail) return false;
    const std::size_t at = tail & mask_;
    const std::size_t first = std::min(head - tail, mask_ + 1 - at);
    into.append(bytes_.get() + at, first);
    into.append(bytes_.get(), head - tail - first);
    tail_.store(head, std::memory_order_release);
    return true;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t mask_;
  LogSignal& signal_;
  std::size_t notified_ = 0;  // Producer only.
  alignas(64) std::atomic<std::size_t> head_{0};
  alignas(64) std::atomic<std::size_t> tail_{0};
};

}  // namespace weir::proxy
