// Identity: which bytes belong to whom.
//
// Every request has an id, and every answer a server gives has a serial number. Bodies are streams
// computed from those, so either end can prove any piece of a body by its position alone, and a
// byte that was lost, doubled or delivered to somebody else shows at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir::sim {

// A client's connection and the number of the request on it.
struct RequestId {
  std::uint32_t connection = 0;
  std::uint32_t index = 0;

  bool operator==(const RequestId&) const = default;
  [[nodiscard]] std::uint64_t number() const { return std::uint64_t{connection} << 32 | index; }
};

// A well mixed 64-bit number for a pair; a stream of random numbers begins with it.
[[nodiscard]] std::uint64_t mix(std::uint64_t a, std::uint64_t b);

// "connection.index" in decimal.
[[nodiscard]] std::string to_text(RequestId id);
[[nodiscard]] std::optional<RequestId> id_from_text(std::string_view text);
// Decimal digits only.
[[nodiscard]] std::optional<std::uint64_t> number_from_text(std::string_view text);

// An endless stream of bytes. Some keys give text that looks like requests and chunk lines, so that
// whoever loses count of a body takes it for the next message.
class Stream {
 public:
  explicit Stream(std::uint64_t key) : key_(key) {}

  void fill(std::uint64_t offset, std::span<char> out) const;
  [[nodiscard]] bool matches(std::uint64_t offset, std::string_view bytes) const;

 private:
  [[nodiscard]] char at(std::uint64_t offset, std::uint64_t word) const;
  std::uint64_t key_;
};

[[nodiscard]] inline Stream request_body(std::uint64_t seed, RequestId id) {
  return Stream(mix(seed ^ 0x5245'5155'4553'5400, id.number()));
}
[[nodiscard]] inline Stream answer_body(std::uint64_t seed, std::uint64_t serial) {
  return Stream(mix(seed ^ 0x414e'5357'4552'0000, serial));
}

}  // namespace weir::sim
