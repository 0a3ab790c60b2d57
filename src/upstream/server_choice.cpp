#include "upstream/server_choice.h"

#include <utility>

#include "upstream/backend_state.h"

namespace weir::upstream {
namespace {

ServerChoice::Outcome outcome_of(DropReason reason) {
  switch (reason) {
    case DropReason::standing_queue: break;
    case DropReason::displaced: return ServerChoice::Outcome::displaced;
    case DropReason::no_server: return ServerChoice::Outcome::none_left;
  }
  return ServerChoice::Outcome::standing_queue;
}

}  // namespace

void ServerChoice::follow(const BackendPlan& plan, Backend& backend) {
  tried = carried_over(tried, plan_->gate, plan.gate);
  if (bound) bound = plan.gate.index_of(*plan_->gate.servers[*bound].state);
  aim(plan, backend);
}

ServerChoice::Outcome ServerChoice::find(bool retry, std::optional<Pick>& pick) {
  const Outcome outcome = choose(retry, pick);
  if (outcome == Outcome::chosen) tried.note_choice();
  return outcome;
}

ServerChoice::Outcome ServerChoice::choose(bool retry, std::optional<Pick>& pick) {
  if (dropped_) return outcome_of(*dropped_);
  if (granted_) {
    pick = std::exchange(granted_, std::nullopt);
    return Outcome::chosen;
  }
  if (!std::exchange(goes_on_, false)) wait_us_ = 0;
  const Backend::Picked picked = backend_->pick(*plan_, {tried, bound, retry}, now_us());
  switch (picked.outcome) {
    case Backend::Outcome::picked: pick = picked.pick; return Outcome::chosen;
    case Backend::Outcome::full: return enter_queue(retry, pick);
    case Backend::Outcome::broken: return Outcome::broken;
    case Backend::Outcome::none: break;
  }
  return Outcome::none_left;
}

ServerChoice::Outcome ServerChoice::enter_queue(bool retry, std::optional<Pick>& pick) {
  const Gate::Entry entry =
      plan_->state->gate.enter(tickets_, *this, plan_->gate, tried, priority, now_us(), retry);
  switch (entry.admission) {
    case Gate::Admission::granted:
      pick = backend_->adopt(*plan_, entry.server, retry, now_us());
      return Outcome::chosen;
    case Gate::Admission::waiting:
      ticket_ = entry.ticket;
      since_us_ = now_us();
      retry_ = retry;
      return Outcome::queued;
    case Gate::Admission::refused: break;
  }
  return Outcome::queue_full;
}

void ServerChoice::granted(std::uint32_t server, std::uint64_t waited_us) {
  ticket_ = nullptr;
  waited_us_ += waited_us;
  wait_us_ += waited_us;
  granted_ = backend_->adopt(*plan_, server, retry_, now_us());
  loop_.schedule(waiter_);
}

void ServerChoice::dropped(DropReason reason) {
  ticket_ = nullptr;
  waited_us_ += now_us() - since_us_;
  dropped_ = reason;
  loop_.schedule(waiter_);
}

void ServerChoice::leave_queue(Gate::Leaving why) {
  if (ticket_ != nullptr) {
    waited_us_ += now_us() - since_us_;
    plan_->state->gate.leave(*std::exchange(ticket_, nullptr), why, now_us());
  }
  if (!granted_) return;
  (void)backend_->report(*plan_, *granted_, health::Passive::Event::abandoned, now_us());
  backend_->release(*plan_, *granted_, now_us());
  granted_.reset();
}

}  // namespace weir::upstream
