// Small seeded random numbers for jitter, tie breaking and sampling. Never for secrets.
//
// The state is advanced with xoshiro256** (Blackman and Vigna, public domain) and filled from the
// seed with SplitMix64, so that neighbouring seeds give unrelated sequences and no seed gives the
// all-zero state the generator could not leave. The same seed gives the same numbers on every
// machine; seeds come from os::random or from the simulation. One owner, one thread.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace weir {

// One SplitMix64 step: advances `state` and returns 64 well mixed bits of it.
[[nodiscard]] constexpr std::uint64_t splitmix64(std::uint64_t& state) {
  state += 0x9E37'79B9'7F4A'7C15;
  std::uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58'476D'1CE4'E5B9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D0'49BB'1331'11EB;
  return mixed ^ (mixed >> 31);
}

// Models std::uniform_random_bit_generator.
class Prng {
 public:
  using result_type = std::uint64_t;

  explicit constexpr Prng(std::uint64_t seed) {
    for (std::uint64_t& word : state_) word = splitmix64(seed);
  }

  [[nodiscard]] static constexpr result_type min() { return 0; }
  [[nodiscard]] static constexpr result_type max() {
    return std::numeric_limits<result_type>::max();
  }

  constexpr result_type operator()() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // 0..bound-1, each exactly equally likely; 0 for a bound of 0.
  //
  // The high half of random * bound (Lemire 2019, "Fast Random Integer Generation in an
  // Interval"): the division is reached only when the low half falls below the bound, which
  // for the bounds of a load balancer is practically never.
  [[nodiscard]] constexpr std::uint64_t bounded(std::uint64_t bound) {
    unsigned __int128 product = static_cast<unsigned __int128>((*this)()) * bound;
    if (static_cast<std::uint64_t>(product) < bound) {
      const std::uint64_t rejected_below = (0 - bound) % bound;
      while (static_cast<std::uint64_t>(product) < rejected_below) {
        product = static_cast<unsigned __int128>((*this)()) * bound;
      }
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

 private:
  std::uint64_t state_[4];
};

}  // namespace weir
