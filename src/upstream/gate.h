// Gate: how many requests may be at a backend's servers at one time, over all workers, exactly;
// and who comes next when they are all full.
//
// One per backend name, made by the control thread, used by all workers, outliving snapshots. What
// a snapshot says about it (servers, limits, queue) is in the GatePlan that each call names: who
// has a slot keeps to the plan it was taken by; who waits turns to the newest one (move()).
//
// A slot is one more in ServerState::in_flight, and in total_ if the plan limits the backend as a
// whole; both are taken or none. Without waiters a slot is taken and released without a lock. As
// soon as somebody waits, nobody else takes a slot in passing: arrivals line up too, and who
// releases a slot hands it, under a mutex, to the first in line that can use it. Which server it
// will be is decided only then (late binding).
//
// No slot is lost between a waiter that has just seen all servers full and a release that has just
// seen nobody wait: the one announces itself in waiting_ and then looks at the servers' counts, the
// other gives its slot back and then looks at waiting_. All four are seq_cst, so at least one of
// the two sees the other. docs/decisions/0014-shared-limits.md has the reasons and the numbers.
//
// Order: by class (0 first), and within a class by arrival, which is the order in which enter() got
// the mutex, whichever the workers are. Every kOldestEvery-th grant goes to the oldest of all
// classes, so that a low class is slow but not starved. The bounds of that order:
// - An arrival that saw nobody waiting may take the slot ahead of a waiter that lines up in the
//   same moment: at most one per other worker.
// - A waiter that may not use what is free (its retry excludes that server, or there are too many
//   retries) is passed by. Of those that are so particular the oldest kChoosyMax of each class are
//   asked.
// - Between the first worker's adoption of a snapshot and the last one's, waiters of both stand in
//   separate lanes, so that neither blocks the other when their servers differ. Between lanes, too,
//   age decides, among those that their plan lets go.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "base/counter.h"
#include "base/histogram.h"
#include "health/ejection_floor.h"
#include "limit/codel.h"
#include "upstream/server_state.h"
#include "upstream/ticket.h"

namespace weir::upstream {

// Whether a waiter may be sent to a server.
enum class Standing : std::uint8_t {
  usable,
  reserve,      // It asks for 0 %: when none of its servers is usable.
  last_resort,  // When there is no reserve either.
  out,          // Never.
};

// Out when the operator or the server wants no requests. Ejected is a last resort: a preference is
// no reason to refuse a client. So is down for the active check, if that may be wrong (`down_too`).
[[nodiscard]] Standing standing_of(const ServerState& server, std::uint64_t now_ms,
                                   bool down_too = true);

// Part of a snapshot; immutable, and alive as long as a slot or a ticket of it is.
struct GatePlan {
  struct Server {
    ServerState* state = nullptr;
    std::uint32_t weight = 1;    // 0: takes no requests.
    std::uint32_t priority = 0;  // Higher ones are for when no lower one can be used.
    std::uint32_t limit = 0;     // Most requests at one time; 0: none.
  };
  std::vector<Server> servers;
  std::uint32_t limit_of_all = 0;  // Of the servers together; 0: none.
  std::uint32_t queue_size = 0;    // Most that wait, over all workers.
  // The circuit breakers: at one server, most connections being opened, and most retries.
  std::uint32_t pending_limit = 1'024;
  std::uint32_t retry_limit = 64;
  limit::CodelSettings codel;
  bool fail_open = true;  // Rather than none, servers are used that the active check calls down.

  [[nodiscard]] std::optional<std::uint32_t> index_of(const ServerState& server) const;

  // What limits `server` now: the plan, the server itself (its agent), or neither: 0.
  [[nodiscard]] std::uint32_t limit_now(const Server& server) const {
    const std::uint32_t asked = server.state->agent_limit.load(std::memory_order_relaxed);
    if (asked == 0 || server.limit == 0) return asked | server.limit;
    return asked < server.limit ? asked : server.limit;
  }
  // No slot: the count is read before its connection, or its retry, is counted. Those who ask in
  // the same moment may together pass the breaker.
  [[nodiscard]] bool breaker_open(const ServerState& server, bool retry) const {
    return server.pending.load(std::memory_order_seq_cst) >= pending_limit ||
           (retry && server.retries.load(std::memory_order_relaxed) >= retry_limit);
  }
};

// What is said of the servers of one plan, said of those of another: who is gone is forgotten.
[[nodiscard]] balance::Attempt carried_over(const balance::Attempt& tried, const GatePlan& from,
                                            const GatePlan& to);

// Counts one server in, or leaves it out: without a weight, or out of service on purpose, whoever
// wishes it, it says nothing about the health of the others.
void count_server(const GatePlan::Server& server, std::uint64_t now_ms,
                  health::ServerCounts& counts);
[[nodiscard]] health::ServerCounts count_servers(const GatePlan& plan, std::uint64_t now_ms);

// Written under the gate's mutex, read by the metrics.
struct GateCounters {
  Counter queued;             // Had to wait. Each of them ends as one of the next six.
  Counter granted;            // Got a slot.
  Counter timed_out;          // Left because of their deadline.
  Counter abandoned;          // Left otherwise: the client is gone.
  Counter dropped_codel;      // Told to go, because the queue stays long.
  Counter dropped_displaced;  // Told to go for somebody of a better class.
  Counter dropped_no_server;  // Told to go, because no server takes requests any more.
  Counter refused_full;       // Did not get into the queue.
  Counter returned;           // Of `granted`: the owner had left, and the slot went on.
  Histogram wait_us;          // Of `granted`.
};

class Gate {
 public:
  static constexpr unsigned kPriorities = 4;
  static constexpr std::uint64_t kOldestEvery = 8;
  static constexpr unsigned kChoosyMax = 64;

  Gate() = default;
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // --- Any worker --------------------------------------------------------------------------------

  // Takes a slot at this very server. False when it is full or others wait already: enter().
  [[nodiscard]] bool take(const GatePlan& plan, std::uint32_t server, std::uint64_t now_us) {
    if (waiting() != 0) return false;
    if (take_slot(plan, server)) return true;
    poke(now_us);  // A slot of the backend was held for a moment, and somebody may have missed it.
    return false;
  }

  // The same for who would rather have this server than any other: whoever waits gets first what it
  // can use, and what is left of it is free. Only servers that nobody waits for are left so, one
  // that drains for instance.
  [[nodiscard]] bool take_left_over(const GatePlan& plan, std::uint32_t server,
                                    std::uint64_t now_us);

  // Whether the server itself has room; for the pick.
  [[nodiscard]] static bool has_room(const GatePlan& plan, std::uint32_t server) {
    const GatePlan::Server& candidate = plan.servers[server];
    const std::uint32_t limit = plan.limit_now(candidate);
    return limit == 0 || candidate.state->in_flight.load(std::memory_order_seq_cst) < limit;
  }

  // Gives back a slot that take(), enter() or TicketOwner::granted() gave.
  void release(const GatePlan& plan, std::uint32_t server, std::uint64_t now_us) {
    give_back(plan, server);
    poke(now_us);
  }

  enum class Admission : std::uint8_t {
    granted,  // A slot at `server` is the caller's.
    waiting,  // `ticket` waits; its owner will be told, unless it leaves.
    refused,  // The queue is full, or the request has tried every server.
  };
  struct Entry {
    Admission admission = Admission::refused;
    std::uint32_t server = 0;
    Ticket* ticket = nullptr;
  };
  // A slot at any server that `tried` does not exclude: now, or later. `priority` is 0..3. A full
  // queue makes room for a better class: the newest of the worst class has to go. Whoever waits
  // waits for open breakers as well; `retry`: for those of retries, too.
  [[nodiscard]] Entry enter(Tickets& home, TicketOwner& owner, const GatePlan& plan,
                            const balance::Attempt& tried, std::uint8_t priority,
                            std::uint64_t now_us, bool retry = false);

  enum class Leaving : std::uint8_t {
    timed_out,
    abandoned,
  };
  // The owner of a ticket it was not told of yet does not wait any more. The ticket is gone then.
  void leave(Ticket& ticket, Leaving why, std::uint64_t now_us);

  // Those of `home` that wait by the plan `from` go on waiting by `to`, as old as they are; without
  // one they are told that there is no server. On their worker's thread. Poke when all have moved.
  void move(Tickets& home, const GatePlan& from, const GatePlan* to);

  // Hands out what is free, if anybody waits. To be called when a server may have become usable or
  // a limit may have grown: health verdicts, agent limits, a connection that was made, and now and
  // then for waits that end by time alone (an ejection).
  void poke(std::uint64_t now_us) {
    if (waiting_.load(std::memory_order_seq_cst) != 0) hand_over(now_us);
  }

  // --- Anybody -----------------------------------------------------------------------------------

  [[nodiscard]] std::uint32_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  // Under way by plans that limit the backend as a whole.
  [[nodiscard]] std::uint32_t in_flight() const { return total_.load(std::memory_order_relaxed); }
  [[nodiscard]] const GateCounters& counters() const { return counters_; }
  // Whether somebody waits who could be served, or waits in vain: seldom, and never for long.
  // False, too, while another thread has the mutex. For checks.
  [[nodiscard]] bool could_serve(std::uint64_t now_ms);

 private:
  using Line = IntrusiveList<Ticket, TicketTag>;
  // The waiters of one plan by class. Retries, and those that exclude servers, stand apart: when
  // the first of the others cannot be served, none of them can, and need not be looked at.
  struct Lane {
    const GatePlan* plan = nullptr;
    std::array<Line, kPriorities> lines;
    std::array<Line, kPriorities> choosy;
    [[nodiscard]] bool empty();
    template <typename Visit>
    void for_each(Visit visit);
  };
  // Where a waiter would be sent now.
  struct Room {
    std::optional<std::uint32_t> server;
    bool hopeless = true;  // None of its servers takes requests: nothing is worth waiting for.
  };
  struct Match {
    Ticket* ticket = nullptr;
    std::optional<std::uint32_t> server;  // None: it is to be told so.
  };

  [[nodiscard]] static bool take_one(std::atomic<std::uint32_t>& count, std::uint32_t limit);
  [[nodiscard]] bool take_slot(const GatePlan& plan, std::uint32_t server);
  void give_back(const GatePlan& plan, std::uint32_t server);
  void hand_over(std::uint64_t now_us);

  // All of these with the mutex held.
  [[nodiscard]] Entry line_up(Ticket& ticket, std::uint64_t now_us);
  void append(Ticket& ticket);
  [[nodiscard]] Line& line_of(const Ticket& ticket);
  void remove(Ticket& ticket);
  [[nodiscard]] Lane& lane_of(const GatePlan& plan);
  void serve(std::uint64_t now_us, const Ticket* arriving);
  [[nodiscard]] Match next_match(std::uint64_t now_ms);
  void match_older(unsigned priority, std::uint64_t now_ms, Match& best);
  [[nodiscard]] bool match_if_older(Ticket& ticket, std::uint64_t now_ms, Match& best) const;
  [[nodiscard]] Room room_for(const Ticket& ticket, std::uint64_t now_ms) const;
  [[nodiscard]] bool stands_too_long(const Ticket& ticket, std::uint64_t now_us);
  [[nodiscard]] bool is_short(const GatePlan& plan) const;
  [[nodiscard]] Counter& counter_of(DropReason reason);
  void drop(Ticket& ticket, DropReason reason);
  [[nodiscard]] Ticket* newest_below(unsigned priority);

  alignas(64) std::atomic<std::uint32_t> total_{0};
  // Written under the mutex. On a line of its own: every request reads it, few write it.
  alignas(64) std::atomic<std::uint32_t> waiting_{0};

  alignas(64) std::mutex mutex_;
  std::deque<Lane> lanes_;  // One per plan that had waiters at one time; empty ones are used again.
  std::array<std::uint32_t, kPriorities> waiting_of_{};  // By class.
  std::array<limit::Codel, kPriorities> codels_;
  std::uint64_t arrivals_ = 0;
  GateCounters counters_;
};

inline bool Gate::take_one(std::atomic<std::uint32_t>& count, std::uint32_t limit) {
  if (limit == 0) {
    count.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  std::uint32_t seen = count.load(std::memory_order_seq_cst);
  while (seen < limit) {
    if (count.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst)) return true;
  }
  return false;
}

inline bool Gate::take_slot(const GatePlan& plan, std::uint32_t server) {
  const GatePlan::Server& candidate = plan.servers[server];
  if (plan.limit_of_all != 0 && !take_one(total_, plan.limit_of_all)) return false;
  if (take_one(candidate.state->in_flight, plan.limit_now(candidate))) return true;
  if (plan.limit_of_all != 0) total_.fetch_sub(1, std::memory_order_seq_cst);
  return false;
}

inline void Gate::give_back(const GatePlan& plan, std::uint32_t server) {
  plan.servers[server].state->in_flight.fetch_sub(1, std::memory_order_seq_cst);
  if (plan.limit_of_all != 0) total_.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace weir::upstream
