#include "sim/kernel/pipe.h"

#include <algorithm>
#include <bit>

namespace weir::sim {

bool Pipe::resize(std::size_t bytes) {
  const std::size_t slots = std::bit_ceil((bytes + kPageBytes - 1) / kPageBytes);
  if (slots < slots_.size()) return false;
  slots_max_ = slots;
  return true;
}

std::size_t Pipe::bytes() const {
  std::size_t sum = 0;
  for (const Stretch& slot : slots_) sum += slot.bytes.size();
  return sum;
}

Stretches Pipe::front(std::size_t most) const {
  Stretches taken;
  for (const Stretch& slot : slots_) {
    if (taken.size() == most) break;
    taken.append(slot.part(0, most - taken.size()));
  }
  return taken;
}

void Pipe::drop(std::size_t count) {
  const std::size_t used = slots_.size();
  while (count > 0) {
    Stretch& first = slots_.front();
    const std::size_t part = std::min(count, first.bytes.size());
    count -= part;
    if (part == first.bytes.size()) {
      slots_.pop_front();
    } else {
      first.drop_front(part);
    }
  }
  if (slots_.size() < used && writer != nullptr) writer->wake(kUnspecified);
}

void PipeEnd::released() {
  (writes_ ? pipe_->writer : pipe_->reader) = nullptr;
  File* const other = writes_ ? pipe_->reader : pipe_->writer;
  if (other != nullptr) other->wake(kUnspecified);
}

std::uint8_t PipeEnd::poll() {
  if (writes_) {
    const std::uint8_t broken = pipe_->reader != nullptr ? 0 : kErrorBit;
    return static_cast<std::uint8_t>((pipe_->free_slots() > 0 ? kOut : 0) | broken);
  }
  const std::uint8_t ended = pipe_->writer != nullptr ? 0 : kHangupBit;
  return static_cast<std::uint8_t>((pipe_->empty() ? 0 : kIn) | ended);
}

std::string PipeEnd::describe() const {
  return std::string(writes_ ? "write" : "read") + " end of a pipe with " +
         std::to_string(pipe_->bytes()) + " bytes";
}

}  // namespace weir::sim
