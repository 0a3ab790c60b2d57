// Passive ejection: a server that refuses connections, or answers badly, is left alone for a
// while, then tried with one single request.
//
//                 failed, failures_to_avoid times in a row;
//                 erred, consecutive_errors times in a row; ejected
//        +----+ --------------------------------------------> +---------+ <--+ failed, attempted
//        | up |                                               | ejected | ---+ before until_ms
//        +----+ <-------------------------------------------- +---------+
//           ^               succeeded (cause: connecting)      |       ^
//           |                                 attempted, once  |       |  the trial failed: longer
//           |   connecting: succeeded         until_ms passed  v       |  abandoned: due again
//           +----------------------------------------------- +---------+
//               answers: the trial answered                  |  trial  | ---+ attempted after
//                                                            +---------+ <--+ until_ms: again
//
// Two causes, told apart while a server is out. For `connecting` any connection made, or any
// answer, brings it back at once. For `answers` (errors in a row, or the control thread's verdict
// over a window, health/outliers.h, or over what is under way, health/silence.h) a connection
// proves nothing, and neither does the answer to an older request that was still under way: only
// the outcome of the trial itself counts, and the reporter says so. Waits double: for connecting
// with each failed trial, from backoff_ms; for answers with each ejection, from ejection_ms (from
// backoff_ms for a server that fell silent), also over returns, until the server was good for
// forget_ms. Where a single answer shows whether the server is cured, they stay short, so that it
// is back within 5 s, and an active check that speaks for it ends a wait, not the ejection. A trial
// that is answered proves nothing about a verdict over a window: a slow server comes back with it,
// and takes requests until the next verdict. So those waits grow up to ejection_ms_max, and no
// check shortens them. Only ejection for answers asks `may_eject`, the floor
// (health/ejection_floor.h): a server that cannot be reached is no use to anybody.
//
// Ejection is a preference, never a reason to refuse a client. The driver picks among the
// servers that takes_requests() allows; when that gives none it picks again among those it has
// passed over for ejection alone, and sends the request there without asking admit(). Hence the
// last server of a backend is always tried, and after an outage of all the first connection brings
// a server back. A failure while `ejected` changes nothing, so that a crowd of such requests, or
// of attempts that were under way when the server fell, does not lengthen the wait.
//
// The whole state packs into one 64-bit word, because the workers share it: the upstream layer
// owns a std::atomic of it per server, and apply() changes it with a compare and exchange. Word 0
// is a server that has nothing against it. Time is an argument, milliseconds of a steady clock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace weir::health {

struct PassiveSettings {
  std::uint8_t failures_to_avoid = 1;  // In a row; 0 means 1.
  std::uint32_t backoff_ms = 1'000;    // The first wait; doubled by each failed trial.
  std::uint32_t backoff_ms_max = 4'000;
  // After this long a trial that reported nothing is replaced by another one. Above the connect
  // timeout, so that it happens only to trials that were lost.
  std::uint32_t trial_ms_max = 10'000;

  std::uint8_t consecutive_errors = 5;  // 0: never for errors in a row.
  std::uint32_t ejection_ms = 2'000;    // The first ejection for answers; each further one doubles.
  std::uint32_t ejection_ms_max = 300'000;  // After a verdict over a window.
  // Good for so long, and for ejection_ms_max: the next ejection is a first one again. Much longer
  // than a window (health/outliers.h), else what is ejected after each would never wait longer.
  std::uint32_t forget_ms = 300'000;
  // trial_ms_max where the trial's answer decides: above the timeout of an answer.
  std::uint32_t answer_trial_ms_max = 75'000;
};

// What only the caller knows of an event.
struct Reporter {
  bool trial = false;  // It is about the request that admit() made the trial.
  // The floor allows one more ejection. Asked for erred, ejected, fell_silent.
  bool may_eject = false;
};

class Passive {
 public:
  enum class State : std::uint8_t {
    up,       // Takes requests. failures < failures_to_avoid; until_ms is 0.
    ejected,  // Takes none before until_ms; from then on the next attempt becomes the trial.
    trial,    // One request is under way to find out; replaced when until_ms passes unreported.
  };
  enum class Cause : std::uint8_t {
    connecting,  // The server could not be reached. Also while up.
    answers,     // It answered with errors, or too late.
  };
  enum class Event : std::uint8_t {
    attempted,    // A request is about to be sent to the server.
    succeeded,    // A connection was made.
    failed,       // The server refused, or the connect timed out. Not: a lack of local resources.
    abandoned,    // The trial ended without an answer, e.g. the client left. Only of the trial.
    answered,     // A good answer.
    erred,        // A 5xx, or a reset or timeout after the connection was made.
    ejected,      // The control thread's verdict over a window.
    fell_silent,  // The control thread's verdict over what is under way (health/silence.h).
    vouched,      // The active check has passed so often since that a trial may come at once.
  };

  Passive() = default;
  [[nodiscard]] static Passive unpack(std::uint64_t word);
  [[nodiscard]] std::uint64_t pack() const;

  // `random` is any 32 random bits: waits are shortened by up to a quarter, so that neither
  // workers nor machines return to a server in step.
  void step(Event event, std::uint64_t now_ms, std::uint32_t random,
            const PassiveSettings& settings, Reporter reporter = {});

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] Cause cause() const { return cause_; }
  [[nodiscard]] std::uint8_t failures() const { return failures_; }
  [[nodiscard]] std::uint8_t errors() const { return errors_; }
  [[nodiscard]] std::uint8_t ejections() const { return ejections_; }
  [[nodiscard]] std::uint64_t until_ms() const { return state_ == State::up ? 0 : time_ms_; }

  bool operator==(const Passive&) const = default;

 private:
  void step_failed(std::uint64_t now_ms, std::uint32_t random, const PassiveSettings& settings,
                   Reporter reporter);
  void step_answered(std::uint64_t now_ms, const PassiveSettings& settings, Reporter reporter);
  void step_erred(std::uint64_t now_ms, std::uint32_t random, const PassiveSettings& settings,
                  Reporter reporter);
  struct Wait {
    std::uint32_t first_ms;
    std::uint32_t most_ms;
    std::uint32_t random;
  };
  void eject_for_answers(std::uint64_t now_ms, const Wait& wait, const PassiveSettings& settings);
  void eject_for_error(std::uint64_t now_ms, std::uint32_t random, const PassiveSettings& settings);
  // Out for what a window said, not for errors in a row.
  [[nodiscard]] bool out_by_verdict() const { return cause_ == Cause::answers && errors_ == 0; }
  void forget_after_good_time(std::uint64_t now_ms, const PassiveSettings& settings);
  void come_back(std::uint64_t now_ms);
  void enter(State next, std::uint64_t time_ms);

  State state_ = State::up;
  Cause cause_ = Cause::connecting;
  std::uint8_t failures_ = 0;   // To connect, in a row, without those while ejected. Stays at 255.
  std::uint8_t errors_ = 0;     // In a row, until back; 0 while out by a verdict. Stays at 255.
  std::uint8_t ejections_ = 0;  // For answers, not yet forgotten. Stays at 31.
  // The end of the wait; while up, since when, or 0 without ejections. 40 bits: 34 years.
  std::uint64_t time_ms_ = 0;
};

// Legal next states; staying in a state is listed where entering it anew has a meaning.
inline constexpr std::array kPassiveNext = {
    std::array{false, true, false},  // up
    std::array{true, false, true},   // ejected
    std::array{true, true, true},    // trial
};
static_assert(kPassiveNext.size() == static_cast<std::size_t>(Passive::State::trial) + 1);

[[nodiscard]] std::string_view to_string(Passive::State state);
[[nodiscard]] std::string_view to_string(Passive::Cause cause);

// The layout of the word, low bits first: state 2, cause 1, failures 8, errors 8, ejections 5,
// time 40.
inline constexpr std::uint64_t kPassiveStateMask = 3;
inline constexpr unsigned kPassiveTimeShift = 24;

[[nodiscard]] constexpr bool is_up(std::uint64_t word) {
  return (word & kPassiveStateMask) == static_cast<std::uint64_t>(Passive::State::up);
}

// Whether a picker should offer the server: it is up, or due for a trial.
[[nodiscard]] constexpr bool takes_requests(std::uint64_t word, std::uint64_t now_ms) {
  return is_up(word) || (word >> kPassiveTimeShift) <= now_ms;
}

struct PassiveChange {
  Passive before;
  Passive after;
};

PassiveChange apply_slowly(std::atomic<std::uint64_t>& word, Passive::Event event,
                           std::uint64_t now_ms, std::uint32_t random,
                           const PassiveSettings& settings, Reporter reporter);

// Steps the shared word. Writes only when something changes; one load where a healthy server did
// well. The caller logs and counts by comparing the two states.
inline PassiveChange apply(std::atomic<std::uint64_t>& word, Passive::Event event,
                           std::uint64_t now_ms, std::uint32_t random,
                           const PassiveSettings& settings, Reporter reporter = {}) {
  const bool well = event == Passive::Event::answered || event == Passive::Event::succeeded;
  if (well && word.load(std::memory_order_relaxed) == 0) return {};
  return apply_slowly(word, event, now_ms, random, settings, reporter);
}

enum class Admission : std::uint8_t {
  normal,   // The server is up.
  trial,    // This request is the one trial; its outcome, also `abandoned`, must be applied.
  refused,  // Ejected, or another worker has just taken the trial. Pick again: takes_requests()
            // is false by now.
};

[[nodiscard]] Admission admit_troubled(std::atomic<std::uint64_t>& word, std::uint64_t now_ms,
                                       const PassiveSettings& settings);

// To be asked after the pick, before the attempt. Of several workers that see a server due at
// the same time exactly one gets `trial`. One load at a server that is up.
[[nodiscard]] inline Admission admit(std::atomic<std::uint64_t>& word, std::uint64_t now_ms,
                                     const PassiveSettings& settings) {
  if (is_up(word.load(std::memory_order_relaxed))) return Admission::normal;
  return admit_troubled(word, now_ms, settings);
}

}  // namespace weir::health
