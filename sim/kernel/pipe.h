// Pipe: slots between two descriptors, 16 unless resized, filled and emptied by splice().
//
// A slot holds one stretch of memory and is used up however little is in it. So a pipe can be full
// with a few hundred bytes in it. One splice() asks for no more than a page for each free slot, but
// a slot may hold more than a page.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "sim/kernel/file.h"
#include "sim/kernel/memory.h"

namespace weir::sim {

inline constexpr std::size_t kPipeSlots = 16;
// What a user over its share of pipe pages gets (PIPE_MIN_DEF_BUFFERS).
inline constexpr std::size_t kPipeSlotsMin = 2;

class Pipe {
 public:
  explicit Pipe(std::size_t slots = kPipeSlots) : slots_max_(slots) {}
  [[nodiscard]] std::size_t capacity() const { return slots_max_ * kPageBytes; }
  // To a power of two of slots; what is in the pipe stays. False when it does not fit.
  bool resize(std::size_t bytes);
  [[nodiscard]] std::size_t free_slots() const { return slots_max_ - slots_.size(); }
  [[nodiscard]] bool empty() const { return slots_.empty(); }
  [[nodiscard]] std::size_t bytes() const;
  // A slot must be free.
  void push(Stretch stretch) { slots_.push_back(std::move(stretch)); }
  // The first bytes, at most `most`, over slots.
  [[nodiscard]] Stretches front(std::size_t most) const;
  // Takes them out; tells the writer when a slot becomes free.
  void drop(std::size_t count);
  void tell_reader() const {
    if (reader != nullptr) reader->wake(kUnspecified);
  }

  // Its user is not above the share of pipe pages.
  bool may_grow = true;
  // The ends; null once closed.
  File* reader = nullptr;
  File* writer = nullptr;

 private:
  std::size_t slots_max_;
  std::deque<Stretch> slots_;
};

class PipeEnd final : public File {
 public:
  PipeEnd(std::shared_ptr<Pipe> pipe, bool writes) : pipe_(std::move(pipe)), writes_(writes) {
    (writes_ ? pipe_->writer : pipe_->reader) = this;
  }

  [[nodiscard]] Pipe& pipe() { return *pipe_; }
  [[nodiscard]] bool writes() const { return writes_; }

  [[nodiscard]] std::uint8_t poll() override;
  void released() override;
  [[nodiscard]] std::string describe() const override;

 private:
  std::shared_ptr<Pipe> pipe_;
  bool writes_;
};

}  // namespace weir::sim
