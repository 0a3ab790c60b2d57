// What every function of os_sim.cpp begins and ends with. Private to os_sim*.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "os/os.h"
#include "sim/kernel/kernel.h"
#include "sim/kernel/parts.h"
#include "sim/os_sim_account.h"

namespace weir::sim {

[[nodiscard]] inline Parts& parts() { return Kernel::current().parts(); }
[[nodiscard]] inline Machine& machine() { return parts().machine; }
[[nodiscard]] inline Chance& chance() { return machine().chance; }

// One call of os.h. Made before the call does anything: some time passes, and another fiber may
// run. Ended with the result, which goes into the trace.
class Call {
 public:
  // `name`: a literal.
  explicit Call(const char* name, int fd = -1);

  // The open file, of the kind that the call is for; anything else ends the run.
  template <typename Kind>
  [[nodiscard]] Kind& file() const {
    return file<Kind>(fd_);
  }
  template <typename Kind>
  [[nodiscard]] Kind& file(int fd) const {
    auto* file = dynamic_cast<Kind*>(parts().descriptors.find(fd).get());
    if (file == nullptr) misused(fd);
    return *file;
  }

  os::IoResult end(os::IoResult result) const;
  os::SocketResult end(os::IoStatus status, os::Fd fd) const;
  void end(std::uint64_t first = 0, std::uint64_t second = 0) const;

 private:
  [[noreturn]] void misused(int fd) const;
  [[nodiscard]] int shown_fd() const { return fd_ < 0 ? -1 : fd_ - Descriptors::kBase; }

  const char* name_;
  int fd_;
  Account account_{Account::Of::simulator};
};

[[nodiscard]] os::Fd open_descriptor(std::shared_ptr<File> file);
// Why new descriptors cannot be had; `done` when they can.
[[nodiscard]] os::IoStatus may_open(std::size_t wanted = 1);

}  // namespace weir::sim
