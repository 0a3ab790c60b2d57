// Passive avoidance: a server that refuses connections is left alone for a while, then tried with
// one single request.
//
//                 failed, failures_to_avoid times in a row
//        +----+ --------------------------------------------> +---------+ <--+ failed, attempted
//        | up |                                               | avoided | ---+ before until_ms
//        +----+ <-------------------------------------------- +---------+
//           ^                    succeeded                     |       ^
//           |                                 attempted, once  |       |  failed: twice as long
//           |      succeeded                  until_ms passed  v       |  abandoned: due again
//           +----------------------------------------------- +---------+
//                                                            |  trial  | ---+ attempted after
//                                                            +---------+ <--+ until_ms: again
//
// Avoidance is a preference, never a reason to refuse a client. The driver picks among the
// servers that takes_requests() allows; when that gives none it picks again among those it has
// passed over for avoidance alone, and sends the request there without asking admit(). Hence the
// last server of a backend is always tried, and after an outage of all the first success brings
// a server back at once. A failure while `avoided` changes nothing, so that a crowd of such
// requests, or of attempts that were under way when the server fell, does not lengthen the wait.
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
  std::uint32_t backoff_ms_max = 30'000;
  // After this long a trial that reported nothing is replaced by another one. Above the connect
  // timeout, so that it happens only to trials that were lost.
  std::uint32_t trial_ms_max = 10'000;
};

class Passive {
 public:
  enum class State : std::uint8_t {
    up,       // Takes requests. failures < failures_to_avoid; until_ms is 0.
    avoided,  // Takes none before until_ms; from then on the next attempt becomes the trial.
    trial,    // One request is under way to find out; replaced when until_ms passes unreported.
  };
  enum class Event : std::uint8_t {
    attempted,  // A request is about to be sent to the server.
    succeeded,  // A connection was made, or a kept one answered.
    failed,     // The server refused, or the connect timed out. Not: a lack of local resources.
    abandoned,  // The trial ended without an answer, e.g. the client left. Only of the trial.
  };

  Passive() = default;
  [[nodiscard]] static Passive unpack(std::uint64_t word);
  [[nodiscard]] std::uint64_t pack() const;

  // `random` is any 32 random bits: waits are shortened by up to a quarter, so that neither
  // workers nor machines return to a server in step.
  void step(Event event, std::uint64_t now_ms, std::uint32_t random,
            const PassiveSettings& settings);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] std::uint8_t failures() const { return failures_; }
  [[nodiscard]] std::uint64_t until_ms() const { return until_ms_; }

  bool operator==(const Passive&) const = default;

 private:
  void enter(State next, std::uint64_t until_ms);

  State state_ = State::up;
  std::uint8_t failures_ = 0;   // In a row, without those while avoided. Stays at 255.
  std::uint64_t until_ms_ = 0;  // 48 bits are kept.
};

// Legal next states; staying in a state is listed where entering it anew has a meaning.
inline constexpr std::array kPassiveNext = {
    std::array{false, true, false},  // up
    std::array{true, false, true},   // avoided
    std::array{true, true, true},    // trial
};
static_assert(kPassiveNext.size() == static_cast<std::size_t>(Passive::State::trial) + 1);

[[nodiscard]] std::string_view to_string(Passive::State state);

// Whether a picker should offer the server: it is up, or due for a trial.
[[nodiscard]] constexpr bool takes_requests(std::uint64_t word, std::uint64_t now_ms) {
  return (word >> 16) <= now_ms;
}

struct PassiveChange {
  Passive before;
  Passive after;
};

// Steps the shared word. Writes only when something changes. The caller logs and counts by
// comparing the two states.
PassiveChange apply(std::atomic<std::uint64_t>& word, Passive::Event event, std::uint64_t now_ms,
                    std::uint32_t random, const PassiveSettings& settings);

enum class Admission : std::uint8_t {
  normal,   // The server is up.
  trial,    // This request is the one trial; its outcome, also `abandoned`, must be applied.
  refused,  // Avoided, or another worker has just taken the trial. Pick again: takes_requests()
            // is false by now.
};

[[nodiscard]] Admission admit_troubled(std::atomic<std::uint64_t>& word, std::uint64_t now_ms,
                                       const PassiveSettings& settings);

// To be asked after the pick, before the attempt. Of several workers that see a server due at
// the same time exactly one gets `trial`. One load at a healthy server.
[[nodiscard]] inline Admission admit(std::atomic<std::uint64_t>& word, std::uint64_t now_ms,
                                     const PassiveSettings& settings) {
  if (word.load(std::memory_order_relaxed) == 0) return Admission::normal;
  return admit_troubled(word, now_ms, settings);
}

}  // namespace weir::health
