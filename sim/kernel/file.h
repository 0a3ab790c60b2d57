// File: an open file of the simulated kernel, what descriptors refer to and epoll watches.
//
// Shared by its descriptors, by events that concern it, and by the network; the watches of epoll
// instances only look at it and are gone with its last descriptor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir::sim {

struct Watch;

// What poll() says, and what a wake-up is about. As EPOLLIN and so on.
enum PollBits : std::uint8_t {
  kIn = 1,
  kOut = 2,
  kReadHangup = 4,
  kPriority = 8,
  kErrorBit = 16,
  kHangupBit = 32,
};
// Told whatever the interest is.
inline constexpr std::uint8_t kAlways = kErrorBit | kHangupBit;
// A wake-up that does not say what it is about: nobody's interest filters it.
inline constexpr std::uint8_t kUnspecified = 0;

class File {
 public:
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  virtual ~File() = default;

  // What is the case now. May take note that somebody waits for room.
  [[nodiscard]] virtual std::uint8_t poll() = 0;
  // The last descriptor was closed.
  virtual void released() {}
  [[nodiscard]] virtual std::string describe() const = 0;

  // Puts this file on the ready lists of those who watch it and care about one of `bits`.
  void wake(std::uint8_t bits);

  std::vector<Watch*> watches;  // In the order of waking: newest first, then exclusive ones.
  std::uint32_t descriptors = 0;
};

}  // namespace weir::sim
