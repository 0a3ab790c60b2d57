// Output: appends to a block of fixed size and remembers whether everything fitted, so that callers
// check once, at the end.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "http/number.h"

namespace weir::http {

class Output {
 public:
  Output(char* out, std::size_t room) : begin_(out), at_(out), left_(room) {}

  void put(std::string_view text) {
    if (text.size() > left_) return overflow();
    if (text.empty()) return;  // memcpy wants real pointers even for nothing.
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    left_ -= text.size();
  }

  // A literal: its size is known while compiling, and small ones need no call to copy.
  template <std::size_t kBytes>
  void put(const char (&text)[kBytes]) {
    constexpr std::size_t kSize = kBytes - 1;
    if (kSize > left_) return overflow();
    std::memcpy(at_, text, kSize);
    at_ += kSize;
    left_ -= kSize;
  }

  template <typename... Texts>
  void put_all(const Texts&... texts) {
    (put(texts), ...);
  }

  void put_number(std::uint64_t number) {
    char digits[kDecimalDigitsMax];
    put(std::string_view(digits, write_decimal(digits, number)));
  }

  // Bytes written, 0 when they did not all fit.
  [[nodiscard]] std::size_t finish() const {
    return overflowed_ ? 0 : static_cast<std::size_t>(at_ - begin_);
  }

 private:
  void overflow() {
    overflowed_ = true;
    left_ = 0;
  }

  char* begin_;
  char* at_;
  std::size_t left_;
  bool overflowed_ = false;
};

}  // namespace weir::http
