#include "sim/kernel/descriptors.h"

#include <algorithm>

#include "base/check.h"
#include "sim/kernel/epoll.h"

namespace weir::sim {

int Descriptors::open(std::shared_ptr<File> file) {
  CHECK(!full());
  auto at = std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return !s.file; });
  if (at == slots_.end()) at = slots_.insert(slots_.end(), Slot{});
  ++file->descriptors;
  ++open_;
  *at = {std::move(file), machine_.who, machine_.clock.now_ns()};
  return kBase + static_cast<int>(at - slots_.begin());
}

const std::shared_ptr<File>& Descriptors::find(int fd) const {
  const auto index = static_cast<std::size_t>(fd - kBase);
  return fd >= kBase && index < slots_.size() ? slots_[index].file : none_;
}

void Descriptors::close(int fd) {
  const std::shared_ptr<File> file = std::move(slots_[static_cast<std::size_t>(fd - kBase)].file);
  CHECK(file != nullptr);
  slots_[static_cast<std::size_t>(fd - kBase)].file = nullptr;
  --open_;
  if (--file->descriptors > 0) return;
  Epoll::forget_file(*file);
  file->released();
}

std::vector<std::string> Descriptors::list() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (!slot.file) continue;
    lines.push_back(std::to_string(kBase + static_cast<int>(i)) + ": " + slot.file->describe() +
                    ", made by " + std::string(machine_.trace.name(slot.made_by)) + " at " +
                    std::to_string(slot.made_at_ns) + " ns");
  }
  return lines;
}

}  // namespace weir::sim
