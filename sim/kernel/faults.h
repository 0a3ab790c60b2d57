// Faults: what the simulated kernel may do to the program beyond what it has to, and how often.
//
// Everything here is something Linux or a network does; only the rate is unusual. Each kind has a
// probability per opportunity. A seed draws a swarm: about half of the kinds are off, the others
// get rates spread over orders of magnitude, because a kind that never stops hides what needs calm.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::sim {

enum class Fault : std::uint8_t {
  // Calls.
  receive_again,   // EAGAIN although bytes were announced; they arrive again a little later.
  receive_short,   // Fewer bytes than are there; the rest arrives a little later.
  send_again,      // The socket takes nothing now; the OUT edge follows.
  send_short,      // The socket takes a part; the OUT edge follows.
  splice_short,    // A splice moves less than it could.
  accept_again,    // Nobody is there after all; the listener tells again.
  accept_aborted,  // The client left while it waited in the queue.
  no_descriptors,  // EMFILE below the limit: the whole system has none.
  no_memory,       // ENOMEM or ENOBUFS from a call that needs memory.
  // Readiness.
  wait_early,     // epoll_wait returns without events before its time: EINTR.
  wait_spurious,  // An event that brings no news.
  wait_delayed,   // An event is told later than it could be.
  wait_shuffled,  // The events of one wait are told in another order.
  wait_split,     // One wait tells fewer events than there is room for.
  // Scheduling and time.
  yield,       // Another fiber runs between two calls.
  stall,       // A fiber gets no processor for some milliseconds.
  clock_jump,  // Seconds pass between two calls.
  // The network.
  segment_small,  // Segments of a few bytes.
  segment_late,   // A segment is held up, and what is behind it in its connection too.
  fin_late,       // FIN arrives some time after the last byte.
  reset,          // A connection is reset from outside: a middlebox, a peer that crashed.
  connect_refused,
  connect_unreachable,
  connect_timed_out,
  connect_late,  // The handshake takes seconds: SYN was lost and sent again.
  race,          // Another fiber runs inside of what workers share: limits, queues, verdicts.
  // Beside the rest, so that what a seed draws for the rest stays as it was.
  pipe_small,  // The user has more than its share of pipe pages: a pipe stays small.
  wait_stale,  // An event for a closed descriptor, whose open file lives on in a duplicate.
  // What arrives lies in single pages, beside nothing that arrived before: a pipe is full earlier.
  memory_apart,
  // A reset arrives while a splice sends one piece of what the pipe holds after the other.
  reset_in_splice,
  count_,
};
// What a fault of a call or of readiness held back is there again within this time, and one that
// was interrupted in the middle goes on; a stalled fiber within the second.
inline constexpr std::uint64_t kRepairedWithinNs = 5'000'000;
inline constexpr std::uint64_t kStalledForNsMax = 100'000'000;
// A late segment, FIN or SYN is late by no more than this, once for each.
inline constexpr std::uint64_t kLateByNsMax = 7'000'000'000;
inline constexpr std::size_t kFaultCount = static_cast<std::size_t>(Fault::count_);

[[nodiscard]] std::string_view to_string(Fault fault);

class Faults {
 public:
  // None at all.
  Faults() = default;
  // What this seed draws.
  [[nodiscard]] static Faults swarm(std::uint64_t seed);

  [[nodiscard]] double rate(Fault fault) const { return rates_[index(fault)]; }
  void set(Fault fault, double rate) { rates_[index(fault)] = rate; }
  // Keeps the rates of `fault` and switches all others off; for shrinking call per kind.
  void keep_only(const std::array<bool, kFaultCount>& kept);

  static constexpr std::size_t index(Fault fault) { return static_cast<std::size_t>(fault); }

 private:
  std::array<double, kFaultCount> rates_{};
};

}  // namespace weir::sim
