// Wakeup: an eventfd, the counter by which one thread wakes another.
#pragma once

#include <cstdint>
#include <string>

#include "sim/kernel/file.h"

namespace weir::sim {

class Wakeup final : public File {
 public:
  // Wakes whoever watches, even when the counter was set already.
  void notify() {
    ++count_;
    wake(kIn);
  }
  void clear() {
    if (count_ == 0) return;
    count_ = 0;
    wake(kOut);
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

  [[nodiscard]] std::uint8_t poll() override {
    return static_cast<std::uint8_t>(kOut | (count_ > 0 ? kIn : 0));
  }
  [[nodiscard]] std::string describe() const override {
    return "wake-up, counter " + std::to_string(count_);
  }

 private:
  std::uint64_t count_ = 0;
};

}  // namespace weir::sim
