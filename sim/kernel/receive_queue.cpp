#include "sim/kernel/receive_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weir::sim {

void ReceiveQueue::append(const Stretches& arrived, bool joins, bool urgent) {
  end_ += arrived.size();
  for (const Stretch& stretch : arrived) {
    if (joins && !pieces_.empty() && pieces_.back().stretch.goes_on_in(stretch)) {
      pieces_.back().stretch.bytes += stretch.bytes;
    } else {
      pieces_.push_back({stretch, false});
    }
  }
  pieces_.back().ends_message = true;
  if (!urgent) return;
  // A second mark makes the first byte an ordinary one, unless reading stands right before it.
  if (at_mark() && end_ - consumed_ > 1) consume(consumed_ + 1);
  mark_ = end_ - 1;
}

std::size_t ReceiveQueue::read(char* out, std::size_t size, bool take) {
  std::uint64_t at = consumed_;
  std::size_t copied = 0;
  while (copied < size && at < visible_end()) {
    std::uint64_t limit = visible_end();
    if (mark_ && *mark_ == at) {
      if (copied > 0) break;
      ++at;  // Out of band: it is not part of what recv() returns.
      continue;
    }
    if (mark_ && *mark_ > at) limit = std::min(limit, *mark_);
    const std::size_t part = std::min(size - copied, static_cast<std::size_t>(limit - at));
    copy(at, out + copied, part);
    at += part;
    copied += part;
  }
  if (take) consume(at);
  return copied;
}

void ReceiveQueue::copy(std::uint64_t from, char* out, std::size_t size) const {
  std::uint64_t begin = first_;
  for (const Piece& piece : pieces_) {
    const std::string& bytes = piece.stretch.bytes;
    const std::uint64_t end = begin + bytes.size();
    if (from < end) {
      const auto offset = static_cast<std::size_t>(from - begin);
      const std::size_t part = std::min(size, bytes.size() - offset);
      std::memcpy(out, bytes.data() + offset, part);
      from += part;
      out += part;
      size -= part;
      if (size == 0) return;
    }
    begin = end;
  }
}

void ReceiveQueue::consume(std::uint64_t up_to) {
  consumed_ = up_to;
  while (!pieces_.empty() && first_ + pieces_.front().stretch.bytes.size() <= consumed_) {
    first_ += pieces_.front().stretch.bytes.size();
    if (pieces_.front().ends_message) freed_ = first_;
    pieces_.pop_front();
  }
  if (mark_ && *mark_ < consumed_) mark_.reset();
}

std::size_t ReceiveQueue::splice_into(Pipe& pipe, std::size_t size, PageFragment& fragment) {
  size = std::min({size, pipe.free_slots() * kPageBytes, visible()});
  if (mark_) size = std::min(size, static_cast<std::size_t>(*mark_ - consumed_));
  std::size_t moved = 0;
  while (moved < size) {
    Stretch part =
        pieces_.front().stretch.part(static_cast<std::size_t>(consumed_ - first_), size - moved);
    if (part.pages == nullptr) part = fragment.copy_front(part.bytes);
    if (pipe.free_slots() == 0) break;  // Linux copies first and looks then.
    consume(consumed_ + part.bytes.size());
    moved += part.bytes.size();
    pipe.push(std::move(part));
  }
  return moved;
}

}  // namespace weir::sim
