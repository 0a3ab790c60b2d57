#include "health/passive.h"

#include <algorithm>

#include "base/check.h"

namespace weir::health {

namespace {

constexpr unsigned kCauseShift = 2;
constexpr unsigned kFailuresShift = 3;
constexpr unsigned kErrorsShift = 11;
constexpr unsigned kEjectionsShift = 19;
constexpr std::uint8_t kEjectionsMax = 31;
constexpr std::uint64_t kTimeMax = (std::uint64_t{1} << (64 - kPassiveTimeShift)) - 1;

std::uint8_t one_more(std::uint8_t count, std::uint8_t max = 0xFF) {
  return count < max ? static_cast<std::uint8_t>(count + 1) : count;
}

// `first_ms` doubled so many times, at most `max_ms`, then shortened at random.
std::uint64_t wait_ms(std::uint32_t first_ms, std::uint32_t max_ms, int doublings,
                      std::uint32_t random) {
  const std::uint64_t wait =
      std::min(std::uint64_t{first_ms} << std::clamp(doublings, 0, 31), std::uint64_t{max_ms});
  return wait - ((wait / 4 * random) >> 32);
}

}  // namespace

Passive Passive::unpack(std::uint64_t word) {
  Passive passive;
  passive.state_ = static_cast<State>(word & kPassiveStateMask);
  passive.cause_ = static_cast<Cause>(word >> kCauseShift & 1);
  passive.failures_ = static_cast<std::uint8_t>(word >> kFailuresShift & 0xFF);
  passive.errors_ = static_cast<std::uint8_t>(word >> kErrorsShift & 0xFF);
  passive.ejections_ = static_cast<std::uint8_t>(word >> kEjectionsShift & kEjectionsMax);
  passive.time_ms_ = word >> kPassiveTimeShift;
  return passive;
}

std::uint64_t Passive::pack() const {
  return time_ms_ << kPassiveTimeShift | std::uint64_t{ejections_} << kEjectionsShift |
         std::uint64_t{errors_} << kErrorsShift | std::uint64_t{failures_} << kFailuresShift |
         static_cast<std::uint64_t>(cause_) << kCauseShift | static_cast<std::uint64_t>(state_);
}

void Passive::enter(State next, std::uint64_t time_ms) {
  CHECK(kPassiveNext[static_cast<std::size_t>(state_)][static_cast<std::size_t>(next)]);
  state_ = next;
  time_ms_ = std::min(time_ms, kTimeMax);
}

void Passive::step(Event event, std::uint64_t now_ms, std::uint32_t random,
                   const PassiveSettings& settings, Reporter reporter) {
  switch (event) {
    case Event::attempted:
      if (state_ == State::up || now_ms < time_ms_) return;
      return enter(State::trial, now_ms + (cause_ == Cause::answers ? settings.answer_trial_ms_max
                                                                    : settings.trial_ms_max));
    case Event::succeeded:
      failures_ = 0;
      if (state_ != State::up && cause_ == Cause::connecting) come_back(now_ms);
      return;
    case Event::failed: return step_failed(now_ms, random, settings, reporter);
    case Event::abandoned:
      if (state_ == State::trial) enter(State::ejected, now_ms);
      return;
    case Event::answered: return step_answered(now_ms, settings, reporter);
    case Event::erred: return step_erred(now_ms, random, settings, reporter);
    case Event::ejected:
      if (state_ != State::up || !reporter.may_eject) return;
      errors_ = 0;
      return eject_for_answers(now_ms, {settings.ejection_ms, settings.ejection_ms_max, random},
                               settings);
    case Event::fell_silent:
      if (state_ != State::up || !reporter.may_eject) return;
      errors_ = one_more(errors_);
      return eject_for_answers(
          now_ms,
          {settings.backoff_ms, std::min(settings.backoff_ms_max, settings.ejection_ms_max),
           random},
          settings);
    case Event::vouched:
      if (state_ == State::ejected && !out_by_verdict()) time_ms_ = std::min(time_ms_, now_ms);
      return;
  }
}

void Passive::step_failed(std::uint64_t now_ms, std::uint32_t random,
                          const PassiveSettings& settings, Reporter reporter) {
  if (state_ == State::ejected) return;
  if (cause_ == Cause::answers) {
    if (reporter.trial) eject_for_error(now_ms, random, settings);
    return;
  }
  const int threshold = std::max<int>(settings.failures_to_avoid, 1);
  failures_ = one_more(failures_);
  if (state_ == State::up && failures_ < threshold) return;
  enter(State::ejected, now_ms + wait_ms(settings.backoff_ms, settings.backoff_ms_max,
                                         failures_ - threshold, random));
}

void Passive::step_answered(std::uint64_t now_ms, const PassiveSettings& settings,
                            Reporter reporter) {
  if (state_ == State::up) {
    failures_ = 0;
    errors_ = 0;
    return forget_after_good_time(now_ms, settings);
  }
  const bool trial_passed = state_ == State::trial && reporter.trial;
  if (cause_ == Cause::connecting || trial_passed) come_back(now_ms);
}

void Passive::step_erred(std::uint64_t now_ms, std::uint32_t random,
                         const PassiveSettings& settings, Reporter reporter) {
  if (state_ == State::trial && reporter.trial) {
    if (cause_ == Cause::answers) return eject_for_error(now_ms, random, settings);
    // A kept connection served the trial: about connecting it has told nothing.
    return enter(State::ejected, now_ms);
  }
  if (state_ != State::up || settings.consecutive_errors == 0) return;
  if (errors_ + 1 < settings.consecutive_errors || !reporter.may_eject) {
    errors_ = one_more(errors_);
    return;
  }
  eject_for_error(now_ms, random, settings);
}

void Passive::eject_for_error(std::uint64_t now_ms, std::uint32_t random,
                              const PassiveSettings& settings) {
  errors_ = one_more(errors_);
  const std::uint32_t most_ms =
      std::min(settings.ejection_ms_max, std::max(settings.ejection_ms, settings.backoff_ms_max));
  eject_for_answers(now_ms, {settings.ejection_ms, most_ms, random}, settings);
}

void Passive::eject_for_answers(std::uint64_t now_ms, const Wait& wait,
                                const PassiveSettings& settings) {
  if (state_ == State::up) forget_after_good_time(now_ms, settings);
  const std::uint64_t until_ms =
      now_ms + wait_ms(wait.first_ms, wait.most_ms, ejections_, wait.random);
  ejections_ = one_more(ejections_, kEjectionsMax);
  failures_ = 0;
  cause_ = Cause::answers;
  enter(State::ejected, until_ms);
}

void Passive::forget_after_good_time(std::uint64_t now_ms, const PassiveSettings& settings) {
  if (now_ms < time_ms_ + std::max(settings.forget_ms, settings.ejection_ms_max)) return;
  ejections_ = 0;
  time_ms_ = 0;
}

void Passive::come_back(std::uint64_t now_ms) {
  failures_ = 0;
  errors_ = 0;
  cause_ = Cause::connecting;
  enter(State::up, ejections_ == 0 ? 0 : now_ms);
}

std::string_view to_string(Passive::State state) {
  switch (state) {
    case Passive::State::up: return "up";
    case Passive::State::ejected: return "ejected";
    case Passive::State::trial: return "trial";
  }
  return "?";
}

std::string_view to_string(Passive::Cause cause) {
  switch (cause) {
    case Passive::Cause::connecting: return "connecting";
    case Passive::Cause::answers: return "answers";
  }
  return "?";
}

PassiveChange apply_slowly(std::atomic<std::uint64_t>& word, Passive::Event event,
                           std::uint64_t now_ms, std::uint32_t random,
                           const PassiveSettings& settings, Reporter reporter) {
  // Relaxed: the word guards no other memory.
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  for (;;) {
    const Passive before = Passive::unpack(seen);
    Passive after = before;
    after.step(event, now_ms, random, settings, reporter);
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
