#include "health/passive.h"

#include <algorithm>

#include "base/check.h"

namespace weir::health {

namespace {

// Word layout: until_ms in 48 bits (8,900 years), failures in 8, state in 8.
constexpr std::uint64_t kUntilMax = (std::uint64_t{1} << 48) - 1;

std::uint8_t threshold(const PassiveSettings& settings) {
  return std::max<std::uint8_t>(settings.failures_to_avoid, 1);
}

// Doubles with every failure from the threshold on.
std::uint64_t backoff_ms(std::uint8_t failures, std::uint32_t random,
                         const PassiveSettings& settings) {
  const int doublings = std::clamp(failures - threshold(settings), 0, 31);
  const std::uint64_t wait = std::min(std::uint64_t{settings.backoff_ms} << doublings,
                                      std::uint64_t{settings.backoff_ms_max});
  return wait - ((wait / 4 * random) >> 32);
}

}  // namespace

Passive Passive::unpack(std::uint64_t word) {
  Passive passive;
  passive.state_ = static_cast<State>(word & 0xFF);
  passive.failures_ = static_cast<std::uint8_t>(word >> 8 & 0xFF);
  passive.until_ms_ = word >> 16;
  return passive;
}

std::uint64_t Passive::pack() const {
  return until_ms_ << 16 | std::uint64_t{failures_} << 8 | static_cast<std::uint64_t>(state_);
}

void Passive::enter(State next, std::uint64_t until_ms) {
  CHECK(kPassiveNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)]);
  state_ = next;
  until_ms_ = std::min(until_ms, kUntilMax);
}

void Passive::step(Event event, std::uint64_t now_ms, std::uint32_t random,
                   const PassiveSettings& settings) {
  switch (event) {
    case Event::attempted:
      if (state_ == State::up || now_ms < until_ms_) return;
      return enter(State::trial, now_ms + settings.trial_ms_max);
    case Event::succeeded:
      failures_ = 0;
      if (state_ != State::up) enter(State::up, 0);
      return;
    case Event::failed:
      if (state_ == State::avoided) return;
      if (failures_ < 0xFF) ++failures_;
      if (state_ == State::up && failures_ < threshold(settings)) return;
      return enter(State::avoided, now_ms + backoff_ms(failures_, random, settings));
    case Event::abandoned:
      if (state_ == State::trial) enter(State::avoided, now_ms);
      return;
  }
}

std::string_view to_string(Passive::State state) {
  switch (state) {
    case Passive::State::up: return "up";
    case Passive::State::avoided: return "avoided";
    case Passive::State::trial: return "trial";
  }
  return "?";
}

PassiveChange apply(std::atomic<std::uint64_t>& word, Passive::Event event, std::uint64_t now_ms,
                    std::uint32_t random, const PassiveSettings& settings) {
  // Relaxed: the word guards no other memory.
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  for (;;) {
    const Passive before = Passive::unpack(seen);
    Passive after = before;
    after.step(event, now_ms, random, settings);
    if (after == before) return {before, after};
    if (word.compare_exchange_weak(seen, after.pack(), std::memory_order_relaxed)) {
      return {before, after};
    }
  }
}

Admission admit_troubled(std::atomic<std::uint64_t>& word, std::uint64_t now_ms,
                         const PassiveSettings& settings) {
  const auto [before, after] = apply(word, Passive::Event::attempted, now_ms, 0, settings);
  if (after.state() == Passive::State::up) return Admission::normal;
  return after == before ? Admission::refused : Admission::trial;
}

}  // namespace weir::health
