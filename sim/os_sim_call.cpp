// The beginning and end of a simulated call, and what the kernel has of the system's own types.

#include "sim/os_sim_call.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "base/check.h"
#include "sim/kernel/place.h"

namespace weir::sim {
namespace {

// Another fiber runs, or this one loses its processor for a while.
void give_way() {
  Machine& m = machine();
  if (parts().fibers.running() == nullptr) return;
  if (m.chance.happens(Fault::stall)) {
    parts().fibers.yield(m.clock.now_ns() + m.chance.spread(kNsPerMs, kStalledForNsMax));
  } else if (m.chance.happens(Fault::yield)) {
    parts().fibers.yield(0);
  }
}

}  // namespace

Kernel*& current_kernel() {
  static Kernel* kernel = nullptr;
  return kernel;
}

// --- Calls ---------------------------------------------------------------------------------------

Call::Call(const char* name, int fd) : name_(name), fd_(fd) {
  Machine& m = machine();
  ++m.calls;
  m.clock.pass(m.chance.between(m.conditions.call_ns.low, m.conditions.call_ns.high));
  if (m.chance.happens(Fault::clock_jump)) {
    m.clock.pass(m.chance.spread(kNsPerSecond, 60 * kNsPerSecond));
  }
  give_way();
}

os::IoResult Call::end(os::IoResult result) const {
  machine().note(name_, shown_fd(), os::to_string(result.status), result.bytes);
  return result;
}

os::SocketResult Call::end(os::IoStatus status, os::Fd fd) const {
  machine().note(name_, shown_fd(), os::to_string(status),
                 fd.valid() ? static_cast<std::uint64_t>(fd.get() - Descriptors::kBase) : 0);
  return {status, std::move(fd)};
}

void Call::end(std::uint64_t first, std::uint64_t second) const {
  machine().note(name_, shown_fd(), nullptr, first, second);
}

void Call::misused(int fd) const {
  const char* what = parts().descriptors.find(fd) ? "of the wrong kind" : "not open";
  const std::string why = std::string(name_) + " of descriptor " +
                          std::to_string(fd - Descriptors::kBase) + ", which is " + what;
  if (Kernel::current().on_misuse) Kernel::current().on_misuse(why);
  CHECK(false, why.c_str());
  std::abort();
}

os::Fd open_descriptor(std::shared_ptr<File> file) {
  return os::Fd(parts().descriptors.open(std::move(file)));
}

os::IoStatus may_open(std::size_t wanted) {
  if (parts().descriptors.full(wanted)) return os::IoStatus::no_descriptors;
  if (chance().happens(Fault::no_descriptors)) return os::IoStatus::no_descriptors;
  if (chance().happens(Fault::no_memory)) return os::IoStatus::no_memory;
  return os::IoStatus::done;
}

// --- Addresses -----------------------------------------------------------------------------------

Place place_of(const os::Address& address) {
  Place place;
  if (address.is_unix()) {
    place.path = address.path.sun_path;
  } else if (address.is_ipv6()) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.any);
    place.ip.family = os::Peer::Family::ipv6;
    place.ip.port = ntohs(v6.sin6_port);
    std::memcpy(place.ip.ip.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
  } else {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address.any);
    place.ip.family = os::Peer::Family::ipv4;
    place.ip.port = ntohs(v4.sin_port);
    std::memcpy(place.ip.ip.data(), &v4.sin_addr, sizeof v4.sin_addr);
  }
  return place;
}

std::string Place::text() const {
  if (is_path()) return path;
  char text[os::Peer::kTextMax];
  return std::string(ip.text(text)) + " port " + std::to_string(ip.port);
}

}  // namespace weir::sim
