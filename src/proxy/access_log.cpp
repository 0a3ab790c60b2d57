#include "proxy/access_log.h"

#include <array>
#include <charconv>
#include <chrono>

namespace weir::proxy {
namespace {

// Room kept for log_outcome(), whose values are short: names are at most 64 bytes, addresses less
// than 120.
constexpr std::size_t kOutcomeBytes = 2048;

constexpr std::size_t kPathBytes = 7000;
constexpr std::size_t kQueryBytes = 5000;
constexpr std::size_t kShortBytes = 1000;

void append_number(net::Buffer& line, std::uint64_t value) {
  char digits[20];
  const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  line.append({digits, static_cast<std::size_t>(end - digits)});
}

// `value` zero-padded to `width` digits.
void append_padded(net::Buffer& line, std::uint64_t value, std::size_t width) {
  std::array<char, 20> digits;
  for (std::size_t i = width; i-- > 0; value /= 10) digits[i] = static_cast<char>('0' + value % 10);
  line.append({digits.data(), width});
}

void append_seconds(net::Buffer& line, std::uint64_t microseconds) {
  append_number(line, microseconds / 1'000'000);
  line.append(".");
  append_padded(line, microseconds % 1'000'000, 6);
}

// One byte as JSON shows it. Bytes above 0x7F are taken for Latin-1 (RFC 9110 5.5: opaque data), so
// that the line is valid UTF-8 whatever a client sends.
std::string_view escaped(unsigned char byte, std::array<char, 6>& room) {
  static constexpr char kHex[] = "0123456789abcdef";
  if (byte == '"' || byte == '\\') {
    room = {'\\', static_cast<char>(byte)};
    return {room.data(), 2};
  }
  if (byte >= 0x20 && byte < 0x7f) {
    room[0] = static_cast<char>(byte);
    return {room.data(), 1};
  }
  room = {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
  return {room.data(), 6};
}

// ,"key":"value" with at most `most` bytes of escaped value.
void append_text(net::Buffer& line, std::string_view key, std::string_view value,
                 std::size_t most) {
  line.append(",\"");
  line.append(key);
  line.append("\":\"");
  std::array<char, 6> room;
  std::size_t used = 0;
  for (const char byte : value) {
    const std::string_view piece = escaped(static_cast<unsigned char>(byte), room);
    if (used + piece.size() > most) {
      line.append("...");
      break;
    }
    line.append(piece);
    used += piece.size();
  }
  line.append("\"");
}

void append_named_number(net::Buffer& line, std::string_view key, std::uint64_t value) {
  line.append(",\"");
  line.append(key);
  line.append("\":");
  append_number(line, value);
}

void append_named_seconds(net::Buffer& line, std::string_view key, std::uint64_t microseconds) {
  line.append(",\"");
  line.append(key);
  line.append("\":");
  append_seconds(line, microseconds);
}

// RFC 3339 in UTC with microseconds.
void append_timestamp(net::Buffer& line, std::uint64_t wall_clock_ns) {
  const std::uint64_t seconds = wall_clock_ns / 1'000'000'000;
  const std::chrono::sys_days day{std::chrono::days{seconds / 86'400}};
  const std::chrono::year_month_day date{day};
  const std::uint64_t second = seconds % 86'400;
  append_padded(line, static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
  line.append("-");
  append_padded(line, static_cast<unsigned>(date.month()), 2);
  line.append("-");
  append_padded(line, static_cast<unsigned>(date.day()), 2);
  line.append("T");
  append_padded(line, second / 3600, 2);
  line.append(":");
  append_padded(line, second / 60 % 60, 2);
  line.append(":");
  append_padded(line, second % 60, 2);
  line.append(".");
  append_padded(line, wall_clock_ns / 1000 % 1'000'000, 6);
  line.append("Z");
}

// What requests and connections have in common.
template <typename Logged>
void begin(net::Buffer& line, const Logged& logged) {
  line.append("{\"ts\":\"");
  append_timestamp(line, logged.wall_clock_ns);
  line.append("\"");
  append_text(line, "client", logged.client, kShortBytes);
  append_named_number(line, "client_port", logged.client_port);
  append_text(line, "listener", logged.listener, kShortBytes);
}

}  // namespace

void log_request(net::Buffer& line, const LoggedRequest& request) {
  begin(line, request);
  append_text(line, "method", request.method, kShortBytes);
  append_text(line, "host", request.host, kShortBytes);
  append_text(line, "path", request.path, kPathBytes);
  if (!request.query.empty()) append_text(line, "query", request.query.substr(1), kQueryBytes);
  if (!request.proto.empty()) append_text(line, "proto", request.proto, kShortBytes);
  if (!request.user_agent.empty()) append_text(line, "ua", request.user_agent, kShortBytes);
  CHECK(line.room() >= kOutcomeBytes);
}

void log_connection(net::Buffer& line, const LoggedConnection& connection) {
  begin(line, connection);
  append_text(line, "proto", "tcp", kShortBytes);
  if (!connection.server_name.empty())
    append_text(line, "sni", connection.server_name, kShortBytes);
}

void log_outcome(net::Buffer& line, const LoggedOutcome& outcome) {
  if (outcome.http) append_named_number(line, "status", outcome.status);
  if (!outcome.error.empty()) append_text(line, "error", outcome.error, kShortBytes);
  if (!outcome.rule.empty()) append_text(line, "rule", outcome.rule, kShortBytes);
  if (!outcome.route.empty()) append_text(line, "route", outcome.route, kShortBytes);
  if (!outcome.backend.empty()) append_text(line, "backend", outcome.backend, kShortBytes);
  if (!outcome.server.empty()) append_text(line, "server", outcome.server, kShortBytes);
  append_named_seconds(line, "dur", outcome.duration_us);
  if (outcome.queue_us > 0) append_named_seconds(line, "t_queue", outcome.queue_us);
  if (outcome.attempts > 0) {
    append_named_seconds(line, "t_connect", outcome.connect_us);
    if (outcome.http) {
      append_named_seconds(line, "t_ttfb", outcome.first_byte_us);
      line.append(outcome.reused ? ",\"reused\":true" : ",\"reused\":false");
    }
  }
  append_named_number(line, "rx", outcome.bytes_received);
  append_named_number(line, "tx", outcome.bytes_sent);
  append_named_number(line, "attempts", outcome.attempts);
  line.append("}\n");
}

}  // namespace weir::proxy
