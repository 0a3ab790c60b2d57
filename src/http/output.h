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
  Output(char* out, std::size_t room) : out_(out), room_(room) {}

  // All of the texts, or none when they do not fit. Literals are copied without a call.
  template <typename... Texts>
  void put_all(const Texts&... texts) {
    const std::size_t begin = size_;
    size_ += (size_of(texts) + ...);
    if (size_ > room_) return;
    char* to = out_ + begin;
    ((to = append(to, texts)), ...);
  }

  void put(std::string_view text) { put_all(text); }
  template <std::size_t kBytes>
  void put(const char (&text)[kBytes]) {
    put_all(text);
  }

  void put_number(std::uint64_t number) {
    char digits[kDecimalDigitsMax];
    put(std::string_view(digits, write_decimal(digits, number)));
  }

  // Bytes written, 0 when they did not all fit.
  [[nodiscard]] std::size_t finish() const { return size_ <= room_ ? size_ : 0; }

 private:
  static std::size_t size_of(std::string_view text) { return text.size(); }
  template <std::size_t kBytes>
  static std::size_t size_of(const char (&)[kBytes]) {
    return kBytes - 1;
  }

  static char* append(char* to, std::string_view text) {
    if (text.empty()) return to;  // memcpy wants real pointers even for nothing.
    std::memcpy(to, text.data(), text.size());
    return to + text.size();
  }
  template <std::size_t kBytes>
  static char* append(char* to, const char (&text)[kBytes]) {
    std::memcpy(to, text, kBytes - 1);
    return to + kBytes - 1;
  }

  char* out_;
  std::size_t room_;
  std::size_t size_ = 0;  // Counts on when the room is full: nothing fits from there on.
};

}  // namespace weir::http
