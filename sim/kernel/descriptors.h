// Descriptors: the table of descriptor numbers. The lowest free number is given out first, as Linux
// does it, so that a number that was just closed comes back at once and stale uses of it show.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/kernel/file.h"
#include "sim/kernel/machine.h"

namespace weir::sim {

class Descriptors {
 public:
  // Numbers below belong to the real kernel.
  static constexpr int kBase = 1 << 20;

  explicit Descriptors(Machine& machine) : machine_(machine) {}

  void set_limit(std::size_t limit) { limit_ = limit; }
  [[nodiscard]] bool full(std::size_t wanted = 1) const { return open_ + wanted > limit_; }
  // A new number for `file`; there must be room.
  [[nodiscard]] int open(std::shared_ptr<File> file);
  // Null when nothing is open under this number.
  [[nodiscard]] const std::shared_ptr<File>& find(int fd) const;
  void close(int fd);

  [[nodiscard]] std::size_t count() const { return open_; }
  // One line each.
  [[nodiscard]] std::vector<std::string> list() const;

 private:
  struct Slot {
    std::shared_ptr<File> file;
    std::uint32_t made_by = 0;
    std::uint64_t made_at_ns = 0;
  };

  Machine& machine_;
  std::vector<Slot> slots_;
  std::size_t open_ = 0;
  std::size_t limit_ = SIZE_MAX;
  std::shared_ptr<File> none_;
};

}  // namespace weir::sim
