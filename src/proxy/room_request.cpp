#include "proxy/room_request.h"

#include "proxy/worker.h"

namespace weir::proxy {

void RoomRequest::send(unsigned first) {
  if (under_way_ || workers_.size() < 2) return;
  under_way_ = true;
  room_made_ = false;
  first_ = first;
  asked_ = detours_ = 0;
  send_on();
}

void RoomRequest::send_on() {
  const bool home = room_made_ || asked_ == workers_.size();
  (home ? asker_ : here()).loop().mailbox().post(*this);
}

Worker& RoomRequest::here() const { return *workers_[(first_ + asked_) % workers_.size()]; }

void RoomRequest::deliver() {
  if (room_made_ || asked_ == workers_.size()) {
    under_way_ = false;
    if (room_made_) asker_.room_was_made();
    return;
  }
  // It may have lost its oldest to another request meanwhile.
  const unsigned longest = here().longest_idle(listener_);
  if (asked_ == 0 && longest != here().index() && detours_++ < workers_.size()) {
    first_ = longest;
  } else {
    room_made_ = here().make_room(listener_);
    ++asked_;
  }
  send_on();
}

}  // namespace weir::proxy
