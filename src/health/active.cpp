#include "health/active.h"

#include <algorithm>

#include "base/check.h"

namespace weir::health {

void Active::enter(State next) {
  CHECK(kActiveNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)]);
  state_ = next;
  against_ = 0;
}

void Active::step(Event event, const ActiveSettings& settings) {
  const State told = event == Event::passed ? State::up : State::down;
  if (state_ == State::unknown) return enter(told);
  if (state_ == told) {
    against_ = 0;
    return;
  }
  ++against_;
  if (against_ >= (told == State::up ? settings.rise : settings.fall)) enter(told);
}

std::string_view to_string(Active::State state) {
  switch (state) {
    case Active::State::unknown: return "unknown";
    case Active::State::up: return "up";
    case Active::State::down: return "down";
  }
  return "?";
}

ProbeTimer::ProbeTimer(std::uint64_t now_ms, std::uint32_t index, std::uint32_t count,
                       const ActiveSettings& settings) {
  const std::uint64_t spread =
      std::min(std::uint64_t{settings.interval_ms}, std::uint64_t{count} * kFirstGapMs);
  due_ms_ = now_ms + spread * index / std::max(count, 1U);
}

std::optional<std::uint64_t> ProbeTimer::next_probe_ms() const {
  if (under_way_) return std::nullopt;
  return due_ms_;
}

void ProbeTimer::started(std::uint64_t now_ms) {
  CHECK(!under_way_);
  under_way_ = true;
  hurried_ = false;
  started_ms_ = now_ms;
}

void ProbeTimer::finished(std::uint64_t now_ms, bool pressing, std::uint32_t random,
                          const ActiveSettings& settings) {
  CHECK(under_way_ && started_ms_);
  under_way_ = false;
  const std::uint64_t interval =
      pressing ? std::min(settings.fast_interval_ms, settings.interval_ms) : settings.interval_ms;
  const std::uint64_t wait = interval - interval / 10 + ((interval / 5 * random) >> 32);
  // A probe that took longer than the interval does not make the next one follow on its heels.
  const std::uint64_t pause = std::min<std::uint64_t>(wait, kHurryGapMs);
  due_ms_ = std::max(*started_ms_ + wait, now_ms + pause);
  if (hurried_) due_ms_ = std::min(due_ms_, hurried_ms(now_ms));
}

void ProbeTimer::hurry(std::uint64_t now_ms) {
  if (under_way_) {
    hurried_ = true;
  } else {
    due_ms_ = std::min(due_ms_, hurried_ms(now_ms));
  }
}

std::uint64_t ProbeTimer::hurried_ms(std::uint64_t now_ms) const {
  return started_ms_ ? std::max(now_ms, *started_ms_ + kHurryGapMs) : now_ms;
}

}  // namespace weir::health
