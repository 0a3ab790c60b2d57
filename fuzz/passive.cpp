// The word that says whether a server is avoided, through any events at any times and with any
// settings: it keeps to its table, waits no longer than it may, and lets one trial through at once.
#include "health/passive.h"

#include "base/check.h"
#include "input.h"

namespace {

using namespace weir;
using health::Admission;
using health::Passive;
using State = Passive::State;
using Event = Passive::Event;

health::PassiveSettings take_settings(fuzz::Input& input) {
  health::PassiveSettings settings;
  if (!input.flag()) return settings;
  settings.failures_to_avoid = input.byte();
  settings.backoff_ms = input.number();
  settings.backoff_ms_max = input.number();
  settings.trial_ms_max = std::max(input.number(), 1U);  // Above the connect timeout.
  return settings;
}

void check_word(std::uint64_t word, const health::PassiveSettings& settings) {
  const Passive passive = Passive::unpack(word);
  CHECK(passive.pack() == word);
  CHECK(passive.state() <= State::trial && !health::to_string(passive.state()).empty());
  const int threshold = std::max<int>(settings.failures_to_avoid, 1);
  CHECK((passive.until_ms() == 0) == (passive.state() == State::up) || passive.until_ms() == 0);
  CHECK((passive.failures() < threshold) == (passive.state() == State::up));
}

void check_change(const health::PassiveChange& change, Event event, std::uint64_t now_ms,
                  const health::PassiveSettings& settings) {
  const auto [before, after] = change;
  const auto from = static_cast<std::size_t>(before.state());
  CHECK(before == after || before.state() == after.state() ||
        health::kPassiveNext[from][static_cast<std::size_t>(after.state())]);
  if (event == Event::succeeded) CHECK(after == Passive());
  if (before == after || after.state() == State::up) return;
  const std::uint64_t wait = after.until_ms() - now_ms;
  CHECK(after.until_ms() >= now_ms);
  CHECK(wait <= (after.state() == State::trial ? settings.trial_ms_max : settings.backoff_ms_max));
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
    now_ms += (step & 16) != 0 ? input.number() : step >> 5;
    if ((step & 8) != 0) {
      check_admission(word, now_ms, settings);
    } else {
      const auto event = static_cast<Event>(step & 3);
      const std::uint32_t random = input.byte() * 0x01010101U;
      check_change(health::apply(word, event, now_ms, random, settings), event, now_ms, settings);
    }
    check_word(word, settings);
  }
  return 0;
}
