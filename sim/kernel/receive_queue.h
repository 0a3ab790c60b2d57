// ReceiveQueue: what has arrived on a stream and is not read yet, with TCP's urgent mark.
//
// Bytes lie in the pieces they arrived in, because splice() moves pieces, not bytes. Positions
// count from the beginning of the stream. The urgent byte is part of the stream: recv() stops
// before it once, then steps over it; splice() never passes it (net/ipv4/tcp.c).
//
// Part of the queue can be held back for a while, as if it had not arrived yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "sim/kernel/pipe.h"

namespace weir::sim {

class ReceiveQueue {
 public:
  // `page_offset`: where in its page the piece begins. `urgent`: its last byte is marked.
  void append(std::string bytes, std::size_t page_offset, bool urgent);

  // Copies up to `size` bytes as recv() does and returns how many. `take`: they are consumed.
  std::size_t read(char* out, std::size_t size, bool take);
  // Moves up to `size` bytes into the free slots of a pipe.
  std::size_t splice_into(Pipe& pipe, std::size_t size);

  // Bytes that are there to be read, a mark before them included.
  [[nodiscard]] std::size_t visible() const {
    return static_cast<std::size_t>(visible_end() - consumed_);
  }
  // Whether poll() calls it readable: the urgent byte alone does not count.
  [[nodiscard]] bool readable() const { return visible() > (at_mark() ? 1u : 0u); }
  [[nodiscard]] bool has_mark() const { return mark_ && *mark_ < visible_end(); }
  // Held bytes included.
  [[nodiscard]] std::size_t unread() const { return static_cast<std::size_t>(end_ - consumed_); }
  [[nodiscard]] std::uint64_t consumed() const { return consumed_; }
  [[nodiscard]] std::uint64_t end() const { return end_; }
  // Up to where whole pieces have been consumed.
  [[nodiscard]] std::uint64_t freed() const { return first_; }

  // Makes all but the first `visible` bytes invisible.
  void hold(std::size_t visible) { held_from_ = consumed_ + visible; }
  void release() { held_from_.reset(); }
  [[nodiscard]] bool held() const { return held_from_.has_value(); }

 private:
  struct Piece {
    std::string bytes;
    std::size_t page_offset;
  };

  [[nodiscard]] std::uint64_t visible_end() const { return held_from_.value_or(end_); }
  [[nodiscard]] bool at_mark() const { return mark_ && *mark_ == consumed_; }
  void copy(std::uint64_t from, char* out, std::size_t size) const;
  void consume(std::uint64_t up_to);

  std::deque<Piece> pieces_;
  std::uint64_t first_ = 0;  // Position of the first byte of the first piece.
  std::uint64_t consumed_ = 0;
  std::uint64_t end_ = 0;
  std::optional<std::uint64_t> mark_;  // The urgent byte; only the latest one is known.
  std::optional<std::uint64_t> held_from_;
};

}  // namespace weir::sim
