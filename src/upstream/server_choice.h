// ServerChoice: finds the server for one request or one TCP connection: by the backend's policy,
// or, when all servers are full, in the backend's queue.
//
// Owned by whoever asks. Told by the gate in the publish phase, it then schedules the source that
// waits. A slot that was handed over and not fetched goes back with leave().
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "loop/loop.h"
#include "upstream/backend.h"
#include "upstream/ticket.h"

namespace weir::upstream {

class ServerChoice final : public TicketOwner {
 public:
  enum class Outcome : std::uint8_t {
    chosen,
    queued,          // The waiter runs when there is news.
    none_left,       // All were tried, or none takes requests.
    broken,          // Only circuit breakers are in the way.
    queue_full,      // Nobody more may wait.
    displaced,       // Waited, until somebody more important came.
    standing_queue,  // Waited, until the queue dropped it (limit/codel.h).
  };

  ServerChoice(Tickets& tickets, loop::Loop& loop, loop::Source& waiter)
      : tickets_(tickets), loop_(loop), waiter_(waiter) {}
  ~ServerChoice() { CHECK(ticket_ == nullptr && !granted_, "left a queue without a word"); }
  ServerChoice(const ServerChoice&) = delete;
  ServerChoice& operator=(const ServerChoice&) = delete;

  // Before the first find().
  void aim(const BackendPlan& plan, Backend& backend) {
    plan_ = &plan;
    backend_ = &backend;
  }
  // Goes on by another plan of the same backend.
  void follow(const BackendPlan& plan, Backend& backend);
  // Whether it can: the gate has done so with its ticket, or no server has been given or refused.
  [[nodiscard]] bool may_follow(const BackendPlan& plan) const {
    if (ticket_ != nullptr) return &ticket_->plan() == &plan.gate;
    return !granted_ && !dropped_;
  }
  balance::Attempt tried;              // Servers not to be chosen, and the key for hashing.
  std::optional<std::uint32_t> bound;  // The server that a cookie names.
  std::uint8_t priority = 1;           // In the queue: 0 to 3, 0 first.

  // `pick` is filled in when a server was chosen. Not while waiting().
  [[nodiscard]] Outcome find(bool retry, std::optional<Pick>& pick);
  // Gives up a place in the queue, or a slot that was handed over in the meantime. Safe to call at
  // any time.
  void leave(Gate::Leaving why) {
    if (ticket_ != nullptr || granted_) leave_queue(why);
  }

  [[nodiscard]] bool waiting() const { return ticket_ != nullptr; }
  // When the present wait began, on the loop's clock; earlier, by what was waited before for an
  // attempt that reached nobody.
  [[nodiscard]] std::uint64_t waiting_since_ms() const {
    return (since_us_ - std::min(since_us_, wait_us_)) / 1000;
  }
  // The server that find() gave was not asked, for want of something here: the next wait goes on
  // where the last one ended.
  void not_asked() { goes_on_ = true; }
  // In all.
  [[nodiscard]] std::uint64_t waited_us() const { return waited_us_; }

  void granted(std::uint32_t server, std::uint64_t waited_us) override;
  void dropped(DropReason reason) override;

 private:
  void leave_queue(Gate::Leaving why);
  [[nodiscard]] Outcome choose(bool retry, std::optional<Pick>& pick);
  [[nodiscard]] Outcome enter_queue(bool retry, std::optional<Pick>& pick);
  [[nodiscard]] std::uint64_t now_us() const { return loop_.now_us(); }

  Tickets& tickets_;
  loop::Loop& loop_;
  loop::Source& waiter_;
  const BackendPlan* plan_ = nullptr;
  Backend* backend_ = nullptr;
  Ticket* ticket_ = nullptr;     // Waits in the queue.
  std::optional<Pick> granted_;  // Handed over by the queue, until find() fetches it.
  std::optional<DropReason> dropped_;
  std::uint64_t since_us_ = 0;
  std::uint64_t waited_us_ = 0;
  std::uint64_t wait_us_ = 0;  // For the present attempt, without the wait under way.
  bool goes_on_ = false;       // The next choice is for the present attempt, too.
  bool retry_ = false;         // What waits is a retry.
};

}  // namespace weir::upstream
