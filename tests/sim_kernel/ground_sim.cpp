// The script over the simulated kernel: no faults, no latency, and buffers as Linux has them.

#include "base/check.h"
#include "ground.h"
#include "sim/kernel/kernel.h"
#include "sim/kernel/parts.h"

namespace weir::sim::ground {

void run(const std::function<void()>& body) {
  Kernel kernel(1);
  kernel.conditions() = {.latency_ns = {0, 0},
                         .segment_bytes = {65'483, 65'483},
                         .receive_window_bytes = {128 * 1024, 128 * 1024},
                         .send_buffer_bytes = {256 * 1024, 256 * 1024},
                         .call_ns = {1, 1}};
  body();
  settle();
  CHECK(kernel.open_descriptor_count() == 0, "a descriptor is left");
  CHECK(kernel.live_connections() == 0, "a connection is left");
}

void settle() {
  Kernel& kernel = Kernel::current();
  while (kernel.parts().machine.clock.due()) (void)kernel.step();
}

void settle_many(const os::Fd&) { settle(); }

void acknowledge(const os::Fd&) {}

void send_urgent(const os::Fd& fd, char byte) {
  const auto& file = Kernel::current().parts().descriptors.find(fd.get());
  (void)dynamic_cast<StreamSocket&>(*file).write_urgent(byte);
}

void allow_descriptors(unsigned more) {
  Kernel& kernel = Kernel::current();
  kernel.set_descriptor_limit(kernel.open_descriptor_count() + more);
}

int first_descriptor() { return Descriptors::kBase; }

}  // namespace weir::sim::ground
