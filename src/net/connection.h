// Connection: one socket with what is read from it and not yet used, and what is to be written.
//
// Base of the downstream (proxy::Session) and the upstream side (upstream::ServerConnection).
// Its calls do the I/O, keep the latches right (loop/readiness.h), remember how the connection
// broke and count bytes; they decide nothing. Owned by a slab of its worker, freed only by reap.
#pragma once

#include <string_view>

#include "loop/loop.h"
#include "net/buffer.h"
#include "net/splice_pipe.h"
#include "net/traffic_counters.h"

namespace weir::net {

class Connection : public loop::Source {
  os::IoStatus failure_ = os::IoStatus::done;  // First: Source has left a byte for it.

 public:
  Connection(loop::SourceKind kind, loop::Loop& loop, BufferPool& pool, Traffic& traffic)
      : Source(kind), loop_(loop), pool_(pool), traffic_(traffic) {}

  Buffer in;
  Buffer out;

  // Receives once, up to `most` bytes, into `in`, which is compacted or leased as needed.
  // `no_memory` when no block is to be had. `in` must not be full.
  os::IoResult fill(std::size_t most = kBlockBytes);

  // Sends what is in `out`, followed by `more` when the call gets that far. `done` tells in `bytes`
  // how much of `more` was taken; `again` means that the socket is full. `out` is consumed.
  os::IoResult flush(std::string_view more = {});

  // The same past user space, with nothing in `in` and `out`: up to `most` bytes into the pipe,
  // once; what the pipe holds, until the socket is full. `unsupported`: not with this kind of
  // socket.
  os::IoResult splice_into(SplicePipe& pipe, std::size_t most);
  os::IoResult splice_out_of(SplicePipe& pipe);

  // One of these calls, sending or receiving, found that the connection has broken. The kernel says
  // so once, whoever calls, and lets those who receive afterwards believe that the peer has ended
  // in order; here they hear of the failure again. EPIPE is none: it follows an end.
  [[nodiscard]] bool broken() const { return failure_ != os::IoStatus::done; }

  [[nodiscard]] BufferPool& buffers() { return pool_; }

  // Whether nothing is there to be read, neither bytes nor an end. Asks the kernel only when a
  // latch leaves it open, and settles the latch.
  [[nodiscard]] bool quiet() { return !ready.may_receive() || ask_quiet(); }
  // The same, always asking.
  [[nodiscard]] bool ask_quiet();

 protected:
  ~Connection() = default;
  [[nodiscard]] loop::Loop& loop() { return loop_; }
  [[nodiscard]] const loop::Loop& loop() const { return loop_; }

 private:
  [[nodiscard, gnu::noinline, gnu::cold]] os::IoStatus heard(os::IoStatus status);
  [[nodiscard]] bool lost_its_reason() const;

  loop::Loop& loop_;
  BufferPool& pool_;
  Traffic& traffic_;
};

}  // namespace weir::net
