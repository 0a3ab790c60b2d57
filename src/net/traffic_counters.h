// The bytes through some sockets. Written by one thread, read by the metrics.
#pragma once

#include <cstdint>

#include "base/counter.h"

namespace weir::net {

struct TrafficCounters {
  Counter bytes_received;
  Counter bytes_sent;
};

// Of one listener or server, and of the whole that it is a part of.
struct Traffic {
  void received(std::uint64_t bytes) { add(&TrafficCounters::bytes_received, bytes); }
  void sent(std::uint64_t bytes) { add(&TrafficCounters::bytes_sent, bytes); }

  TrafficCounters own;
  TrafficCounters* whole = nullptr;

 private:
  void add(Counter TrafficCounters::*counter, std::uint64_t bytes) {
    (own.*counter).add(bytes);
    if (whole != nullptr) (whole->*counter).add(bytes);
  }
};

}  // namespace weir::net
