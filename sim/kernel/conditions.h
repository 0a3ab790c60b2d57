// Conditions: the ranges from which each connection draws its properties, and each call its time.
// The defaults cover a loopback and a mobile phone; a world that studies one thing narrows them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir::sim {

struct Range {
  std::uint64_t low;  // At least 1 where the range is spread over orders of magnitude.
  std::uint64_t high;
};

struct Conditions {
  Range latency_ns{10'000, 80'000'000};           // One way, per connection.
  Range segment_bytes{536, 65'483};               // The largest of a connection.
  Range receive_window_bytes{2'304, 256 * 1024};  // Per end.
  Range send_buffer_bytes{4'608, 256 * 1024};     // Per end.
  Range call_ns{200, 3'000};                      // What one call of os.h takes.
};

}  // namespace weir::sim
