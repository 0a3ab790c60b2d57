#include "sim/world/identity.h"

#include <charconv>

#include "base/prng.h"

namespace weir::sim {
namespace {

constexpr std::string_view kMisleading =
    "GET /r/9999.0 HTTP/1.1\r\nHost: a\r\nX-Id: 9999.0\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"
    "Content-Length: 0\r\n\r\n";

[[nodiscard]] bool misleads(std::uint64_t key) { return key % 4 == 0; }

}  // namespace

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t state = a;
  state = splitmix64(state) ^ b;
  return splitmix64(state);
}

std::string to_text(RequestId id) {
  return std::to_string(id.connection) + "." + std::to_string(id.index);
}

std::optional<std::uint64_t> number_from_text(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<RequestId> id_from_text(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto connection = number_from_text(text.substr(0, dot));
  const auto index = number_from_text(text.substr(dot + 1));
  if (!connection || !index || *connection > UINT32_MAX || *index > UINT32_MAX) return std::nullopt;
  return RequestId{static_cast<std::uint32_t>(*connection), static_cast<std::uint32_t>(*index)};
}

char Stream::at(std::uint64_t offset, std::uint64_t word) const {
  if (misleads(key_)) return kMisleading[(offset + key_ / 4) % kMisleading.size()];
  return static_cast<char>(word >> (8 * (offset % 8)));
}

void Stream::fill(std::uint64_t offset, std::span<char> out) const {
  std::uint64_t word = mix(key_, offset / 8);
  for (char& byte : out) {
    byte = at(offset, word);
    if (++offset % 8 == 0) word = mix(key_, offset / 8);
  }
}

bool Stream::matches(std::uint64_t offset, std::string_view bytes) const {
  std::uint64_t word = mix(key_, offset / 8);
  for (const char byte : bytes) {
    if (byte != at(offset, word)) return false;
    if (++offset % 8 == 0) word = mix(key_, offset / 8);
  }
  return true;
}

}  // namespace weir::sim
