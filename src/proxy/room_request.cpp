#include "proxy/room_request.h"

#include "proxy/worker.h"

namespace weir::proxy {

void RoomRequest::send() {
  if (under_way_ || workers_.size() < 2) return;
  under_way_ = true;
  room_made_ = false;
  asked_ = 0;
  send_on();
}

void RoomRequest::send_on() {
  ++asked_;
  const bool home = room_made_ || asked_ == workers_.size();
  const std::size_t next = (asker_.index() + asked_) % workers_.size();
  (home ? asker_ : *workers_[next]).loop().mailbox().post(*this);
}

void RoomRequest::deliver() {
  if (room_made_ || asked_ == workers_.size()) {
    under_way_ = false;
    if (room_made_) asker_.room_was_made();
    return;
  }
  Worker& here = *workers_[(asker_.index() + asked_) % workers_.size()];
  room_made_ = here.make_room(listener_);
  send_on();
}

}  // namespace weir::proxy
