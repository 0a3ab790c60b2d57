#include "sim/kernel/kernel.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "sim/kernel/parts.h"

namespace weir::sim {
Kernel::Kernel(std::uint64_t seed, const Faults& faults)
    : parts_(std::make_unique<Parts>(seed, faults)) {
  CHECK(current_kernel() == nullptr, "two kernels at one time");
  current_kernel() = this;
}

Kernel::~Kernel() {
  parts_->fibers.abandon();
  parts_->machine.clock.clear();
  parts_->network.clear();
  current_kernel() = nullptr;
}

Kernel& Kernel::current() {
  CHECK(current_kernel() != nullptr, "os.h without a kernel");
  return *current_kernel();
}

// --- Running -------------------------------------------------------------------------------------

std::size_t Kernel::spawn(std::string name, std::function<void()> body) {
  parts_->fibers.spawn(parts_->machine.trace.add_name(std::move(name)), std::move(body));
  return parts_->fibers.all().size() - 1;
}

bool Kernel::alive(std::size_t fiber) const { return !parts_->fibers.all()[fiber]->done(); }

bool Kernel::step() {
  Machine& machine = parts_->machine;
  const std::uint64_t now_ns = machine.clock.now_ns();
  std::vector<Fiber*> runnable;
  std::uint64_t next_ns = machine.clock.next_ns();
  for (const auto& fiber : parts_->fibers.all()) {
    if (fiber->runnable(now_ns)) runnable.push_back(fiber.get());
    next_ns = std::min(next_ns, fiber->runnable_at_ns());
  }
  if (machine.clock.due() && (runnable.empty() || machine.chance.between(0, 1) == 0)) {
    machine.clock.run_one();
  } else if (!runnable.empty()) {
    Fiber& fiber = *runnable[machine.chance.between(0, runnable.size() - 1)];
    machine.who = fiber.who();
    parts_->fibers.resume(fiber);
    machine.who = 0;
  } else if (next_ns != kNever) {
    machine.clock.jump_to(next_ns);
  } else {
    return false;
  }
  return true;
}

std::size_t Kernel::fibers() const {
  const auto& all = parts_->fibers.all();
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const auto& fiber) { return !fiber->done(); }));
}

std::string_view Kernel::running() const { return parts_->machine.trace.name(parts_->machine.who); }

// --- Time, trace, faults -------------------------------------------------------------------------

std::uint64_t Kernel::now_ns() const { return parts_->machine.clock.now_ns(); }
void Kernel::at(std::uint64_t when_ns, std::function<void()> action) {
  parts_->machine.clock.at(when_ns, std::move(action));
}
void Kernel::jump_clock(std::uint64_t ns) { parts_->machine.clock.pass(ns); }
Prng& Kernel::prng() { return parts_->world_prng; }
Conditions& Kernel::conditions() { return parts_->machine.conditions; }

void Kernel::trace(const char* what, std::uint64_t first, std::uint64_t second) {
  parts_->machine.note(what, -1, nullptr, first, second);
}
std::uint64_t Kernel::hash() const { return parts_->machine.trace.hash(); }
std::vector<std::string> Kernel::last_lines() const { return parts_->machine.trace.last_lines(); }
std::uint64_t Kernel::calls() const { return parts_->machine.calls; }

Faults& Kernel::faults() { return parts_->machine.chance.faults; }
std::uint64_t Kernel::queue_resets() const { return parts_->machine.queue_resets; }

std::uint64_t Kernel::injected(Fault fault) const { return parts_->machine.chance.injected(fault); }
bool Kernel::killed_by_fault(std::uint64_t connection) const {
  return parts_->network.killed(connection);
}
void Kernel::set_descriptor_limit(std::size_t limit) { parts_->descriptors.set_limit(limit); }

// --- What is left --------------------------------------------------------------------------------

std::vector<std::string> Kernel::open_descriptors() const { return parts_->descriptors.list(); }
std::size_t Kernel::open_descriptor_count() const { return parts_->descriptors.count(); }
std::size_t Kernel::live_connections() const { return parts_->network.connections(); }

}  // namespace weir::sim
