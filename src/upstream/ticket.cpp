#include "upstream/ticket.h"

#include "base/check.h"

namespace weir::upstream {

void Ticket::enter(State next) {
  CHECK(kTicketNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)]);
  os::trace_transition(os::Machine::ticket, state_, next);
  state_ = next;
}

void Ticket::deliver() {
  // The owner may do anything when told, so the ticket is gone before.
  TicketOwner& owner = owner_;
  const State state = state_;
  const std::uint32_t server = server_;
  const std::uint64_t waited_us = waited_us_;
  const DropReason reason = reason_;
  home_.slab.destroy(*this);
  switch (state) {
    case State::granted: return owner.granted(server, waited_us);
    case State::dropped: return owner.dropped(reason);
    case State::left: return;
    case State::waiting: break;
  }
  CHECK(false, "a ticket was delivered that still waits");
}

const char* to_string(Ticket::State state) {
  switch (state) {
    case Ticket::State::waiting: return "waiting";
    case Ticket::State::granted: return "granted";
    case Ticket::State::dropped: return "dropped";
    case Ticket::State::left: return "left";
  }
  return "?";
}

}  // namespace weir::upstream
