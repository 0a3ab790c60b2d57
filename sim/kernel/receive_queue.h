// ReceiveQueue: what has arrived on a stream and is not read yet, with TCP's urgent mark.
//
// Bytes stay in the stretches of memory they arrived in, because splice() moves those. Positions
// count from the beginning of the stream. The urgent byte is part of the stream: recv() stops
// before it once, then steps over it; splice() never passes it (net/ipv4/tcp.c).
//
// Part of the queue can be held back for a while, as if it had not arrived yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "sim/kernel/pipe.h"

namespace weir::sim {

class ReceiveQueue {
 public:
  // `joins`: where memory goes on, what has arrived before goes on in this; else it is a message of
  // its own. `urgent`: its last byte is marked.
  void append(const Stretches& arrived, bool joins, bool urgent);

  // Copies up to `size` bytes as recv() does and returns how many. `take`: they are consumed.
  std::size_t read(char* out, std::size_t size, bool take);
  // Moves up to `size` bytes into the free slots of a pipe, over `fragment` what is not in pages.
  std::size_t splice_into(Pipe& pipe, std::size_t size, PageFragment& fragment);

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
  // Up to where whole messages have been consumed.
  [[nodiscard]] std::uint64_t freed() const { return freed_; }

  // Makes all but the first `visible` bytes invisible.
  void hold(std::size_t visible) { held_from_ = consumed_ + visible; }
  void release() { held_from_.reset(); }
  [[nodiscard]] bool held() const { return held_from_.has_value(); }

 private:
  struct Piece {
    Stretch stretch;
    bool ends_message;
  };

  [[nodiscard]] std::uint64_t visible_end() const { return held_from_.value_or(end_); }
  [[nodiscard]] bool at_mark() const { return mark_ && *mark_ == consumed_; }
  void copy(std::uint64_t from, char* out, std::size_t size) const;
  void consume(std::uint64_t up_to);

  std::deque<Piece> pieces_;
  std::uint64_t first_ = 0;  // Position of the first byte of the first piece.
  std::uint64_t freed_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t end_ = 0;
  std::optional<std::uint64_t> mark_;  // The urgent byte; only the latest one is known.
  std::optional<std::uint64_t> held_from_;
};

}  // namespace weir::sim
