// Oracle: a second reading of HTTP/1.1, written for the simulator and sharing nothing with
// src/http.
//
// It reads a stream of messages the strict way and stops at the first byte that two readers could
// take differently. Clients read weir's answers with it, servers read weir's requests, and what a
// client sends is judged by it, so that nothing ambiguous may ever arrive at a server.
//
// It keeps whole lines in strings and is as plain as it can be: it is here to be right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::sim {

struct MessageHead {
  enum class Framing : std::uint8_t {
    none,
    length,
    chunked,
    until_close,
  };
  std::string method;  // Requests only.
  std::string target;
  int status = 0;  // Responses only.
  int minor = 1;
  std::vector<std::pair<std::string, std::string>> fields;  // Names in lower case.
  Framing framing = Framing::none;
  std::uint64_t length = 0;

  [[nodiscard]] std::size_t count(std::string_view name) const;
  // The first value of a field, or "".
  [[nodiscard]] std::string_view field(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return count(name) > 0; }
  // Whether a comma-separated field holds this token, without case.
  [[nodiscard]] bool lists(std::string_view name, std::string_view token) const;
  // RFC 9112 9.3: what this message says about the connection after it.
  [[nodiscard]] bool persistent() const;
};

class Oracle {
 public:
  enum class Side : std::uint8_t {
    requests,
    responses,
  };
  enum class Event : std::uint8_t {
    none,   // More bytes are needed.
    head,   // head() is complete; of a response that may be an interim one.
    body,   // piece() holds the next bytes of the body.
    end,    // The message is complete; trailers() is valid.
    error,  // why() says what is wrong. Nothing follows.
  };

  explicit Oracle(Side side) : side_(side) {}

  void feed(std::string_view bytes) { buffer_.append(bytes); }
  // The peer has sent its last byte: completes a body that ends with the connection.
  void feed_end() { ended_ = true; }
  // Of responses, before their head: what RFC 9112 6.3 step 1 wants to know.
  void answers_head_request(bool yes) { head_request_ = yes; }

  [[nodiscard]] Event next();

  [[nodiscard]] const MessageHead& head() const { return head_; }
  [[nodiscard]] std::string_view piece() const { return piece_; }
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& trailers() const {
    return trailers_;
  }
  [[nodiscard]] const char* why() const { return why_; }
  // Nothing of a further message has been seen.
  [[nodiscard]] bool between_messages() const {
    return state_ == State::start && buffer_.size() == at_;
  }

 private:
  enum class State : std::uint8_t {
    start,  // At a start line.
    fields,
    length_body,
    until_close_body,
    chunk_size,
    chunk_data,
    chunk_end,
    trailers,
    ended,  // `end` is to be told.
    failed,
  };
  enum class Line : std::uint8_t {
    complete,
    missing,
    bad,
  };

  Event fail(const char* why);
  Line take_line(std::string_view& line);
  Event start_line(std::string_view line);
  Event request_line(std::string_view line);
  Event status_line(std::string_view line);
  Event field_line(std::string_view line, std::vector<std::pair<std::string, std::string>>& into);
  Event finish_head();
  Event decide_framing();
  Event request_rules();
  Event chunk_line(std::string_view line);
  Event take_body(std::uint64_t most);
  Event step();
  Event step_line(std::string_view line);
  void begin_body();

  Side side_;
  State state_ = State::start;
  std::string buffer_;
  std::size_t at_ = 0;  // Bytes of buffer_ used up.
  std::size_t head_bytes_ = 0;
  std::uint64_t left_ = 0;
  MessageHead head_;
  std::vector<std::pair<std::string, std::string>> trailers_;
  std::string_view piece_;
  const char* why_ = "";
  bool ended_ = false;
  bool head_request_ = false;
};

}  // namespace weir::sim
