#include "sim/world/oracle.h"

#include <algorithm>
#include <optional>

namespace weir::sim {
namespace {

constexpr std::size_t kLineBytesMax = 32 * 1024;
constexpr std::size_t kHeadBytesMax = 64 * 1024;

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }
bool is_alpha(char byte) { return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'); }
// RFC 9110 5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char byte) {
    return is_digit(byte) || is_alpha(byte) ||
           std::string_view("!#$%&'*+-.^_`|~").find(byte) != std::string_view::npos;
  });
}
// RFC 9110 5.5, tabs and bytes above 0x7F included.
bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char byte) {
    return byte == '\t' || (static_cast<unsigned char>(byte) >= 0x20 && byte != 0x7f);
  });
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& byte : result) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte + 32);
  }
  return result;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> number(std::string_view text, unsigned base) {
  if (text.empty() || text.size() > 15) return std::nullopt;
  std::uint64_t value = 0;
  for (const char byte : lower(text)) {
    unsigned digit = 99;
    if (is_digit(byte)) digit = static_cast<unsigned>(byte - '0');
    if (byte >= 'a' && byte <= 'f') digit = static_cast<unsigned>(byte - 'a') + 10;
    if (digit >= base) return std::nullopt;
    value = value * base + digit;
  }
  return value;
}

}  // namespace

std::size_t MessageHead::count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(
      fields.begin(), fields.end(), [&](const auto& field) { return field.first == name; }));
}

std::string_view MessageHead::field(std::string_view name) const {
  for (const auto& [each, value] : fields) {
    if (each == name) return value;
  }
  return {};
}

bool MessageHead::lists(std::string_view name, std::string_view token) const {
  for (const auto& [each, value] : fields) {
    if (each != name) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (lower(trim(rest.substr(0, comma))) == token) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

bool MessageHead::persistent() const {
  if (framing == Framing::until_close || lists("connection", "close")) return false;
  return minor >= 1 || lists("connection", "keep-alive");
}

Oracle::Event Oracle::fail(const char* why) {
  why_ = why;
  state_ = State::failed;
  return Event::error;
}

// A line without its CRLF. RFC 9112 2.2: neither character may stand alone.
Oracle::Line Oracle::take_line(std::string_view& line) {
  if (at_ > kHeadBytesMax) {
    buffer_.erase(0, at_);
    at_ = 0;
  }
  const std::string_view rest = std::string_view(buffer_).substr(at_);
  const std::size_t end = rest.find_first_of(std::string_view("\r\n\0", 3));
  if (end == std::string_view::npos) return rest.size() > kLineBytesMax ? Line::bad : Line::missing;
  if (rest[end] != '\r') return Line::bad;
  if (end + 1 == rest.size()) return Line::missing;
  if (rest[end + 1] != '\n' || end > kLineBytesMax) return Line::bad;
  line = rest.substr(0, end);
  at_ += end + 2;
  head_bytes_ += end + 2;
  return head_bytes_ > kHeadBytesMax ? Line::bad : Line::complete;
}

Oracle::Event Oracle::next() {
  while (true) {
    const State state = state_;
    const std::size_t at = at_;
    const Event event = step();
    if (event != Event::none) return event;
    if (state_ == state && at_ == at) return Event::none;
  }
}

Oracle::Event Oracle::step() {
  switch (state_) {
    case State::failed: return Event::error;
    case State::ended: state_ = State::start; return Event::end;
    case State::length_body:
    case State::chunk_data: return take_body(left_);
    case State::until_close_body: return take_body(UINT64_MAX);
    default: break;
  }
  std::string_view line;
  switch (take_line(line)) {
    case Line::missing: return Event::none;
    case Line::bad: return fail("a line does not end in CRLF, or never ends");
    case Line::complete: return step_line(line);
  }
  return Event::none;
}

Oracle::Event Oracle::step_line(std::string_view line) {
  switch (state_) {
    case State::start: return start_line(line);
    case State::fields: return line.empty() ? finish_head() : field_line(line, head_.fields);
    case State::chunk_size: return chunk_line(line);
    case State::chunk_end:
      if (!line.empty()) return fail("a chunk is longer than its size");
      state_ = State::chunk_size;
      return Event::none;
    case State::trailers:
      if (!line.empty()) return field_line(line, trailers_);
      state_ = State::ended;
      return Event::none;
    default: return fail("the oracle lost its way");
  }
}

Oracle::Event Oracle::take_body(std::uint64_t most) {
  buffer_.erase(0, at_);
  at_ = 0;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(most, buffer_.size()));
  if (size > 0) {
    piece_ = std::string_view(buffer_).substr(0, size);
    at_ = size;
    if (state_ == State::until_close_body) return Event::body;
    left_ -= size;
    if (left_ == 0) state_ = state_ == State::chunk_data ? State::chunk_end : State::ended;
    return Event::body;
  }
  if (state_ == State::until_close_body && ended_) state_ = State::ended;
  return Event::none;
}

Oracle::Event Oracle::start_line(std::string_view line) {
  // RFC 9112 2.2: empty lines before a request are tolerated.
  if (line.empty() && side_ == Side::requests) return Event::none;
  head_ = {};
  trailers_.clear();
  head_bytes_ = line.size() + 2;
  const Event event = side_ == Side::requests ? request_line(line) : status_line(line);
  if (event == Event::none) state_ = State::fields;
  return event;
}

// RFC 9112 3: method SP target SP HTTP/1.x.
Oracle::Event Oracle::request_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return fail("not a request line");
  head_.method = line.substr(0, first);
  head_.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(head_.method)) return fail("bad method");
  const bool clean = std::all_of(head_.target.begin(), head_.target.end(), [](char byte) {
    return static_cast<unsigned char>(byte) > 0x20 && byte != 0x7f;
  });
  if (head_.target.empty() || !clean) return fail("bad target");
  if (version.size() != 8 || !version.starts_with("HTTP/1.") || !is_digit(version[7])) {
    return fail("bad version");
  }
  head_.minor = version[7] == '0' ? 0 : 1;
  return Event::none;
}

// RFC 9112 4.
Oracle::Event Oracle::status_line(std::string_view line) {
  const bool shaped = line.size() >= 13 && line.starts_with("HTTP/1.") && is_digit(line[7]) &&
                      line[8] == ' ' && line[12] == ' ' && is_value(line.substr(13));
  const auto status = shaped ? number(line.substr(9, 3), 10) : std::nullopt;
  if (!status || *status < 100 || *status > 599) return fail("not a status line");
  head_.minor = line[7] == '0' ? 0 : 1;
  head_.status = static_cast<int>(*status);
  return Event::none;
}

// RFC 9112 5.1: no blank before the colon, no folding.
Oracle::Event Oracle::field_line(std::string_view line,
                                 std::vector<std::pair<std::string, std::string>>& into) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    return fail("bad field name");
  }
  const std::string_view value = trim(line.substr(colon + 1));
  if (!is_value(value)) return fail("bad field value");
  into.emplace_back(lower(line.substr(0, colon)), value);
  return Event::none;
}

Oracle::Event Oracle::finish_head() {
  if (side_ == Side::requests && request_rules() == Event::error) return Event::error;
  if (decide_framing() == Event::error) return Event::error;
  begin_body();
  return Event::head;
}

// RFC 9112 3.2: one Host, and only HTTP/1.0 may leave it out.
Oracle::Event Oracle::request_rules() {
  const std::size_t hosts = head_.count("host");
  if (hosts > 1 || (hosts == 0 && head_.minor == 1)) return fail("not exactly one Host");
  if (hosts == 1 && head_.field("host").empty()) return fail("empty Host");
  const bool form = head_.target.front() == '/' || head_.target.starts_with("http://") ||
                    (head_.target == "*" && head_.method == "OPTIONS");
  return form ? Event::none : fail("bad form of the target");
}

// RFC 9112 6.3, refusing whatever has more than one reading.
Oracle::Event Oracle::decide_framing() {
  using Framing = MessageHead::Framing;
  const std::size_t lengths = head_.count("content-length");
  const std::size_t codings = head_.count("transfer-encoding");
  if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0)) return fail("two lengths");
  if (codings == 1) {
    if (head_.minor == 0) return fail("Transfer-Encoding in HTTP/1.0");
    if (lower(head_.field("transfer-encoding")) != "chunked") return fail("unknown coding");
    head_.framing = Framing::chunked;
  }
  if (lengths == 1) {
    const auto length = number(head_.field("content-length"), 10);
    if (!length) return fail("bad Content-Length");
    head_.framing = Framing::length;
    head_.length = *length;
  }
  if (side_ == Side::requests) return Event::none;
  const bool bodiless =
      head_request_ || head_.status < 200 || head_.status == 204 || head_.status == 304;
  if (bodiless) {
    head_.framing = Framing::none;
  } else if (lengths == 0 && codings == 0) {
    head_.framing = Framing::until_close;
  }
  return Event::none;
}

void Oracle::begin_body() {
  switch (head_.framing) {
    case MessageHead::Framing::none: state_ = State::ended; break;
    case MessageHead::Framing::length:
      left_ = head_.length;
      state_ = left_ > 0 ? State::length_body : State::ended;
      break;
    case MessageHead::Framing::chunked: state_ = State::chunk_size; break;
    case MessageHead::Framing::until_close: state_ = State::until_close_body; break;
  }
}

// RFC 9112 7.1 and 7.1.1: hexadecimal digits, then perhaps extensions.
Oracle::Event Oracle::chunk_line(std::string_view line) {
  head_bytes_ = 0;
  const std::size_t semicolon = std::min(line.find(';'), line.size());
  std::string_view digits = line.substr(0, semicolon);
  if (semicolon < line.size()) digits = trim(digits);
  const auto size = number(digits, 16);
  if (!size || !is_value(line)) return fail("bad chunk size");
  left_ = *size;
  state_ = left_ > 0 ? State::chunk_data : State::trailers;
  return Event::none;
}

}  // namespace weir::sim
