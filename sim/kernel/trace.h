// Trace: what happened, as a hash of everything and the last lines in a ring.
//
// A line is a few words; text is made of it only when somebody reads the ring. The hash takes the
// names by their letters, so it is the same in every build.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace weir::sim {

class Trace {
 public:
  struct Line {
    std::uint64_t at_ns = 0;
    std::uint32_t who = 0;          // Index of names().
    int number = -1;                // A descriptor or a connection; -1: none.
    const char* what = "";          // A literal.
    const char* outcome = nullptr;  // A literal, or null.
    std::uint64_t first = 0;
    std::uint64_t second = 0;
  };

  void add(const Line& line);
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] std::vector<std::string> last_lines() const;

  // Who acts: fibers in the order they were spawned, after the world.
  std::uint32_t add_name(std::string name) {
    names_.push_back(std::move(name));
    return static_cast<std::uint32_t>(names_.size() - 1);
  }
  [[nodiscard]] const std::string& name(std::uint32_t who) const { return names_[who]; }

 private:
  static constexpr std::size_t kLines = 256;

  void mix(std::uint64_t word);
  void mix(const char* text);

  std::uint64_t hash_ = 0x6b6e'7265'6c;
  std::uint64_t count_ = 0;
  std::array<Line, kLines> ring_;
  std::vector<std::string> names_{"world"};
};

}  // namespace weir::sim
