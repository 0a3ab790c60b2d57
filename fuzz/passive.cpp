// The word that says whether a server is ejected, through any events at any times and with any
// settings: it keeps to its table, waits no longer than it may, and lets one trial through at once.
#include "health/passive.h"

#include "base/check.h"
#include "input.h"

namespace {

using namespace weir;
using health::Admission;
using health::Passive;
using health::Reporter;
using State = Passive::State;
using Cause = Passive::Cause;
using Event = Passive::Event;

health::PassiveSettings take_settings(fuzz::Input& input) {
  health::PassiveSettings settings;
  if (!input.flag()) return settings;
  settings.failures_to_avoid = input.byte();
  settings.backoff_ms = input.number();
  settings.backoff_ms_max = input.number();
  settings.trial_ms_max = std::max(input.number(), 1U);  // Above the connect timeout.
  settings.consecutive_errors = input.byte();
  settings.ejection_ms = input.number();
  settings.ejection_ms_max = input.number();
  settings.answer_trial_ms_max = std::max(input.number(), 1U);
  return settings;
}

void check_word(std::uint64_t word, const health::PassiveSettings& settings) {
  const Passive passive = Passive::unpack(word);
  CHECK(passive.pack() == word);
  CHECK(passive.state() <= State::trial && !health::to_string(passive.state()).empty());
  const int threshold = std::max<int>(settings.failures_to_avoid, 1);
  const bool up = passive.state() == State::up;
  CHECK(passive.until_ms() == 0 || !up);
  CHECK(!up || (passive.cause() == Cause::connecting && passive.failures() < threshold));
  CHECK(up || passive.cause() == Cause::answers || passive.failures() >= threshold);
  CHECK(passive.cause() == Cause::connecting || passive.ejections() > 0);
}

std::uint64_t wait_ms_max(const Passive& passive, const health::PassiveSettings& settings) {
  const bool answers = passive.cause() == Cause::answers;
  if (passive.state() == State::ejected) {
    return answers ? settings.ejection_ms_max : settings.backoff_ms_max;
  }
  return answers ? settings.answer_trial_ms_max : settings.trial_ms_max;
}

void check_change(const health::PassiveChange& change, Event event, Reporter reporter,
                  std::uint64_t now_ms, const health::PassiveSettings& settings) {
  const auto [before, after] = change;
  const auto from = static_cast<std::size_t>(before.state());
  CHECK(before == after || before.state() == after.state() ||
        health::kPassiveNext[from][static_cast<std::size_t>(after.state())]);
  if (event == Event::vouched) {
    const std::uint64_t soonest_ms = std::min(before.until_ms(), now_ms);
    CHECK(after.state() == before.state() && after.cause() == before.cause());
    CHECK(after.until_ms() == before.until_ms() || after.until_ms() == soonest_ms);
  } else if (before.cause() == Cause::connecting) {
    if (event == Event::succeeded || event == Event::answered) CHECK(after.state() == State::up);
    CHECK(after.cause() == Cause::connecting || reporter.may_eject, "below the floor");
  } else if (event != Event::attempted && event != Event::abandoned) {
    CHECK(before == after || reporter.trial, "only the trial decides");
  }
  if (before == after || after.state() == State::up) return;
  CHECK(after.until_ms() >= now_ms && after.until_ms() - now_ms <= wait_ms_max(after, settings));
}

// Two workers ask at the same time: the trial goes to one of them, and to none when it is not due.
void check_admission(std::atomic<std::uint64_t>& word, std::uint64_t now_ms,
                     const health::PassiveSettings& settings) {
  const State state = Passive::unpack(word).state();
  const bool due = health::takes_requests(word, now_ms);
  const Admission first = health::admit(word, now_ms, settings);
  CHECK((first == Admission::normal) == (state == State::up));
  CHECK((first == Admission::refused) == !due);
  if (first != Admission::trial) return;
  CHECK(!health::takes_requests(word, now_ms));
  CHECK(health::admit(word, now_ms, settings) == Admission::refused, "two trials at once");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const health::PassiveSettings settings = take_settings(input);
  std::atomic<std::uint64_t> word = 0;
  std::uint64_t now_ms = 0;
  while (!input.rest().empty()) {
    const std::uint8_t step = input.byte();
    // The word keeps 34 years; two of the longest waits below them nothing is cut.
    const std::uint64_t later = now_ms + ((step & 16) != 0 ? input.number() : step >> 7);
    now_ms = std::min(later, (std::uint64_t{1} << 40) - (std::uint64_t{1} << 33));
    if ((step & 8) != 0 && (step & 7) != 0) {
      check_admission(word, now_ms, settings);
    } else {
      const auto event = static_cast<Event>(step & 15);  // The last of them is 8.
      const Reporter reporter{.trial = (step & 32) != 0, .may_eject = (step & 64) != 0};
      const std::uint32_t random = input.byte() * 0x01010101U;
      check_change(health::apply(word, event, now_ms, random, settings, reporter), event, reporter,
                   now_ms, settings);
    }
    check_word(word, settings);
  }
  return 0;
}
