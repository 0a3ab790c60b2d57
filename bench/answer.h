// Reads HTTP responses, as far as a client of this folder has to: that the status is 200, where the
// body ends, and whether the connection ends with it.
#pragma once

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::bench {

// The value of a field in a head, whatever way its name is written; nothing when it has none.
inline std::optional<std::string_view> find_field(std::string_view head, std::string_view name) {
  for (std::size_t end = head.find('\n'); end != std::string_view::npos; end = head.find('\n')) {
    head.remove_prefix(end + 1);
    if (head.size() <= name.size() || head[name.size()] != ':') continue;
    if (::strncasecmp(head.data(), name.data(), name.size()) != 0) continue;
    std::string_view value = head.substr(name.size() + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    return value.substr(0, value.find('\r'));
  }
  return std::nullopt;
}

// 0 for what is no number.
inline std::uint64_t to_number(std::string_view text, int base = 10) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number, base);
  return number;
}

// The framing of one chunked body (RFC 9112 7.1, without extensions and trailers).
class Chunks {
 public:
  // True when `bytes` hold the end of the body.
  bool take(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t skipped = std::min<std::uint64_t>(data_, bytes.size());
      data_ -= skipped;
      bytes.remove_prefix(skipped);
      if (bytes.empty()) break;
      line_ += bytes.front();
      bytes.remove_prefix(1);
      if (line_.back() == '\n' && end_line()) return true;
    }
    return false;
  }

 private:
  bool end_line() {
    const bool blank = line_ == "\r\n";
    if (!blank) {
      data_ = to_number(line_, 16);
      last_ = data_ == 0;
    }
    line_.clear();
    return blank && last_;
  }

  std::uint64_t data_ = 0;
  std::string line_;
  bool last_ = false;
};

// One response, or, by expect(), so many bytes of anything.
class Answer {
 public:
  enum class Progress {
    more,      // Is not complete.
    complete,  // Ended with the bytes taken.
    bad_status,
    too_long,  // More came than belongs to it.
  };

  void expect(std::uint64_t bytes) { missing_ = bytes; }

  // How many bytes are to come that need not be stored; nothing when they have to be looked at.
  [[nodiscard]] std::optional<std::uint64_t> droppable() const { return missing_; }
  [[nodiscard]] bool in_head() const { return !missing_ && !chunks_; }
  // The sender will close after it.
  [[nodiscard]] bool last() const { return last_; }

  Progress take(std::string_view bytes) {
    if (missing_) return count(bytes.size());
    if (chunks_) return chunks_->take(bytes) ? Progress::complete : Progress::more;
    if (!head_.empty()) {
      head_.append(bytes);
      bytes = head_;
    }
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      if (head_.empty()) head_ = bytes;
      return Progress::more;
    }
    return begin_body(bytes.substr(0, end + 2), bytes.substr(end + 4));
  }

 private:
  Progress begin_body(std::string_view head, std::string_view body) {
    if (!head.starts_with("HTTP/1.1 200 ")) return Progress::bad_status;
    const auto connection = find_field(head, "Connection");
    last_ = connection && *connection == "close";
    if (const auto length = find_field(head, "Content-Length")) {
      missing_ = to_number(*length);
      return count(body.size());
    }
    chunks_.emplace();
    return chunks_->take(body) ? Progress::complete : Progress::more;
  }

  Progress count(std::size_t bytes) {
    if (bytes > *missing_) return Progress::too_long;
    *missing_ -= bytes;
    return *missing_ == 0 ? Progress::complete : Progress::more;
  }

  std::string head_;  // Of a head that came in pieces.
  std::optional<std::uint64_t> missing_;
  std::optional<Chunks> chunks_;
  bool last_ = false;
};

}  // namespace weir::bench
