// Fd: owns one file descriptor and closes it.
#pragma once

#include <utility>

namespace weir::os {

// Closes a descriptor number; the result of close() tells nothing that could be acted on.
void close_descriptor(int fd);

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0) close_descriptor(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace weir::os
