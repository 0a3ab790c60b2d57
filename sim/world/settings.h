// Settings: the configurations of a run: the first, and what reloads make of it.
#pragma once

#include <cstdint>
#include <string>

#include "base/prng.h"
#include "config/config.h"
#include "os/address.h"
#include "sim/world/script.h"

namespace weir::sim {

inline constexpr std::uint16_t kFrontPort = 80;
inline constexpr std::uint16_t kSidePort = 81;
// What health checks ask for; requests of clients never do.
inline constexpr const char* kProbePath = "/alive";
// The backend that gets copies.
inline constexpr const char* kMirrorName = "mirror";
// No queue of a drawn configuration lets anybody wait longer.
inline constexpr std::int64_t kQueueTimeoutMs = 10'000;

// Address of a listener (10.0.0.1) and of server `number` (10.0.1.1 and up).
[[nodiscard]] os::Address listener_address(bool side);
[[nodiscard]] os::Address server_address(std::uint32_t number);
// The same as configurations write it.
[[nodiscard]] config::Endpoint server_endpoint(std::uint32_t number);
[[nodiscard]] std::string server_text(std::uint32_t number);
// What servers may be given by instead: some by address and port, some by SRV records.
inline constexpr std::uint32_t kHostNames = 4;
[[nodiscard]] config::HostName host_name(std::uint32_t number);

// Every generation has both listeners, a route for /r, and at least one server, be it by name. The
// servers behind the first `manners.servers` are the mirror's.
[[nodiscard]] config::Config draw_config(Prng& prng, const Manners& manners);
// Another configuration of the same listeners.
[[nodiscard]] config::Config draw_reload(Prng& prng, const config::Config& before,
                                         const Manners& manners);
// The same without what refuses requests by itself: rates, short queues and timeouts. The limits
// stay.
[[nodiscard]] config::Config calmed(const config::Config& before);

}  // namespace weir::sim
