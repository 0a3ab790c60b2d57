#include "sim/kernel/fiber.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "sim/os_sim_account.h"

// How gcc says that it is there, and how clang does.
#if defined(__SANITIZE_ADDRESS__)
#define WEIR_SIM_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_SIM_ADDRESS_SANITIZER
#endif
#endif

#ifdef WEIR_SIM_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

namespace weir::sim {
namespace {

// AddressSanitizer must know which stack is in use; without it these do nothing.
void switch_begins([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
                   [[maybe_unused]] std::size_t bytes) {
#ifdef WEIR_SIM_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
#endif
}
void switch_ended([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** bottom,
                  [[maybe_unused]] std::size_t* bytes) {
#ifdef WEIR_SIM_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(fake_stack, bottom, bytes);
#endif
}

constexpr std::size_t kStackBytes = 1 << 20;  // Only touched pages cost memory.
// At the end a stack grows towards; a fiber that went past it has destroyed it.
constexpr std::uint64_t kGuard = 0x7374'6163'6b20'656e;

}  // namespace

bool Fiber::runnable(std::uint64_t now_ns) const {
  if (done_ || not_before_ns_ > now_ns) return false;
  return !ready_ || deadline_ns_ <= now_ns || early_ns_ <= now_ns || ready_();
}

std::uint64_t Fiber::runnable_at_ns() const {
  if (done_) return kNever;
  if (!ready_ || ready_()) return not_before_ns_;
  return std::max(not_before_ns_, std::min(deadline_ns_, early_ns_));
}

void Fibers::spawn(std::uint32_t who, std::function<void()> body) {
  auto fiber = std::make_unique<Fiber>();
  fiber->stack_.reset(new char[kStackBytes]);
  std::memcpy(fiber->stack_.get(), &kGuard, sizeof kGuard);
  fiber->body_ = std::move(body);
  fiber->who_ = who;
  CHECK(::getcontext(&fiber->context_) == 0);
  fiber->context_.uc_stack.ss_sp = fiber->stack_.get();
  fiber->context_.uc_stack.ss_size = kStackBytes;
  // makecontext() passes integers only.
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  ::makecontext(&fiber->context_, reinterpret_cast<void (*)()>(&Fibers::enter), 2,
                static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
  all_.push_back(std::move(fiber));
}

void Fibers::enter(unsigned high, unsigned low) {
  auto& fibers = *reinterpret_cast<Fibers*>(std::uintptr_t{high} << 32 | low);
  switch_ended(nullptr, &fibers.outside_stack_, &fibers.outside_stack_bytes_);
  fibers.running_->body_();
  fibers.running_->body_ = nullptr;
  fibers.leave(true);
}

void Fibers::resume(Fiber& fiber) {
  CHECK(running_ == nullptr && !fiber.done_);
  running_ = &fiber;
  void* fake_stack = nullptr;
  switch_begins(&fake_stack, fiber.stack_.get(), kStackBytes);
  CHECK(::swapcontext(&outside_, &fiber.context_) == 0);
  switch_ended(fake_stack, nullptr, nullptr);
  running_ = nullptr;
  CHECK(std::memcmp(fiber.stack_.get(), &kGuard, sizeof kGuard) == 0, "a fiber's stack is full");
  if (fiber.done_) fiber.stack_.reset();
}

void Fibers::leave(bool for_good) {
  Fiber& self = *running_;
  const Account others(Account::Of::simulator);
  self.done_ = for_good;
  switch_begins(for_good ? nullptr : &self.fake_stack_, outside_stack_, outside_stack_bytes_);
  CHECK(::swapcontext(&self.context_, &outside_) == 0);
  switch_ended(self.fake_stack_, &outside_stack_, &outside_stack_bytes_);
}

void Fibers::yield(std::uint64_t not_before_ns) {
  running_->not_before_ns_ = not_before_ns;
  leave(false);
}

Fiber::Woken Fibers::wait(std::function<bool()> ready, std::uint64_t deadline_ns,
                          std::uint64_t early_ns, const Clock& clock) {
  Fiber& self = *running_;
  self.ready_ = std::move(ready);
  self.deadline_ns_ = deadline_ns;
  self.early_ns_ = early_ns;
  leave(false);
  const bool is_ready = self.ready_();
  self.ready_ = nullptr;
  if (is_ready) return Fiber::Woken::ready;
  return deadline_ns <= clock.now_ns() ? Fiber::Woken::deadline : Fiber::Woken::early;
}

}  // namespace weir::sim
