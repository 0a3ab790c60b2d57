// Talker: one scripted end of a connection that sends and reads at its own pace.
//
// Client and ServerPeer derive from it and say what is sent and what becomes of what arrives. It
// lives until the world ends, because timers of its pace refer to it; its Endpoint may go earlier.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sim/kernel/kernel.h"
#include "sim/world/script.h"

namespace weir::sim {

class Talker : public EndpointEvents {
 public:
  Talker(Kernel& kernel, const Pace& sending, const Pace& reading)
      : kernel_(kernel), sending_(sending), reading_(reading) {}
  virtual ~Talker() = default;
  Talker(const Talker&) = delete;
  Talker& operator=(const Talker&) = delete;

  void readable() override { read_more(); }
  void writable() override { send_more(); }
  // Who does not listen any more takes FIN for the end as well.
  void ended() override { deaf_ ? over(true) : read_more(); }
  void reset() override { over(true); }

 protected:
  // Appends what is to be sent next, if anything.
  virtual void compose(std::string& pending) = 0;
  // Everything composed was taken by the connection.
  virtual void sent_all() {}
  // cut_at() bytes were sent.
  virtual void cut() {}
  virtual void received(std::string_view bytes) = 0;
  // Nothing more arrives: the peer sent FIN, or RST.
  virtual void over(bool by_reset) = 0;

  void send_more();
  void read_more();
  // Takes another pace of sending from the next piece on.
  void send_at(const Pace& pace) { sending_ = pace; }
  // Sends nothing beyond this many bytes, counted from the connection's first.
  void cut_at(std::uint64_t bytes) { cut_at_ = bytes; }
  void mute() { muted_ = true; }
  void deafen() { deaf_ = true; }
  [[nodiscard]] bool deaf() const { return deaf_; }

  // The connection has taken everything that was composed.
  [[nodiscard]] bool all_taken() const { return pending_at_ == pending_.size(); }
  [[nodiscard]] Kernel& kernel() { return kernel_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t heard() const { return heard_; }

  Endpoint endpoint_;

 private:
  // False when the pace, the connection or the cut ends it for now.
  bool send_piece();
  bool read_piece();

  Kernel& kernel_;
  Pace sending_;
  Pace reading_;
  std::string pending_;
  std::size_t pending_at_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t heard_ = 0;
  std::uint64_t cut_at_ = UINT64_MAX;
  bool send_paused_ = false;
  bool read_paused_ = false;
  bool muted_ = false;
  bool deaf_ = false;
};

}  // namespace weir::sim
