// RoomRequest: a worker whose listener is full asks the others for a place.
//
// max_connections holds over all workers, while each worker can close only its own idle clients. So
// a worker that has clients waiting, and none that has been idle longest, sends this message round:
// first to the one that has, then from worker to worker, the sender last, until somebody has closed
// the client that was idle longest there, and the message comes home.
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

  // Sends it round from worker `first` on, unless it is on its way already.
  void send(unsigned first);

  void deliver() override;

 private:
  void send_on();
  [[nodiscard]] Worker& here() const;

  Worker& asker_;
  std::uint32_t listener_;
  const std::vector<Worker*>& workers_;
  unsigned first_ = 0;
  std::size_t asked_ = 0;    // How many workers, counted from the first on.
  std::size_t detours_ = 0;  // Another one turned out to be the first to be asked.
  bool under_way_ = false;
  bool room_made_ = false;
};

}  // namespace weir::proxy
