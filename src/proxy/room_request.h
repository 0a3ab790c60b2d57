// RoomRequest: a worker whose listener is full asks the others for a place.
//
// max_connections holds over all workers, while each worker can close only its own idle clients. So
// a worker that has none, and clients waiting, sends this message round: each peer in turn closes
// the client that has been idle longest, until one has done so, and the message comes home.
//
// Owned by the asking worker, one per listener. Between post and delivery it belongs to the
// mailbox, then to the thread that delivers it; nobody else touches it meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "loop/mailbox.h"

namespace weir::proxy {

class Worker;

class RoomRequest final : public loop::Message {
 public:
  // `workers`: all of them, the asker included; outlives the request.
  RoomRequest(Worker& asker, std::uint32_t listener, const std::vector<Worker*>& workers)
      : asker_(asker), listener_(listener), workers_(workers) {}

  // Sends it round, unless it is on its way already.
  void send();

  void deliver() override;

 private:
  void send_on();

  Worker& asker_;
  std::uint32_t listener_;
  const std::vector<Worker*>& workers_;
  std::size_t asked_ = 0;  // How many peers, counted from the asker on.
  bool under_way_ = false;
  bool room_made_ = false;
};

}  // namespace weir::proxy
