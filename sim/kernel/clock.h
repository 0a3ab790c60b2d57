// Clock: virtual time and what is going to happen in it.
//
// Time moves only when somebody says so: calls let a little of it pass, and when nobody can run it
// jumps to the next event. Events of the same moment happen in the order they were scheduled in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace weir::sim {

inline constexpr std::uint64_t kNever = UINT64_MAX;
inline constexpr std::uint64_t kNsPerUs = 1'000;
inline constexpr std::uint64_t kNsPerMs = 1'000'000;
inline constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

class Clock {
 public:
  using Action = std::function<void()>;

  explicit Clock(std::uint64_t start_ns) : now_ns_(start_ns) {}

  [[nodiscard]] std::uint64_t now_ns() const { return now_ns_; }
  void pass(std::uint64_t ns) { now_ns_ += ns; }
  void jump_to(std::uint64_t when_ns) { now_ns_ = std::max(now_ns_, when_ns); }

  void at(std::uint64_t when_ns, Action action) {
    events_.push_back({std::max(when_ns, now_ns_), next_number_++, std::move(action)});
    std::push_heap(events_.begin(), events_.end(), Later{});
  }
  void after(std::uint64_t delay_ns, Action action) { at(now_ns_ + delay_ns, std::move(action)); }

  [[nodiscard]] std::uint64_t next_ns() const {
    return events_.empty() ? kNever : events_.front().when_ns;
  }
  [[nodiscard]] bool due() const { return next_ns() <= now_ns_; }
  // Runs the oldest event; one must be due.
  void run_one() {
    std::pop_heap(events_.begin(), events_.end(), Later{});
    const Action action = std::move(events_.back().action);
    events_.pop_back();
    action();
  }
  // Forgets all events, and with them the sockets they hold.
  void clear() { events_.clear(); }

 private:
  struct Event {
    std::uint64_t when_ns;
    std::uint64_t number;
    Action action;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return std::pair(a.when_ns, a.number) > std::pair(b.when_ns, b.number);
    }
  };

  std::uint64_t now_ns_;
  std::uint64_t next_number_ = 0;
  std::vector<Event> events_;  // A heap, earliest first.
};

}  // namespace weir::sim
