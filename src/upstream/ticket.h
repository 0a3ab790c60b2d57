// Ticket: one request that waits for a slot at any server of its backend.
//
//   waiting ---- a slot was taken for it ----> granted ---+
//      |                                                  +-- delivered: the owner is told
//      +---- overload: better to refuse it --> dropped ---+
//      |                                          |
//      | the owner leaves: destroyed at once      | the owner leaves before the delivery
//      v                                          v
//     (gone)                                    left -------- delivered: nobody is told
//
// A ticket belongs to its worker's Tickets, not to the exchange that waits: once posted, the
// message must outlive an exchange that ends in between. A granted ticket whose owner leaves gives
// its slot back in that moment, so that neither its plan nor its server is touched after.
//
// While it waits, it is in a line of a Gate and everything here is guarded by the gate's mutex.
// From the post to the delivery it is the worker's alone.
#pragma once

#include <array>
#include <cstdint>

#include "balance/policy.h"
#include "base/intrusive_list.h"
#include "base/slab.h"
#include "loop/mailbox.h"

namespace weir::upstream {

class Gate;
struct GatePlan;
struct Tickets;
struct TicketTag;

enum class DropReason : std::uint8_t {
  standing_queue,  // Waits have been too long for too long (limit/codel.h).
  displaced,       // The queue is full, and somebody more important came.
  no_server,       // None of its servers takes requests any more.
};

// Who waits. Told on its worker's thread, once, and not after Gate::leave().
class TicketOwner {
 public:
  // A slot at server `server` of the plan is the owner's, to be released like any other.
  virtual void granted(std::uint32_t server, std::uint64_t waited_us) = 0;
  virtual void dropped(DropReason reason) = 0;

 protected:
  ~TicketOwner() = default;
};

class Ticket final : public loop::Message, public ListLink<TicketTag> {
 public:
  enum class State : std::uint8_t {
    waiting,  // In a line of the gate.
    granted,  // Posted; server_ and waited_us_ are set.
    dropped,  // Posted; reason_ is set.
    left,     // Posted, but the owner is not there any more.
  };

  Ticket(Tickets& home, TicketOwner& owner, const GatePlan& plan, const balance::Attempt& tried,
         std::uint8_t priority, std::uint64_t since_us)
      : home_(home),
        owner_(owner),
        plan_(&plan),
        tried_(tried),
        since_us_(since_us),
        priority_(priority) {}

  void deliver() override;

  // Whose servers it waits for: another one after Gate::move(), which its own worker calls.
  [[nodiscard]] const GatePlan& plan() const { return *plan_; }

 private:
  friend class Gate;
  void enter(State next);

  Tickets& home_;
  TicketOwner& owner_;
  const GatePlan* plan_;
  balance::Attempt tried_;
  std::uint64_t number_ = 0;  // The order in which tickets came to the gate.
  std::uint64_t since_us_;
  std::uint64_t waited_us_ = 0;
  std::uint32_t server_ = 0;
  std::uint8_t priority_;
  bool retry_ = false;
  bool choosy_ = false;  // A retry, or tried_ excludes a server of the plan.
  State state_ = State::waiting;
  DropReason reason_ = DropReason::standing_queue;
};

// All tickets of one worker. Before it dies, its owners have left and the mailbox was delivered.
struct Tickets {
  explicit Tickets(loop::Mailbox& worker_mailbox) : mailbox(worker_mailbox) {}

  loop::Mailbox& mailbox;
  Slab<Ticket> slab;
};

// Legal next states.
inline constexpr std::array kTicketNext = {
    std::array{false, true, true, false},   // waiting
    std::array{false, false, false, true},  // granted
    std::array{false, false, false, true},  // dropped
    std::array{false, false, false, false}  // left
};
static_assert(kTicketNext.size() == static_cast<std::size_t>(Ticket::State::left) + 1);

[[nodiscard]] const char* to_string(Ticket::State state);

}  // namespace weir::upstream
