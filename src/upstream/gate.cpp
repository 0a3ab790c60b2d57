#include "upstream/gate.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "upstream/condition.h"

namespace weir::upstream {
namespace {

constexpr std::uint64_t kShortQueue = 2;

bool may_ever_use(const GatePlan& plan, const balance::Attempt& tried, std::uint32_t server) {
  return plan.servers[server].weight != 0 && !tried.excludes(server);
}

// Of a server that may be used; what is not usable comes after all that is.
std::uint32_t priority_of(const GatePlan::Server& server, Standing standing) {
  if (standing == Standing::usable) return server.priority;
  return standing == Standing::reserve ? UINT32_MAX - 1 : UINT32_MAX;
}

// Of the servers `tried` leaves.
struct Choices {
  bool any = false;    // There is one.
  bool fewer = false;  // There would be more without `tried`.
};

Choices choices(const GatePlan& plan, const balance::Attempt& tried) {
  Choices found;
  for (std::uint32_t server = 0; server < plan.servers.size(); ++server) {
    if (may_ever_use(plan, tried, server)) found.any = true;
    if (tried.excludes(server)) found.fewer = true;
  }
  return found;
}

}  // namespace

Standing standing_of(const ServerState& server, std::uint64_t now_ms, bool down_too) {
  if (!in_service(server, down_too)) return Standing::out;
  if (!is_healthy(server, now_ms)) return Standing::last_resort;
  return asks_for_requests(server) ? Standing::usable : Standing::reserve;
}

std::optional<std::uint32_t> GatePlan::index_of(const ServerState& server) const {
  const auto at = std::ranges::find(servers, &server, &Server::state);
  if (at == servers.end()) return std::nullopt;
  return static_cast<std::uint32_t>(at - servers.begin());
}

balance::Attempt carried_over(const balance::Attempt& tried, const GatePlan& from,
                              const GatePlan& to) {
  balance::Attempt carried(tried.key());
  if (!tried.first()) carried.note_choice();
  for (std::uint32_t server = 0; server < from.servers.size(); ++server) {
    if (!tried.excludes(server)) continue;
    const std::optional<std::uint32_t> there = to.index_of(*from.servers[server].state);
    if (there) static_cast<void>(carried.exclude(*there));
  }
  return carried;
}

void count_server(const GatePlan::Server& server, std::uint64_t now_ms,
                  health::ServerCounts& counts) {
  if (server.weight == 0 || wish_of(*server.state) != health::Wish::none) return;
  ++counts.servers;
  const std::uint64_t passive = server.state->passive.load(std::memory_order_relaxed);
  if (!health::is_up(passive)) {
    ++counts.ejected;
  } else if (is_healthy(*server.state, now_ms)) {
    ++counts.usable;
  }
}

health::ServerCounts count_servers(const GatePlan& plan, std::uint64_t now_ms) {
  health::ServerCounts counts;
  for (const GatePlan::Server& server : plan.servers) count_server(server, now_ms, counts);
  return counts;
}

bool Gate::Lane::empty() {
  const auto is_empty = [](Line& line) { return line.empty(); };
  return std::ranges::all_of(lines, is_empty) && std::ranges::all_of(choosy, is_empty);
}

template <typename Visit>
void Gate::Lane::for_each(Visit visit) {
  for (auto* side : {&lines, &choosy}) {
    for (Line& line : *side) line.for_each(visit);
  }
}

Gate::~Gate() { CHECK(waiting() == 0, "a gate was destroyed with waiters"); }

Gate::Entry Gate::enter(Tickets& home, TicketOwner& owner, const GatePlan& plan,
                        const balance::Attempt& tried, std::uint8_t priority, std::uint64_t now_us,
                        bool retry) {
  CHECK(priority < kPriorities);
  const Choices left = choices(plan, tried);
  if (!left.any) return {};
  Ticket* ticket = home.slab.create(home, owner, plan, tried, priority, now_us);
  if (ticket == nullptr) return {};  // Out of memory.
  ticket->retry_ = retry;
  ticket->choosy_ = left.fewer || retry;
  const Entry entry = line_up(*ticket, now_us);
  if (entry.admission != Admission::waiting) home.slab.destroy(*ticket);
  return entry;
}

Gate::Entry Gate::line_up(Ticket& ticket, std::uint64_t now_us) {
  const std::scoped_lock lock(mutex_);
  append(ticket);
  // Now every release sees somebody waiting. Those who waited before have looked already.
  if (room_for(ticket, now_us / 1'000).server) serve(now_us, &ticket);
  if (ticket.state_ == Ticket::State::granted) return {Admission::granted, ticket.server_, nullptr};
  if (ticket.state_ == Ticket::State::waiting && waiting() > ticket.plan_->queue_size) {
    Ticket* victim = newest_below(ticket.priority_);
    if (victim == nullptr) {
      remove(ticket);
      counters_.refused_full.add();
      return {};
    }
    drop(*victim, DropReason::displaced);
  }
  counters_.queued.add();
  return {Admission::waiting, 0, &ticket};
}

void Gate::leave(Ticket& ticket, Leaving why, std::uint64_t now_us) {
  const std::scoped_lock lock(mutex_);
  switch (ticket.state_) {
    case Ticket::State::waiting:
      (why == Leaving::timed_out ? counters_.timed_out : counters_.abandoned).add();
      remove(ticket);
      return ticket.home_.slab.destroy(ticket);
    case Ticket::State::granted:
      counters_.returned.add();
      give_back(*ticket.plan_, ticket.server_);
      ticket.enter(Ticket::State::left);
      return serve(now_us, nullptr);
    case Ticket::State::dropped: return ticket.enter(Ticket::State::left);
    case Ticket::State::left: break;
  }
  CHECK(false, "an owner left twice");
}

void Gate::hand_over(std::uint64_t now_us) {
  const std::scoped_lock lock(mutex_);
  serve(now_us, nullptr);
}

bool Gate::take_left_over(const GatePlan& plan, std::uint32_t server, std::uint64_t now_us) {
  if (waiting() == 0) return take(plan, server, now_us);
  const std::scoped_lock lock(mutex_);
  serve(now_us, nullptr);
  return take_slot(plan, server);  // Whoever misses what it holds for a moment has no lock yet.
}

// The lines of `to` are made anew, in the order of arrival, with those that come.
void Gate::move(Tickets& home, const GatePlan& from, const GatePlan* to) {
  if (waiting() == 0) return;
  const std::scoped_lock lock(mutex_);
  std::vector<Ticket*> moved;
  lane_of(from).for_each([&](Ticket& ticket) {
    if (&ticket.home_ == &home) moved.push_back(&ticket);
  });
  if (moved.empty()) return;
  if (to == nullptr) {
    for (Ticket* ticket : moved) drop(*ticket, DropReason::no_server);
    return;
  }
  for (Ticket* ticket : moved) {
    ticket->tried_ = carried_over(ticket->tried_, from, *to);
    ticket->plan_ = to;
    ticket->choosy_ = ticket->retry_ || choices(*to, ticket->tried_).fewer;
  }
  lane_of(*to).for_each([&](Ticket& ticket) { moved.push_back(&ticket); });
  std::ranges::sort(moved, {}, &Ticket::number_);
  for (Ticket* ticket : moved) {
    ticket->unlink();
    line_of(*ticket).push_back(*ticket);
  }
}

// --- Lines --------------------------------------------------------------------------------------

void Gate::append(Ticket& ticket) {
  ticket.number_ = arrivals_++;
  line_of(ticket).push_back(ticket);
  ++waiting_of_[ticket.priority_];
  waiting_.store(waiting() + 1, std::memory_order_seq_cst);
}

Gate::Line& Gate::line_of(const Ticket& ticket) {
  Lane& lane = lane_of(*ticket.plan_);
  return (ticket.choosy_ ? lane.choosy : lane.lines)[ticket.priority_];
}

void Gate::remove(Ticket& ticket) {
  ticket.unlink();
  if (--waiting_of_[ticket.priority_] == 0) codels_[ticket.priority_].emptied();
  waiting_.store(waiting() - 1, std::memory_order_relaxed);
}

Gate::Lane& Gate::lane_of(const GatePlan& plan) {
  Lane* spare = nullptr;
  for (Lane& lane : lanes_) {
    if (lane.plan == &plan) return lane;
    if (lane.empty()) spare = &lane;
  }
  if (spare == nullptr) spare = &lanes_.emplace_back();
  spare->plan = &plan;
  return *spare;
}

Ticket* Gate::newest_below(unsigned priority) {
  Ticket* newest = nullptr;
  for (unsigned worse = kPriorities - 1; worse > priority && newest == nullptr; --worse) {
    for (Lane& lane : lanes_) {
      for (Line* line : {&lane.lines[worse], &lane.choosy[worse]}) {
        Ticket* last = line->back();
        if (last != nullptr && (newest == nullptr || last->number_ > newest->number_)) {
          newest = last;
        }
      }
    }
  }
  return newest;
}

bool Gate::could_serve(std::uint64_t now_ms) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  return lock.owns_lock() && next_match(now_ms).ticket != nullptr;
}

// --- Who is next, and where ---------------------------------------------------------------------

// Gives slots to waiters while one of them can use one, and sends away who waits in vain.
// `arriving` sees for itself.
void Gate::serve(std::uint64_t now_us, const Ticket* arriving) {
  for (;;) {
    const auto [ticket, server] = next_match(now_us / 1'000);
    if (ticket == nullptr) return;
    if (!server) {
      drop(*ticket, DropReason::no_server);
      continue;
    }
    if (stands_too_long(*ticket, now_us)) {
      drop(*ticket, DropReason::standing_queue);
      continue;
    }
    if (!take_slot(*ticket->plan_, *server)) continue;  // Somebody was in passing. Look again.
    remove(*ticket);
    ticket->server_ = *server;
    ticket->enter(Ticket::State::granted);
    if (ticket == arriving) continue;
    ticket->waited_us_ = now_us - std::min(ticket->since_us_, now_us);
    counters_.granted.add();
    counters_.wait_us.record(ticket->waited_us_);
    // Under the mutex: who leaves is sure that nothing will be posted after.
    ticket->home_.mailbox.post(*ticket);
  }
}

// The first of the best class that can be served, or told; in its turn, the oldest of all.
Gate::Match Gate::next_match(std::uint64_t now_ms) {
  const bool oldest = counters_.granted.read() % kOldestEvery == kOldestEvery - 1;
  Match best;
  for (unsigned priority = 0; priority < kPriorities; ++priority) {
    if (best.ticket != nullptr && !oldest) break;
    if (waiting_of_[priority] != 0) match_older(priority, now_ms, best);
  }
  return best;
}

// Replaces `best` by an older one of this class that can be served, or told.
void Gate::match_older(unsigned priority, std::uint64_t now_ms, Match& best) {
  for (Lane& lane : lanes_) {
    if (Ticket* first = lane.lines[priority].front()) {
      static_cast<void>(match_if_older(*first, now_ms, best));
    }
    unsigned asked = 0;
    lane.choosy[priority].visit_until([&](Ticket& ticket) {
      return match_if_older(ticket, now_ms, best) || ++asked == kChoosyMax;
    });
  }
}

// Whether nobody behind `ticket` in its line can do better.
bool Gate::match_if_older(Ticket& ticket, std::uint64_t now_ms, Match& best) const {
  if (best.ticket != nullptr && best.ticket->number_ < ticket.number_) return true;
  const Room room = room_for(ticket, now_ms);
  if (!room.server && !room.hopeless) return false;
  best = {&ticket, room.server};
  return true;
}

// The server that `ticket` would be sent to now: of the usable ones with the lowest priority, if
// any of these has room and no open breaker, the least loaded for its weight.
Gate::Room Gate::room_for(const Ticket& ticket, std::uint64_t now_ms) const {
  const GatePlan& plan = *ticket.plan_;
  const bool full =
      plan.limit_of_all != 0 && total_.load(std::memory_order_seq_cst) >= plan.limit_of_all;
  Room best;
  std::uint32_t best_priority = UINT32_MAX;
  std::uint64_t best_in_flight = 0;
  for (std::uint32_t server = 0; server < plan.servers.size(); ++server) {
    if (!may_ever_use(plan, ticket.tried_, server)) continue;
    const GatePlan::Server& candidate = plan.servers[server];
    const Standing standing = standing_of(*candidate.state, now_ms, plan.fail_open);
    if (standing == Standing::out) continue;
    best.hopeless = false;
    const std::uint32_t priority = priority_of(candidate, standing);
    if (priority > best_priority) continue;
    if (priority < best_priority) best.server.reset();
    best_priority = priority;
    if (full || !has_room(plan, server)) continue;
    if (plan.breaker_open(*candidate.state, ticket.retry_)) continue;
    const std::uint64_t in_flight = candidate.state->in_flight.load(std::memory_order_relaxed);
    if (best.server &&
        in_flight * plan.servers[*best.server].weight >= best_in_flight * candidate.weight) {
      continue;
    }
    best.server = server;
    best_in_flight = in_flight;
  }
  return best;
}

// The last of its class is never dropped: nobody would be better off. And a queue that is gone once
// all that is under way has ended is short, however long that takes: as one packet is to RFC 8289
// 5.6, no wait in it counts as long.
bool Gate::stands_too_long(const Ticket& ticket, std::uint64_t now_us) {
  if (waiting_of_[ticket.priority_] == 1) return false;
  std::uint64_t waited_us = now_us - std::min(ticket.since_us_, now_us);
  if (waited_us >= ticket.plan_->codel.target_us && is_short(*ticket.plan_)) waited_us = 0;
  return codels_[ticket.priority_].should_drop(waited_us, now_us, ticket.plan_->codel);
}

// Asked while one slot is free.
bool Gate::is_short(const GatePlan& plan) const {
  std::uint64_t under_way = 1;
  for (const GatePlan::Server& server : plan.servers) {
    under_way += server.state->in_flight.load(std::memory_order_relaxed);
  }
  return waiting() <= std::max(under_way, kShortQueue);
}

Counter& Gate::counter_of(DropReason reason) {
  switch (reason) {
    case DropReason::standing_queue: break;
    case DropReason::displaced: return counters_.dropped_displaced;
    case DropReason::no_server: return counters_.dropped_no_server;
  }
  return counters_.dropped_codel;
}

void Gate::drop(Ticket& ticket, DropReason reason) {
  counter_of(reason).add();
  remove(ticket);
  ticket.reason_ = reason;
  ticket.enter(Ticket::State::dropped);
  ticket.home_.mailbox.post(ticket);
}

}  // namespace weir::upstream
