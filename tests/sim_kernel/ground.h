// Ground: the little that a script of os.h calls needs beside os.h. Two programs are built from the
// same script, one over Linux (ground_linux.cpp) and one over the simulated kernel
// (ground_sim.cpp); their transcripts must be equal.
#pragma once

#include <functional>

#include "os/os.h"

namespace weir::sim::ground {

// Runs `body` with a kernel behind os.h.
void run(const std::function<void()>& body);
// What was sent over the loopback has arrived.
void settle();
// The same for more than a few segments: they have been acknowledged.
void settle_many(const os::Fd& sender);
// Acknowledges what this socket has received; Linux would take 40 ms for a FIN.
void acknowledge(const os::Fd& fd);
// Sends one urgent byte; os.h only receives such.
void send_urgent(const os::Fd& fd, char byte);
// From now on only so many more descriptors can be opened.
void allow_descriptors(unsigned more);
// The first number that a new descriptor can get here.
[[nodiscard]] int first_descriptor();

}  // namespace weir::sim::ground
