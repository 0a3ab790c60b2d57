// The active check of one server, without its I/O: the verdict, and when to ask next.
//
//                       +---------+
//           passed      | unknown |      failed
//        +------------- +---------+ -------------+
//        v                                       v
//     +----+   `fall` failures in a row       +------+
//     | up | -------------------------------> | down |
//     +----+ <------------------------------- +------+
//              `rise` passes in a row
//
// Active is the verdict. An unknown server is usable, and its first result decides at once: nobody
// waits for `rise` probes at the start. ProbeTimer is the time: one probe at a time, an interval
// from beginning to beginning, less while the verdict is changing or bad, and sooner when the
// server was sent many requests. Both belong to the control thread; time is an argument in
// milliseconds.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::health {

struct ActiveSettings {
  std::uint32_t interval_ms = 5'000;
  std::uint32_t fast_interval_ms = 1'000;  // While the check is pressing; never slows down.
  std::uint32_t rise = 2;                  // 0 means 1.
  std::uint32_t fall = 3;                  // 0 means 1.
};

class Active {
 public:
  enum class State : std::uint8_t {
    unknown,  // Not asked yet. Counts as usable.
    up,       // Usable. against: failures in a row, below `fall`.
    down,     // Takes no requests. against: passes in a row, below `rise`.
  };
  enum class Event : std::uint8_t {
    passed,
    failed,
  };

  void step(Event event, const ActiveSettings& settings);

  [[nodiscard]] State state() const { return state_; }
  // Results in a row that contradict the verdict.
  [[nodiscard]] std::uint32_t against() const { return against_; }
  // The verdict is changing; or the server is down, and its cure is to be seen within seconds.
  [[nodiscard]] bool pressing() const { return against_ > 0 || state_ == State::down; }

 private:
  void enter(State next);

  State state_ = State::unknown;
  std::uint32_t against_ = 0;
};

inline constexpr std::array kActiveNext = {
    std::array{false, true, true},   // unknown
    std::array{false, false, true},  // up
    std::array{false, true, false},  // down
};
static_assert(kActiveNext.size() == static_cast<std::size_t>(Active::State::down) + 1);

[[nodiscard]] std::string_view to_string(Active::State state);

// `random` is any 32 random bits: an interval is changed by up to a tenth either way, so that
// probes which fell together drift apart.
class ProbeTimer {
 public:
  // Between the beginnings of two probes, however many requests ask for one.
  static constexpr std::uint32_t kHurryGapMs = 200;
  // Between the first probes of two servers, so that the start does not burst.
  static constexpr std::uint32_t kFirstGapMs = 10;

  // The first probe of server `index` of `count` that are checked from `now_ms` on: 10 ms after
  // its neighbour's, closer where they would not all fit into one interval.
  ProbeTimer(std::uint64_t now_ms, std::uint32_t index, std::uint32_t count,
             const ActiveSettings& settings);

  // When the next probe is due; nothing while one is under way.
  [[nodiscard]] std::optional<std::uint64_t> next_probe_ms() const;

  void started(std::uint64_t now_ms);
  // `pressing`: of Active, after this result.
  void finished(std::uint64_t now_ms, bool pressing, std::uint32_t random,
                const ActiveSettings& settings);
  // The server was sent as many requests as call for a probe.
  void hurry(std::uint64_t now_ms);

 private:
  [[nodiscard]] std::uint64_t hurried_ms(std::uint64_t now_ms) const;

  bool under_way_ = false;
  bool hurried_ = false;  // hurry() came while a probe was under way.
  std::optional<std::uint64_t> started_ms_;
  std::uint64_t due_ms_ = 0;
};

}  // namespace weir::health
