// HandOver: gives clients of a busy worker to an idle one.
//
// SO_REUSEPORT spreads connections, and nobody knows at accept time which of them will be busy. So
// each worker publishes how much it works, and at most once an interval compares itself with the
// others (work_share.h). Who is clearly busier gives away new connections, and clients between two
// requests: those that have their answer just now, so the busiest come first.
//
//   accept, or the end of an answer -> begin_*() -> leave epoll here -> send() -> mailbox ->
//   Worker::adopt() there -> read at once, as a new connection is -> watched there
//
// A client has one owner at any time: a worker or the message. begin_*() announces it in the other
// worker's `expected_`, and that worker neither stops nor ends before it has come; what comes while
// it drains is drained. With one worker nothing is measured and nothing moves.
//
// Part of its worker; load() and expect() are for the threads of the others.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "loop/loop.h"
#include "os/os.h"
#include "proxy/work_share.h"

namespace weir::proxy {

class Worker;
struct Introduction;

// All there is of a client without a request.
struct MovingClient {
  os::Fd fd;
  os::Peer peer;
  std::uint32_t listener = 0;
  bool served = false;                                 // Else it has just been accepted.
  std::unique_ptr<const Introduction> introduction{};  // Of a served one: what it began with.
};

class HandOver {
 public:
  // `workers`: all of them by index, complete before the first one runs; null when there is only
  // this one.
  HandOver(Worker& worker, const std::vector<Worker*>* workers, const WorkTuning& tuning)
      : worker_(worker), workers_(workers), tuning_(tuning) {}

  // --- Any thread --------------------------------------------------------------------------------

  // How much the worker has worked lately, as at `now_ms` of any loop's clock.
  [[nodiscard]] std::uint32_t load(std::uint64_t now_ms) const;
  // A client is on its way here, and whoever asked will post it. False: this worker takes none.
  [[nodiscard]] bool expect();

  // --- The worker's own --------------------------------------------------------------------------

  // From its first snapshot on it gives and takes; from its drain on it does neither.
  void open();
  void close();
  // Clients are on their way here. Once closed, no further ones.
  [[nodiscard]] bool expects() const {
    return (expected_.load(std::memory_order_acquire) & ~kClosed) != 0;
  }
  void arrived() { expected_.fetch_sub(1, std::memory_order_release); }

  void turn_ended(std::uint64_t now_ms) {
    if (now_ms >= next_look_ms_) look();
  }
  void note_fresh() { ++causes_.fresh; }
  // A client in steady use has its answer. `counted`: the client's own, for each to count once.
  void note_steady(std::uint8_t& counted) {
    if (std::exchange(counted, looks_) != looks_) ++causes_.clients;
  }
  [[nodiscard]] std::uint32_t stay_ms() const { return tuning_.stay_ms; }
  [[nodiscard]] bool gives_fresh() const { return shift_.fresh != 0; }
  [[nodiscard]] bool gives_clients() const { return shift_.clients != 0; }
  // One of those. True: it is expected, and must be sent.
  [[nodiscard]] bool begin_fresh() { return begin(shift_.fresh); }
  [[nodiscard]] bool begin_client() { return begin(shift_.clients); }
  void send(MovingClient client);

  // Lets `shift` happen, as a look does.
  void give(const WorkShift& shift) { shift_ = shift; }

 private:
  static constexpr std::uint32_t kClosed = 0x8000'0000;

  void look();
  [[nodiscard]] std::uint32_t own_work();
  void publish(std::uint32_t work);
  [[nodiscard]] bool begin(std::uint32_t& left);
  [[nodiscard]] loop::Loop& loop() const;

  Worker& worker_;
  const std::vector<Worker*>* workers_;
  WorkTuning tuning_;
  std::vector<std::uint32_t> work_;  // Of each worker, at the last look.
  WorkCauses causes_;                // Since the last look.
  WorkShift shift_;                  // Still to be given.
  bool gave_ = false;                // Since the last look.
  std::uint8_t looks_ = 1;           // Goes round.
  std::uint64_t next_look_ms_ = UINT64_MAX;
  std::uint64_t looked_ns_ = 0;
  std::uint64_t busy_before_ns_ = 0;
  // What the others look at. The work in the upper half, when it was published in the lower one.
  alignas(64) std::atomic<std::uint64_t> published_{0};
  std::atomic<std::uint32_t> expected_{kClosed};  // Clients on their way here.
};

}  // namespace weir::proxy
